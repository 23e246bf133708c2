"""ONNX operators that multiply codes with constant codes: QLinearConv, QLinearMatMul, QGemm, ...

The accumulator of a layer is a sum over codes as they are, with weights less their zero points: the
zero point of the activation is its border and, like the bias, moves the steps of the rescaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...ir.numeric import INT32, Array
from ...ir.ops_linear import Conv, Dense
from ...ir.ops_product import MatMul
from ..emit.linear import affine
from ..emit.site import Constant, Site
from ..emit.window import over_2d
from .call import Attribute, Call, Translator
from .qarithmetic import F32, Grid, output_scale, requantized
from .qcodes import (
    as_reals,
    codes_of,
    fact,
    grid_of,
    numeric_type,
    scale_of,
    threshold,
    zero_of,
)
from .window import PADS, window_of

Kind = Literal["filters", "rows", "columns"]
_CONV = (*PADS, Attribute("group", "int", 1))


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights less their zero points, rows first, and what their zero points and bias add.

    ``array`` ``(co, ...)`` int64; ``offset`` ``(co,)`` turns a sum over codes into the accumulator
    of the format, in which the codes are taken less their zero point.
    """

    name: str
    array: Array
    offset: Array


def _weights(
    call: Call, index: int, zero: int, x_zero: int, bias: Array | None, kind: Kind = "filters"
) -> Weights:
    """The operand ``index``: filters, or a matrix ``(co, k)`` (rows) or ``(k, co)`` (columns)."""
    constant = call.constant(index)
    array = _filters(call, constant) if kind == "filters" else _matrix(call, constant)
    array = array.T if kind == "columns" else array
    zeros = zero_of(call, zero)
    if zeros.size not in (1, len(array)):
        raise call.site.fail(
            f"It has {zeros.size} zero points for {len(array)} channels of '{constant.name}'.",
            "Give one for all or one per channel.",
        )
    centered = array - zeros.reshape(-1, *(1,) * (array.ndim - 1))
    offset = -x_zero * centered.reshape(len(array), -1).sum(axis=1)
    return Weights(constant.name, centered, offset if bias is None else offset + bias)


def _filters(call: Call, constant: Constant) -> Array:
    """The weight of a convolution, rows first."""
    numeric_type(call, constant)
    if constant.array.ndim not in (3, 4) or not constant.array.size:
        raise call.site.fail(
            f"The weight '{constant.name}' has the shape {constant.array.shape}.",
            "Supported are convolutions over one or two axes.",
        )
    return constant.array.astype(np.int64)


def _matrix(call: Call, constant: Constant) -> Array:
    numeric_type(call, constant)
    if constant.array.ndim != 2 or not constant.array.size:
        raise call.site.fail(
            f"The weight '{constant.name}' has the shape {constant.array.shape}.",
            "Only matrices are supported.",
        )
    return constant.array.astype(np.int64)


def _bias(call: Call, index: int, length: int) -> Array | None:
    """An int32 bias, a number or one per channel, as ``(length,)``."""
    constant = call.optional(index)
    if constant is None:
        return None
    if constant.array.dtype != np.int32 or constant.array.size not in (1, length):
        raise call.site.fail(
            f"The bias '{constant.name}' is {constant.array.dtype}{list(constant.array.shape)}.",
            f"It must be int32 with one element or {length}.",
        )
    return np.broadcast_to(constant.array.reshape(-1).astype(np.int64), (length,))


def _convolved(site: Site, call: Call, x: str, zero: int, weights: Weights, *bias: str) -> str:
    """The sum over codes, ``(n, co, ...)``, its border the zero point."""
    array, group = weights.array, call.attributes["group"]
    if group < 1:
        raise site.fail(f"Attribute 'group' = {group}.", "It must be positive.")
    sizes = array.shape[2:]
    if call.attributes["kernel_shape"] not in (None, sizes):
        raise site.fail(
            f"Attribute 'kernel_shape' = {call.attributes['kernel_shape']} differs from the weight "
            f"'{weights.name}' of shape {array.shape}.",
            "Export the model again.",
        )
    plane = window_of(call, x, sizes).planar()
    kernel = array if array.ndim == 4 else array[:, :, None, :]
    name = site.integers(f"{weights.name}.centered", kernel)
    op = Conv(plane.strides, plane.pads, plane.dilations, group, zero)
    return over_2d(site, x, lambda inner, image: inner.emit(op, image, name, *bias))


def _qlinear_conv(call: Call) -> str:
    (x, grid), to = codes_of(call, 0, 1, 2), grid_of(call, 6, 7)
    bias = _bias(call, 8, len(_filters(call, call.constant(3))))
    weights = _weights(call, 3, 5, grid.zero_point, bias)
    acc = _convolved(call.site.step("acc"), call, x, grid.zero_point, weights)
    scale = output_scale(grid.scale, scale_of(call, 4), to)
    return _requantize(call, acc, weights, scale, to, 1)


def _requantize(call: Call, acc: str, weights: Weights, scale: Array, to: Grid, axis: int) -> str:
    """Codes of accumulators whose channels are along ``axis``."""
    offset, factor = weights.offset[:, None], scale.reshape(-1, 1)
    if scale.size not in (1, len(offset)):
        raise call.site.fail(
            f"It has {scale.size} scales for {len(offset)} channels of '{weights.name}'.",
            "Give one for all or one per channel.",
        )
    if scale.size == 1 and (offset == offset[0]).all():
        offset = offset[:1]
    ends = fact(call.site, acc).interval
    ends = ends if len(offset) > 1 or scale.size > 1 else ends.hull
    return threshold(call.site, acc, lambda a: requantized(a + offset, factor, to), ends, to, axis)


def _conv_integer(call: Call) -> str:
    """The accumulator is the result: its offset is a bias."""
    x, zero = call.activation(), _zero(call, 2)
    weights = _weights(call, 1, 3, zero, None)
    bias = (call.site.integers(f"{weights.name}.offset", weights.offset),) if zero else ()
    return _convolved(call.site, call, x, zero, weights, *bias)


def _zero(call: Call, index: int) -> int:
    """The zero point of an activation."""
    values = zero_of(call, index)
    if values.size != 1:
        raise call.site.fail(
            f"'{call.constant(index).name}' holds one zero point per row.", "Give one for all rows."
        )
    return int(values)


def _product(call: Call, x: str, weights: Weights) -> tuple[str, int]:
    """The sums over codes of a matrix product, and the axis of their channels."""
    name = call.site.integers(f"{weights.name}.centered", weights.array)
    acc = call.site.step("acc").emit(Dense(), x, name)
    return acc, len(call.site.type_of(acc).shape) - 1


def _qlinear_matmul(call: Call) -> str:
    (x, grid), to = codes_of(call, 0, 1, 2), grid_of(call, 6, 7)
    if isinstance(call.operand(3), str):
        return _two_activations(call, x, grid, to)
    weights = _weights(call, 3, 5, grid.zero_point, None, "columns")
    acc, axis = _product(call, x, weights)
    scale = output_scale(grid.scale, scale_of(call, 4), to)
    return _requantize(call, acc, weights, scale, to, axis)


def _two_activations(call: Call, x: str, grid: Grid, to: Grid) -> str:
    y, other = codes_of(call, 3, 4, 5)
    acc = call.site.step("acc").emit(MatMul((grid.zero_point, other.zero_point)), x, y)
    scale = output_scale(grid.scale, other.scale, to)
    ends = fact(call.site, acc).interval.hull
    return threshold(call.site, acc, lambda a: requantized(a, scale, to), ends, to)


def _matmul_integer(call: Call) -> str:
    """The accumulator is the result."""
    x, zero = call.activation(), _zero(call, 2)
    y = call.operand(1)
    if isinstance(y, str):
        return call.site.emit(MatMul((zero, _zero(call, 3))), x, y)
    weights = _weights(call, 1, 3, zero, None, "columns")
    name = call.site.integers(f"{weights.name}.centered", weights.array)
    bias = (call.site.integers(f"{weights.name}.offset", weights.offset),) if zero else ()
    return call.site.emit(Dense(), x, name, *bias)


def _qgemm(call: Call) -> str:
    """com.microsoft.QGemm; without a scale of the result it gives the reals of accumulators."""
    x, grid = codes_of(call, 0, 1, 2)
    if call.attributes["transA"]:
        raise call.site.fail(
            f"Attribute 'transA' = 1 moves the batch of '{x}' behind its elements.",
            "Axis 0 is the batch and must stay first: transpose the weight instead.",
        )
    columns = not call.attributes["transB"]
    length = _matrix(call, call.constant(3)).shape[1 if columns else 0]
    bias = _bias(call, 6, length)
    weights = _weights(call, 3, 5, grid.zero_point, bias, "columns" if columns else "rows")
    alpha, scale = call.attributes["alpha"], scale_of(call, 4)
    if call.optional(7) is None:
        return _reals(call, x, weights, output_scale(grid.scale, scale, _UNIT, alpha))
    to = grid_of(call, 7, 8)
    acc, axis = _product(call, x, weights)
    return _requantize(call, acc, weights, output_scale(grid.scale, scale, to, alpha), to, axis)


def _reals(call: Call, x: str, weights: Weights, scale: Array) -> str:
    site = call.site
    operands = [
        site.integers(f"{weights.name}.{part}", array)
        for part, array in (("centered", weights.array), ("offset", weights.offset))
    ]
    acc = site.step("acc").emit(Dense(), x, *operands)
    plain = as_reals(site.step("plain"), acc)
    factor, zero = Constant(f"{site.name}.scale", scale), Constant("scalar_0", np.zeros((), F32))
    return affine(site, plain, factor, zero)


def _dynamic(call: Call) -> str:
    raise call.site.fail(
        "It derives the scale and zero point of an activation from each batch of data.",
        "Integers need them to be known: quantize the model statically, with calibration data.",
    )


_UNIT = Grid(F32(1), 0, INT32)
_GEMM = (
    Attribute("alpha", "float", 1.0),
    Attribute("transA", "int", 0, only=(0, 1)),
    Attribute("transB", "int", 0, only=(0, 1)),
)
_LIMITS = "constant parameters and weights, one scale per activation"

TRANSLATORS: dict[str, Translator] = {
    "QLinearConv": Translator(_CONV, _qlinear_conv, limits=f"1-D and 2-D, {_LIMITS}", codes=True),
    "QLinearMatMul": Translator((), _qlinear_matmul, limits=_LIMITS, codes=True),
    "ConvInteger": Translator(_CONV, _conv_integer, limits=f"1-D and 2-D, {_LIMITS}", codes=True),
    "MatMulInteger": Translator((), _matmul_integer, limits=_LIMITS, codes=True),
    "DynamicQuantizeLinear": Translator((), _dynamic, limits="constants only"),
}
MICROSOFT: dict[str, Translator] = {
    "QGemm": Translator(_GEMM, _qgemm, limits=_LIMITS, codes=True),
}
