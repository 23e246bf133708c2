"""What onnxruntime's quantized operators share: grids read from operands, codes emitted."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ...ir.interval import Fact, Interval
from ...ir.numeric import Array, Encoding, NumericType
from ...ir.ops_quant import Dequantize, Lookup, Threshold
from ...ir.tensor import Tensor, real
from ..emit.layout import swap
from ..emit.site import Constant, Site
from ..steps import steps_of
from .call import Call
from .qarithmetic import F32, Grid

CODES = re.compile("u?int(2|4|8|16|32)")  # what ONNX has, as numpy and ml_dtypes name it
MAX_BITS = 8  # of onnxruntime's operators on codes
CODE_BITS = 16  # integers of more bits are accumulators


def numeric_type(call: Call, constant: Constant) -> NumericType:
    """The numeric type of an array of codes."""
    match = CODES.fullmatch(str(constant.array.dtype))
    if match is None:
        raise call.site.fail(
            f"'{constant.name}' has elements of type {constant.array.dtype}.",
            "It must hold integers of at most 32 bits.",
        )
    return NumericType.parse(match[0])


def scale_of(call: Call, index: int) -> Array:
    """A scale, or one per channel, float32 ``()`` or ``(c,)``; each positive and finite."""
    scale = call.constant(index)
    real = scale.array.dtype.kind == "f" or scale.array.dtype.name == "bfloat16"
    values = scale.array.astype(F32) if real else np.zeros(0, F32)
    if values.ndim > 1 or not values.size or not np.all((values > 0) & np.isfinite(values)):
        raise call.site.fail(
            f"Scale '{scale.name}' is not one positive number, nor one per channel.",
            "Quantize the model again.",
        )
    return values.reshape(()) if values.size == 1 else values


def zero_of(call: Call, index: int) -> Array:
    """A zero point, or one per channel: int64 ``()`` or ``(c,)``; 0 where absent."""
    zero = call.optional(index)
    if zero is None:
        return np.zeros((), dtype=np.int64)
    numeric_type(call, zero)
    values = zero.array.astype(np.int64)
    if not values.size:
        raise call.site.fail(f"Zero point '{zero.name}' is empty.", "Quantize the model again.")
    return values.reshape(()) if values.size == 1 else values.reshape(-1)


def grid_of(call: Call, scale: int, zero: int, dtype: NumericType | None = None) -> Grid:
    """The grid of a whole tensor; ``dtype`` is the zero point's where it is not given."""
    scales, zeros = scale_of(call, scale), zero_of(call, zero)
    if scales.size != 1 or zeros.size != 1:
        raise call.site.fail(
            f"'{call.constant(scale).name}' gives an activation one scale per channel.",
            "Activations must have one scale for the tensor.",
        )
    known = dtype or numeric_type(call, call.constant(zero))
    if known.bits > MAX_BITS:
        raise call.site.fail(f"Its result is {known}.", "Codes here have at most 8 bits.")
    return Grid(F32(scales), int(zeros), known)


def codes_of(call: Call, index: int, scale: int, zero: int) -> tuple[str, Grid]:
    """An activation that must be 8-bit codes, and their grid."""
    x = call.activation(index)
    dtype = call.site.type_of(x).dtype
    if not dtype.is_integer or dtype.bits > MAX_BITS:
        raise call.site.fail(
            f"Its operand '{x}' is {dtype}.", "It must be 8-bit codes: quantize it first."
        )
    return x, grid_of(call, scale, zero, dtype)


def fact(site: Site, name: str) -> Fact:
    """What is known of a constant or an activation: codes by their type, accumulators by theirs.

    An accumulator lies where the operands of the op that made it can take it.
    """
    tensor = site.draft.builder.constants.get(name)
    type_ = site.type_of(name)
    if tensor is not None:
        ends = int(tensor.array.min()), int(tensor.array.max())
        return Fact(type_, Interval.of(*ends), tensor.array)
    node = site.producer(name)
    if node is None or type_.dtype.bits <= CODE_BITS:
        return Fact(type_, Interval.of_type(type_.dtype))
    return Fact(type_, node.op.interval(*(fact(site, operand) for operand in node.inputs)))


def encoding(grid: Grid) -> Encoding:
    """What the codes of a grid stand for."""
    return Encoding(float(grid.scale), grid.zero_point)


def lookup(site: Site, x: str, table: Array, to: Grid) -> str:
    """The code of each code of x, in ascending order."""
    constant = site.draft.builder.constant(f"{site.name}.table", Tensor(table, to.dtype))
    op = Lookup(to.dtype, site.type_of(x).dtype.lo)
    return site.emit(op, x, constant, encoding=encoding(to))


def threshold(
    site: Site, x: str, f: Callable[[Array], Array], ends: Interval, to: Grid, axis: int = 1
) -> str:
    """The codes of a rising function of integers in ``ends``, with one row per channel or one.

    ``f`` takes int64 ``(rows, levels)`` to codes; the rows run along ``axis``.
    """
    rows = len(f(np.reshape(ends.lo, (-1, 1))))
    if axis != 1 and rows > 1:
        inner = threshold(site.step("codes"), swap(site.step("in"), x, axis), f, ends, to)
        return swap(site, inner, axis)
    spread = ends.per_channel(rows)
    first = int(f(spread.lo[:, None]).min())
    last = int(f(spread.hi[:, None]).max())
    if first == last:  # one code: a step that no accumulator reaches, or that all pass
        first, last = (first, last + 1) if last < to.dtype.hi else (first - 1, last)
    steps = steps_of(f, rows, spread.lo, spread.hi, first, last)
    table = site.integers(f"{site.name}.thresholds", steps)
    return site.emit(Threshold(to.dtype, first), x, table, encoding=encoding(to))


def clipped(site: Site, x: str, lo: float | None, hi: float | None) -> str:
    """Integers between two integers: of codes, whatever their zero point."""
    dtype = site.type_of(x).dtype
    if dtype.bits > CODE_BITS:
        raise site.fail(f"It clips {dtype}.", "Only codes of at most 16 bits can be clipped.")
    ends = dtype.lo if lo is None else lo, dtype.hi if hi is None else hi
    table = np.clip(np.arange(dtype.lo, dtype.hi + 1), int(ends[0]), int(ends[1]))
    constant = site.draft.builder.constant(f"{site.name}.table", Tensor(table, dtype))
    return site.emit(Lookup(dtype, dtype.lo), x, constant)


def as_reals(site: Site, x: str) -> str:
    """Integers as the reals that they are."""
    scale = site.draft.builder.constant("scalar_1", real(np.ones((), F32)))
    zero = site.integers("integer_0", np.zeros((), np.int64))
    return site.emit(Dequantize(1), x, scale, zero)
