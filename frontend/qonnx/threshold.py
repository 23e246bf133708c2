"""QONNX and FINN: MultiThreshold, the number of thresholds that a value reaches."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ...ir.numeric import BIPOLAR, Array, narrowest
from ...ir.ops_quant import Threshold
from ..emit.arithmetic import number
from ..emit.layout import swap
from ..emit.linear import affine
from ..emit.quant import dequantize
from ..emit.site import Constant, Site
from ..onnx.call import Attribute, Call, Translator

MAX_LEVELS = 1 << 16
_LAYOUTS = {2: "NC", 3: "NWC", 4: "NCHW"}
"""What qonnx takes a tensor of that rank for when nothing is stated."""


def _multi_threshold(call: Call) -> str:
    """``out_scale * (number of thresholds <= x) + out_bias``, thresholds ``(c or 1, levels)``."""
    site, x = call.site, call.activation()
    axis = _channel_axis(call, len(site.type_of(x).shape))
    inner = x if axis == 1 else swap(site.step("in"), x, axis)
    given = call.constant(1)
    _check(site, given, site.type_of(inner).sample_shape[0])
    scale, bias = (Fraction(call.attributes[name]) for name in ("out_scale", "out_bias"))
    levels = given.array.shape[1]
    if scale <= 0 or (2 * bias / scale).denominator != 1:
        counted = _threshold(site.step("count"), inner, given, 1, 0, np.float32(1))
        factor, shift = number(float(scale)), number(float(bias))
        inner = affine(site if axis == 1 else site.step("out"), counted, factor, shift)
    else:
        steps = (bias / scale).denominator  # codes per threshold: 2 where -1 and +1 are meant
        base, worth = int(steps * bias / scale), np.float32(float(scale / steps))
        if abs(base) + steps * levels > MAX_LEVELS:
            raise site.fail(f"Its codes begin at {base}.", f"Supported are {MAX_LEVELS} codes.")
        here = site if axis == 1 else site.step("out")
        inner = _threshold(here, inner, given, steps, base, worth)
    return inner if axis == 1 else swap(site, inner, axis)


def _channel_axis(call: Call, rank: int) -> int:
    layout = call.attributes["data_layout"] or _LAYOUTS.get(rank, "NC")
    axis = layout.find("C")
    if not 1 <= axis < rank:
        raise call.site.fail(
            f"Attribute 'data_layout' = '{layout}' does not fit a tensor of {rank} axes.",
            "The batch must be its first axis, and C one of the others.",
        )
    return int(axis)


def _check(site: Site, given: Constant, channels: int) -> None:
    array = given.array
    if array.ndim != 2 or array.shape[0] not in (1, channels) or array.shape[1] > MAX_LEVELS:
        raise site.fail(
            f"The thresholds '{given.name}' have the shape {array.shape}.",
            f"They must be ({channels} or 1, levels).",
        )
    if not np.isfinite(array).all():
        raise site.fail(
            f"The thresholds '{given.name}' are not all finite.", "Leave out those never reached."
        )


def _threshold(
    site: Site, x: str, given: Constant, steps: int, base: int, worth: np.float32
) -> str:
    """Codes ``base + steps * count``, each worth ``worth``."""
    levels: Array = np.sort(given.array.astype(np.float32), axis=1)
    repeated = Constant(given.name, np.repeat(levels, steps, axis=1))
    top = base + repeated.array.shape[1]
    dtype = BIPOLAR if (base, top, steps) == (-1, 1, 2) else narrowest(base, top)
    inner = site.step("codes")
    codes = inner.emit(Threshold(dtype, base), x, inner.constant(repeated))
    return dequantize(site, codes, np.asarray(worth), np.zeros((), np.int64), 1)


TRANSLATORS: dict[str, Translator] = {
    "MultiThreshold": Translator(
        (
            Attribute("out_dtype", "string", ""),
            Attribute("out_scale", "float", 1.0),
            Attribute("out_bias", "float", 0.0),
            Attribute("data_layout", "string", ""),
        ),
        _multi_threshold,
        limits="constant thresholds",
    ),
}
