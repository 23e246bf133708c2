"""The ONNX operators Resize and Upsample."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from ..emit.batch_size import BatchSize
from ..emit.layout import KEEP, places, source_shape
from ..emit.resize import resize
from ..emit.resize_rule import COORDINATES, MODES, NEAREST, Axis, Rule
from .call import Attribute, Call, Translator

_COORDINATES = 11  # the opset from which Resize has attributes for coordinates
_POLICIES = ("stretch", "not_larger", "not_smaller")


def _resize(call: Call) -> str:
    x, given = call.activation(), call.attributes
    if call.opset < _COORDINATES:
        return _scaled(call, x, Rule(given["mode"], "asymmetric", "floor"), 1)
    rule = Rule(
        given["mode"],
        given["coordinate_transformation_mode"],
        given["nearest_mode"],
        given["cubic_coeff_a"],
        bool(given["exclude_outside"]),
        bool(given["antialias"]) and given["mode"] != "nearest",
        given["extrapolation_value"],
    )
    return _scaled(call, x, rule, 2)


def _upsample(call: Call) -> str:
    return _scaled(call, call.activation(), Rule(call.attributes["mode"], "asymmetric", "floor"), 1)


def _scaled(call: Call, x: str, rule: Rule, position: int) -> str:
    rank = len(source_shape(call.site, x))
    given = call.attributes.get("axes")
    found = places(call.site, range(rank) if given is None else given, rank)
    sizes = call.sizes("sizes", 3) if position == 2 else None
    factors = _numbers(call, "scales", position)
    if (sizes is None) == (not factors):
        raise call.site.fail(
            "It has neither scales nor sizes, or both.", "Give one of them, for every axis."
        )
    own = (call.site.draft.batch or 1, *call.site.type_of(x).sample_shape)
    if sizes is None:
        axes = [Axis(own[a], floor(own[a] * f), f) for a, f in zip(found, factors, strict=False)]
    else:
        wanted = [own[0] if isinstance(size, BatchSize) else size for size in sizes]
        axes = _sized(call, [own[a] for a in found], wanted)
    if len(axes) != len(found) or any(each.result < 1 for each in axes):
        raise call.site.fail("Its scales or sizes do not fit its axes.", "Export the model again.")
    crops = _numbers(call, "roi", 1) if rule.coordinates == "tf_crop_and_resize" else ()
    half = len(crops) // 2
    if crops:
        axes = [
            Axis(each.size, each.result, each.factor, (first, last))
            for each, first, last in zip(axes, crops[:half], crops[half:], strict=True)
        ]
    by_axis = dict(zip(found, axes, strict=True))
    batch = by_axis.pop(0, None)
    if batch is not None and batch.factor != 1:
        raise call.site.fail("It resizes the batch.", KEEP)
    return resize(call.site, x, by_axis, rule)


def _numbers(call: Call, name: str, position: int) -> tuple[Fraction, ...]:
    """Numbers given as an attribute or as an operand; none when they are absent or empty."""
    operand = call.optional(position)
    if operand is None:
        return tuple(map(Fraction, call.attributes.get(name) or ()))
    if operand.array.dtype == object:
        raise call.site.fail(f"Its '{name}' depends on the batch size.", "Give numbers.")
    return tuple(map(Fraction, operand.array.reshape(-1).astype(float).tolist()))


def _sized(call: Call, own: list[int], wanted: list[int]) -> list[Axis]:
    """Axes by their sizes; a policy makes all factors the least or the greatest of them."""
    if len(own) != len(wanted):
        return []
    factors = [Fraction(size, old) for old, size in zip(own, wanted, strict=True)]
    policy = call.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return [Axis(o, w, f) for o, w, f in zip(own, wanted, factors, strict=True)]
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [Axis(old, floor(old * factor + Fraction(1, 2)), factor) for old in own]


TRANSLATORS: dict[str, Translator] = {
    "Resize": Translator(
        (
            Attribute("mode", "string", "nearest", only=MODES),
            Attribute(
                "coordinate_transformation_mode", "string", "half_pixel", only=tuple(COORDINATES)
            ),
            Attribute("nearest_mode", "string", "round_prefer_floor", only=tuple(NEAREST)),
            Attribute("cubic_coeff_a", "float", -0.75),
            Attribute("exclude_outside", "int", 0, only=(0, 1)),
            Attribute("extrapolation_value", "float", 0.0),
            Attribute("antialias", "int", 0, only=(0, 1)),
            Attribute("axes", "ints"),
            Attribute("keep_aspect_ratio_policy", "string", "stretch", only=_POLICIES),
        ),
        _resize,
        limits="constant scales or sizes, not the batch; of codes the nearest",
        codes=True,
    ),
    "Upsample": Translator(
        (
            Attribute("mode", "string", "nearest", only=("nearest", "linear")),
            Attribute("scales", "floats"),
        ),
        _upsample,
        limits="constant scales, not the batch",
        codes=True,
    ),
}
