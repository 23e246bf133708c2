"""Emitting truncation: codes divided by a power of two and rounded again, as after a sum pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_layout import Reshape, Slice, Transpose
from ...ir.ops_pool import AveragePool, MaxPool, SumPool
from ...ir.ops_quant import Dequantize, Quantize
from .quant import Grid, constants, dequantize, parameters, quantize
from .site import Site

_CHOICES = (Reshape, Transpose, Slice, MaxPool)  # their values are some of their operand's


def truncate(site: Site, x: str, wide: Grid, to: Grid, shift: Array | float) -> str:
    """The codes of x on ``wide`` over ``2^shift``, rounded and clipped to codes of ``to``.

    What the codes then stand for is up to ``to``: its scale need not be ``2^shift`` times as wide.
    Executors round x to whole codes before they divide, and so does this: the quotient of two
    float32 scales is not exactly the power of two that it means.
    """
    powers = np.unique(np.asarray(shift))
    if len(powers) != 1 or powers[0] != np.rint(powers[0]) or not 0 <= powers[0] <= 31:
        raise site.fail(
            f"It divides codes by 2^{powers[0]:g}.", "Supported are 2^0 to 2^31 for all channels."
        )
    factor = np.float32(2.0 ** powers[0])
    if (wide.zero_point % int(factor)).any():
        raise site.fail(
            f"It divides codes with the zero point {wide.zero_point.reshape(-1)[0]} by {factor:g}.",
            f"Use a symmetric quantizer, or a zero point that {factor:g} divides.",
        )
    whole = _whole(site.step("whole"), x, wide)
    divided = replace(to, scale=wide.scale * factor, zero_point=wide.zero_point // int(factor))
    shape = site.type_of(x).shape
    scale, zero_point, axis = parameters(site, divided, shape)
    op = Quantize(to.dtype, axis, to.rounding, zero_first=1, narrow=int(to.narrowed))
    inner = site.step("codes")
    codes = inner.emit(op, whole, *constants(inner, scale, zero_point))
    return dequantize(site, codes, *parameters(site, to, shape))


def _whole(site: Site, x: str, wide: Grid) -> str:
    """x as whole codes of ``wide``: as it is, as the sum that it averages, or rounded."""
    scale, zero_point, _ = parameters(site, wide, site.type_of(x).shape)
    node = site.producer(x)
    if node is not None and scale.ndim == 0 and isinstance(node.op, Dequantize):
        same = _constant(site, node.inputs[1]) == scale and (
            _constant(site, node.inputs[2]) == zero_point
        )
        if np.all(same):
            return x
    if node is not None and scale.ndim == 0 and isinstance(node.op, AveragePool):
        source = site.producer(node.inputs[0])
        if source is not None and isinstance(source.op, Dequantize):
            found = _sum(site, node.op, source.inputs, scale)
            if found is not None:
                return found
    return quantize(site, x, wide)


def _sum(site: Site, op: AveragePool, source: tuple[str, ...], scale: Array) -> str | None:
    """The sum behind an average of codes, when ``scale`` is theirs over the area."""
    codes, step, zero = source[0], _constant(site, source[1]), _constant(site, source[2])
    area = op.kernel[0] * op.kernel[1]
    uniform = step.size == 1 and zero.size == 1 and (op.count_border or not any(op.pads))
    if not uniform or np.float32(step.reshape(()) / np.float32(area)) != scale:
        return None
    pool = SumPool(op.kernel, op.strides, op.pads, int(zero.reshape(())))
    total = site.step("sum").emit(pool, codes)
    return dequantize(site, total, scale, zero.reshape(()).astype(np.int64) * area, 1)


def _constant(site: Site, name: str) -> Array:
    return site.draft.builder.constants[name].array


def may_be_negative(site: Site, x: str) -> bool:
    """Whether x is not known to be an average or choice of unsigned codes with zero point 0."""
    node = site.producer(x)
    if node is None:
        return True
    if isinstance(node.op, Dequantize):
        unsigned = site.type_of(node.inputs[0]).dtype.kind == "uint"
        return not unsigned or bool(_constant(site, node.inputs[2]).any())
    if isinstance(node.op, (*_CHOICES, AveragePool)):
        return may_be_negative(site, node.inputs[0])
    return True
