"""The ONNX operators Resize and Upsample, nearest neighbors only."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

from .emit_resize import take
from .onnx_call import Attribute, Call, Translator

Place = Callable[[int, Fraction, int, int], Fraction]

PLACES: dict[str, Place] = {
    "half_pixel": lambda x, scale, old, new: (x + Fraction(1, 2)) / scale - Fraction(1, 2),
    "pytorch_half_pixel": lambda x, scale, old, new: (
        (x + Fraction(1, 2)) / scale - Fraction(1, 2) if new > 1 else Fraction(0)
    ),
    "asymmetric": lambda x, scale, old, new: x / scale,
    "align_corners": lambda x, scale, old, new: (
        Fraction(x * (old - 1), new - 1) if new > 1 else Fraction(0)
    ),
}
"""Where in the old axis the element x of the new one lies."""

CHOICES: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda place: ceil(place - Fraction(1, 2)),
    "round_prefer_ceil": lambda place: floor(place + Fraction(1, 2)),
    "floor": floor,
    "ceil": ceil,
}
_OLDEST_MODES = 11  # the opset from which Resize states how coordinates are transformed


def _resize(call: Call) -> str:
    x, given = call.activation(), call.attributes
    old = (call.site.draft.batch or 1, *call.site.type_of(x).sample_shape)
    first = 1 if call.opset < _OLDEST_MODES else 2
    scales, sizes = _numbers(call, first), call.ints("sizes", 3)
    if sizes is None:
        factors = [Fraction(scale) for scale in scales or ()]
        new = [floor(size * factor) for size, factor in zip(old, factors, strict=False)]
    else:
        new = list(sizes)
        factors = [Fraction(size, before) for size, before in zip(new, old, strict=False)]
    if len(new) != len(old) or new[0] != old[0] or min(new) < 1:
        raise call.site.fail(
            f"It resizes {call.site.type_of(x)} to {new or 'nothing that is stated'}.",
            "Give a constant scale or size for every axis, and keep the batch.",
        )
    modern = call.opset >= _OLDEST_MODES
    place = PLACES[given["coordinate_transformation_mode"] if modern else "asymmetric"]
    choose = CHOICES[given["nearest_mode"] if modern else "floor"]
    sources = [
        [min(max(choose(place(at, factor, before, after)), 0), before - 1) for at in range(after)]
        for factor, before, after in list(zip(factors, old, new, strict=True))[1:]
    ]
    return take(call.site, x, sources)


def _numbers(call: Call, index: int) -> list[float] | None:
    """Scales as an attribute or an operand; None where absent or empty."""
    given = call.attributes.get("scales")
    operand = call.optional(index)
    if operand is None or not operand.array.size:
        return None if given is None else list(given)
    return [float(each) for each in operand.array.reshape(-1)]


_MODE = Attribute("mode", "string", "nearest", only=("nearest",))
_LIMITS = "mode = nearest; scales that repeat or skip elements evenly; not the batch"

TRANSLATORS: dict[str, Translator] = {
    "Resize": Translator(
        (
            _MODE,
            Attribute("coordinate_transformation_mode", "string", "half_pixel", only=tuple(PLACES)),
            Attribute("nearest_mode", "string", "round_prefer_floor", only=tuple(CHOICES)),
            Attribute("cubic_coeff_a", "float", -0.75),
            Attribute("exclude_outside", "int", 0),
            Attribute("extrapolation_value", "float", 0.0),
            Attribute("antialias", "int", 0, only=(0,)),
            Attribute("keep_aspect_ratio_policy", "string", "stretch", only=("stretch",)),
        ),
        _resize,
        limits=_LIMITS,
        codes=True,
    ),
}
