"""QONNX operators between reals and codes: Quant, IntQuant, BipolarQuant and Trunc.

Their arithmetic is that of the package qonnx: the zero point is added before rounding, weights are
rounded in float32 as its executor rounds them. Activations are rounded once, exactly.
"""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Rounding
from ..emit.quant import MAX_BITS, Grid, coded, grid, quantize
from ..emit.site import Constant, Operand, Site
from ..emit.trunc import may_be_negative, truncate
from ..onnx.call import Attribute, Call, Translator

DOMAINS = (
    "onnx.brevitas",
    "qonnx.custom_op.general",
    "finn.custom_op.general",
    "qonnx",
    "finn",
)
ROUNDING: dict[str, Rounding] = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "HALF_UP": "half_away",
    "HALF_DOWN": "half_toward_zero",
    "CEIL": "ceil",
    "FLOOR": "floor",
    "UP": "away_from_zero",
    "DOWN": "toward_zero",
    "ROUND_TO_ZERO": "toward_zero",
    "DPU": "half_dpu",
}
"""By the names of QONNX, whose HALF_UP and UP go away from zero, and of Brevitas (the last two)."""
_FLAGS = (0, 1)
_ROUNDING_MODE = Attribute("rounding_mode", "string", "ROUND")


def rounding_of(site: Site, mode: str) -> Rounding:
    """The rounding of that name in any case; raises ImportModelError."""
    found = ROUNDING.get(mode.upper())
    if found is None:
        raise site.fail(
            f"The rounding mode '{mode}' is not supported.", f"Supported: {', '.join(ROUNDING)}."
        )
    return found


def _one(call: Call, index: int, what: str) -> float:
    constant = call.constant(index)
    if constant.array.size != 1:
        raise call.site.fail(
            f"Its {what} '{constant.name}' has the shape {constant.array.shape}.",
            "It must be one number.",
        )
    return float(constant.array.reshape(()))


def _quant(call: Call) -> Operand:
    attributes = call.attributes
    to = grid(
        call.site,
        _one(call, 3, "bit width"),
        call.constant(1).array,
        call.constant(2).array,
        signed=bool(attributes["signed"]),
        narrow=bool(attributes["narrow"]),
        rounding=rounding_of(call.site, attributes["rounding_mode"]),
    )
    return on_grid(call, to)


def _bipolar(call: Call) -> Operand:
    return on_grid(call, grid(call.site, 1, call.constant(1).array, np.zeros(())))


def on_grid(call: Call, to: Grid) -> Operand:
    """The first operand quantized: a weight to codes now, an activation by a quantize point."""
    x = call.operand(0)
    if isinstance(x, Constant):
        return coded(call.site, Constant(call.site.name, x.array), to.codes(x.array), to)
    return quantize(call.site, x, to)


def _trunc(call: Call) -> str:
    """With five operands (version 1) bits are dropped and the scale stays, without clipping.

    With six (version 2) there is a scale of the result, and its codes are clipped.
    """
    site, attributes = call.site, call.attributes
    rounding = rounding_of(site, attributes["rounding_mode"])
    scale, zero_point = call.constant(1).array, call.constant(2).array
    last = len(call.operands) - 1
    bits, kept = _one(call, 3, "input bit width"), _one(call, last, "output bit width")
    wide = grid(site, MAX_BITS, scale, zero_point)
    if last == 4:
        signed = may_be_negative(site, call.activation())
        to = grid(site, kept, scale, zero_point, signed=signed, rounding=rounding)
        return truncate(site, call.activation(), wide, to, bits - kept)
    result = np.asarray(call.constant(4).array, dtype=np.float32)
    shift = np.rint(np.log2(result / wide.scale))
    to = grid(
        site,
        kept,
        result,
        np.asarray(zero_point) / 2.0**shift,
        signed=bool(attributes["signed"]),
        narrow=bool(attributes["narrow"]),
        rounding=rounding,
    )
    return truncate(site, call.activation(), wide, to, shift)


_QUANT = Translator(
    (
        Attribute("signed", "int", 1, only=_FLAGS),
        Attribute("narrow", "int", 1, only=_FLAGS),
        _ROUNDING_MODE,
    ),
    _quant,
    limits="scale, zero point and bit width constant",
)

TRANSLATORS: dict[str, Translator] = {
    "Quant": _QUANT,
    "IntQuant": _QUANT,
    "BipolarQuant": Translator((), _bipolar, limits="constant scale"),
    "Trunc": Translator(
        (
            Attribute("rounding_mode", "string", "FLOOR"),
            Attribute("signed", "int", 1, only=_FLAGS),
            Attribute("narrow", "int", 0, only=_FLAGS),
        ),
        _trunc,
        limits="by a power of two",
    ),
}
