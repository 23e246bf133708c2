"""What testing.py draws from: integer types, tensors, and every operator with its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from .ir.float_sum import ONE_PATTERN
from .ir.interval import Fact, Interval
from .ir.numeric import BIPOLAR, INT32, TERNARY, Array, NumericType, int_type, narrowest
from .ir.op import Op
from .ir.ops_arg import ArgMax
from .ir.ops_crop import MOST_BITS, ONE, Crop
from .ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from .ir.ops_linear import Conv, Dense, GatherConv
from .ir.ops_norm import LayerNorm
from .ir.ops_pointwise import Add
from .ir.ops_pool import MaxPool, SumPool
from .ir.ops_product import MatMul, Multiply
from .ir.ops_quant import Lookup, Requantize, Threshold
from .ir.ops_softmax import FLOAT, FRACTION_BITS, MAX_BITS, NEWTON, RECIPROCAL, TABLE, Softmax
from .ir.reciprocal_table import LARGEST, SHARE_BITS
from .ir.tensor import BATCH, Tensor, TensorType


def numeric_types(
    min_bits: int = 1,
    max_bits: int = 16,
    kinds: Sequence[str] = ("uint", "int", "bipolar", "ternary"),
) -> st.SearchStrategy[NumericType]:
    """Integer types of ``min_bits`` to ``max_bits`` bits of the given kinds, the widest often."""
    every = [int_type(b, signed=s) for b in range(min_bits, max_bits + 1) for s in (False, True)]
    of_kind = [each for each in (*every, BIPOLAR, TERNARY) if each.kind in kinds]
    found = [each for each in of_kind if min_bits <= each.bits <= max_bits]
    widest = max(each.bits for each in found)
    return st.sampled_from(found) | st.sampled_from([t for t in found if t.bits == widest])


def int_tensors(dtype: NumericType, shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """Arrays of ``shape`` whose elements are values of ``dtype``, in its container.

    Few elements of interest, or noise; the ends of the range are frequent.
    """
    values = [-1, 1] if dtype.kind == "bipolar" else None
    return _arrays(dtype.lo, dtype.hi, shape, dtype.container, values)


@st.composite
def _arrays(
    draw: st.DrawFn,
    lo: int,
    hi: int,
    shape: tuple[int, ...],
    container: np.dtype[Any],
    values: list[int] | None = None,
) -> Array:
    """Elements of ``values``, or of ``lo..hi``. Noise is dense but shrinks only to other noise."""
    ends = values or [max(lo, min(hi, 0)), lo, hi]
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        if values or draw(st.booleans()):
            return rng.choice(np.array(ends), shape).astype(container)
        return rng.integers(lo, hi, shape, np.int64, endpoint=True).astype(container)
    some = st.sampled_from(ends)
    elements = some if values else some | st.integers(lo, hi)
    return draw(hnp.arrays(container, shape, elements=elements, fill=some))


def _tensor(draw: st.DrawFn, dtype: NumericType, *shape: int) -> Tensor:
    return Tensor(draw(int_tensors(dtype, shape)), dtype)


def _between(draw: st.DrawFn, lo: int, hi: int, *shape: int) -> Tensor:
    """A constant of elements in ``lo..hi``, of the narrowest type that holds them all."""
    dtype = narrowest(lo, hi)
    return Tensor(draw(_arrays(lo, hi, shape, dtype.container)), dtype)


def _sizes(draw: st.DrawFn, count: int, least: int, most: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(least, most)) for _ in range(count))


def _pair(draw: st.DrawFn, least: int, most: int) -> tuple[int, int]:
    return draw(st.integers(least, most)), draw(st.integers(least, most))


def _code(draw: st.DrawFn, dtype: NumericType) -> int:
    return int(draw(int_tensors(dtype, (1,)))[0])


def _magnitude(dtype: NumericType) -> int:
    return max(-dtype.lo, dtype.hi)


Operand = Tensor | TensorType
Draw = Callable[[st.DrawFn, TensorType], tuple[Op, tuple[Operand, ...]]]
"""Given the type of x, draws an op and its other operands: a type stands for an activation."""


def _along(draw: st.DrawFn, size: int, most: int) -> tuple[int, int]:
    """Kernel size and dilation along an axis with ``size`` places."""
    kernel = draw(st.integers(1, min(4, size)))
    return kernel, draw(st.integers(1, min(most, (size - 1) // max(kernel - 1, 1)) or 1))


def _window(draw: st.DrawFn, x: TensorType, *, border: bool, dilate: int) -> dict[str, Any]:
    """Kernel, strides, pads and dilations that fit x; with ``border`` windows may miss x."""
    sizes = x.sample_shape[1:]
    pads = _sizes(draw, 4, 0, 2) if border else (0, 0, 0, 0)
    axes = [
        _along(draw, size + pads[axis] + pads[axis + 2], dilate) for axis, size in enumerate(sizes)
    ]
    if not border:
        pads = tuple(draw(st.integers(0, min(2, d * (k - 1)))) for k, d in axes * 2)
    return {
        "kernel": tuple(kernel for kernel, _ in axes),
        "strides": _sizes(draw, 2, 1, 3),
        "pads": pads,
        "dilations": tuple(dilation for _, dilation in axes),
    }


def _biased(
    draw: st.DrawFn, op: Conv | GatherConv | Dense, x: TensorType, *constants: Tensor
) -> tuple[Op, tuple[Operand, ...]]:
    """With a bias or not; with one, sums may reach either end of int32."""
    if draw(st.booleans()):
        return op, constants
    known = [Fact(each.type, Interval.of(0, 0), each.array) for each in constants]
    lo, hi = op.interval(Fact(x, Interval.of_type(x.dtype)), *known).bounds
    lowest, highest = max(INT32.lo, INT32.lo - lo), min(INT32.hi, INT32.hi - hi)
    return op, (*constants, _between(draw, lowest, highest, constants[0].array.shape[0]))


def _bordered(
    draw: st.DrawFn, op: Conv | GatherConv, given: tuple[Operand, ...], kernel: tuple[int, ...]
) -> tuple[Op, tuple[Operand, ...]]:
    """Sometimes, after a bias that leaves room, with what the border adds."""
    *_, bias = given
    if len(given) < len(op.inputs) - 2 or not isinstance(bias, Tensor) or draw(st.booleans()):
        return op, given
    limit = 2**29 // prod(kernel)
    room = Tensor(bias.array // 4, bias.dtype)
    return op, (*given[:-1], room, _between(draw, -limit, limit, len(bias.array), *kernel))


def _weight(draw: st.DrawFn, x: NumericType, *shape: int) -> Tensor:
    """Weights ``(co, ...)`` such that sums of products stay below 2**30."""
    limit = (2**30 - 1) // (prod(shape[1:]) * _magnitude(x))
    types = numeric_types().filter(lambda dtype: _magnitude(dtype) <= limit)
    return _tensor(draw, draw(types), *shape)


def _conv(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    channels = x.sample_shape[0]
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    each = draw(st.integers(1, max(1, 20 // groups)))
    given = _window(draw, x, border=True, dilate=2)
    kernel = given.pop("kernel")
    op = Conv(**given, groups=groups, pad_value=_code(draw, x.dtype))
    weight = _weight(draw, x.dtype, groups * each, channels // groups, *kernel)
    return _bordered(draw, op, _biased(draw, op, x, weight)[1], kernel)


def _gather_conv(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    given = _window(draw, x, border=True, dilate=2)
    op = GatherConv(**given, pad_value=_code(draw, x.dtype))
    places = x.sample_shape[0] * prod(op.kernel)
    count = draw(st.integers(1, min(places, 40)))
    weight = _weight(draw, x.dtype, draw(st.integers(1, 20)), count)
    columns = _between(draw, 0, places - 1, count)
    return _bordered(draw, op, _biased(draw, op, x, weight, columns)[1], op.kernel)


def _dense(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    weight = _weight(draw, x.dtype, draw(st.integers(1, 20)), x.sample_shape[-1])
    return _biased(draw, Dense(), x, weight)


def sum_of(draw: st.DrawFn, *types: TensorType) -> Add:
    """An add whose two products stay below 2**30 each."""
    limits = ((2**30 - 1) // _magnitude(type_.dtype) for type_ in types)
    left, right = (draw(st.integers(-limit, limit)) for limit in limits)
    return Add((left, right))


def _add(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    y = x.with_dtype(draw(numeric_types()))
    return sum_of(draw, x, y), (y,)


def _sum_pool(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    given = _window(draw, x, border=True, dilate=1)
    del given["dilations"]
    return SumPool(**given, pad_value=_code(draw, x.dtype)), ()


def _max_pool(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    return MaxPool(**_window(draw, x, border=False, dilate=3)), ()


def _requantize(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    """The product with x and the addend stay within int64; shifts lead into the range or not."""
    dtype = draw(numeric_types(kinds=("int", "uint", "ternary")))
    lo, hi = sorted(draw(st.integers(dtype.lo, dtype.hi)) for _ in range(2))
    bits = draw(st.integers(1, 31))
    useful = max(0, min(62, x.dtype.bits + bits - dtype.bits))
    first, last = (max(0, useful - 2), useful) if draw(st.booleans()) else (0, 62)
    ranges = ((-(2**bits), 2**bits), (1 - 2**62, 2**62 - 1), (first, last))
    if draw(st.booleans()):
        ranges = (ranges[0], (0, 2 ** max(0, last - 1)), ranges[2])
    shapes = ((), (1,), x.sample_shape[:1])
    operands = (_between(draw, a, b, *draw(st.sampled_from(shapes))) for a, b in ranges)
    return Requantize(dtype, lo, hi), tuple(operands)


def _threshold(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    dtype = draw(numeric_types(max_bits=8))
    step = 2 if dtype.kind == "bipolar" else 1
    base = draw(st.sampled_from(range(dtype.lo, dtype.hi + 1, step)))
    levels = draw(st.integers(0, dtype.hi - base) | st.integers(0, min(3, dtype.hi - base)))
    rows = draw(st.sampled_from((1, (*x.sample_shape, 1)[0])))
    each = _between(draw, x.dtype.lo - 1, x.dtype.hi + 1, rows, levels // step)
    ascending = np.repeat(np.sort(each.array, axis=1), step, axis=1)
    return Threshold(dtype, base), (Tensor(ascending, each.dtype),)


def _lookup(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    dtype = draw(numeric_types())
    entries, channels = x.dtype.hi - x.dtype.lo + 1, (*x.sample_shape, 1)[0]
    rows = (channels,) if channels * entries <= 4096 and draw(st.booleans()) else ()
    return Lookup(dtype, x.dtype.lo), (_tensor(draw, dtype, *rows, entries),)


def _reshape(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    sizes = x.sample_shape
    shapes = [(x.elements,), (1, *sizes), sizes[::-1], (sizes[0], x.elements // sizes[0])]
    return Reshape(draw(st.sampled_from([shape for shape in shapes if len(shape) <= 4]))), ()


def _transpose(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    order = draw(st.sampled_from(list(permutations(range(1, len(x.shape))))))
    return Transpose((0, *order)), ()


def _slice(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    starts = tuple(draw(st.integers(0, size - 1)) for size in x.sample_shape)
    stops = tuple(
        draw(st.integers(start + 1, size))
        for start, size in zip(starts, x.sample_shape, strict=True)
    )
    return Slice(starts, stops, _sizes(draw, len(starts), 1, 3)), ()


def _take(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    return Take(), (_between(draw, 0, x.sample_shape[0] - 1, draw(st.integers(1, 8))),)


def _pad(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    before, after = (_sizes(draw, len(x.sample_shape), 0, 2) for _ in range(2))
    return Pad(before, after, _code(draw, x.dtype)), ()


def _concat(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    axis = draw(st.integers(1, len(x.shape) - 1))
    others = tuple(
        TensorType((*x.shape[:axis], draw(st.integers(1, 4)), *x.shape[axis + 1 :]), x.dtype)
        for _ in range(draw(st.integers(0, 2)))
    )
    return Concat(axis), others


def _factor(draw: st.DrawFn, x: NumericType, terms: int) -> tuple[NumericType, tuple[int, int]]:
    """A type for y and both zero points such that ``terms`` products add up below 2**31."""
    limit = (2**31 - 1) // (terms * 4 * _magnitude(x))
    y = draw(numeric_types().filter(lambda dtype: _magnitude(dtype) <= limit))
    return y, (_code(draw, x), _code(draw, y))


def _multiply(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    dtype, zero_points = _factor(draw, x.dtype, 1)
    sizes = (draw(st.sampled_from((1, size))) for size in x.sample_shape)
    return Multiply(zero_points), (TensorType((BATCH, *sizes), dtype),)


def _matmul(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    dtype, zero_points = _factor(draw, x.dtype, x.sample_shape[-1])
    columns = draw(st.integers(1, 6))
    y = TensorType((*x.shape[:-2], x.shape[-1], columns), dtype)
    return MatMul(zero_points), (y,)


def _softmax(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    axis = draw(st.integers(1, len(x.shape) - 1))
    bits = draw(st.integers(1, MAX_BITS))
    entries = draw(st.integers(1, 40))
    if draw(st.booleans()):
        table = _between(draw, 0, INT32.hi, entries).array.copy()
        table[0] = draw(st.integers(1 << 30, INT32.hi))
        return Softmax(axis, bits, NEWTON), (Tensor(table, INT32),)
    if draw(st.booleans()):
        patterns = _between(draw, 0, 0x7A000000, entries).array.copy()
        patterns[0] = max(1, patterns[0])
        return Softmax(axis, min(bits, FRACTION_BITS), FLOAT), (Tensor(patterns, INT32),)
    if draw(st.booleans()):
        table = _between(draw, 0, LARGEST, entries).array.copy()
        table[0] = draw(st.integers(1 << 14, LARGEST))
        return Softmax(axis, SHARE_BITS, TABLE), (Tensor(table, narrowest(0, LARGEST)),)
    if draw(st.booleans()):
        patterns = _between(draw, 0, ONE_PATTERN, entries).array.copy()
        patterns[0] = ONE_PATTERN
        return Softmax(axis, min(bits, FRACTION_BITS), RECIPROCAL), (Tensor(patterns, INT32),)
    most = INT32.hi // x.sample_shape[axis - 1]
    table = _between(draw, 0, draw(st.integers(1, most)), entries).array
    descending = np.sort(table)[::-1].copy()
    descending[0] = max(1, descending[0])
    return Softmax(axis, bits), (Tensor(descending, narrowest(0, most)),)


def _layer_norm(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    axis = draw(st.integers(1, len(x.shape) - 1))
    fitting = [bits for bits in range(22) if LayerNorm(axis, bits).fits(x, 0)]
    op = LayerNorm(axis, draw(st.sampled_from(fitting)))
    most = next(limit for limit in (2**61, 2**40, 2**20, 0) if op.fits(x, limit))
    return op, (_between(draw, 0, draw(st.sampled_from((0, 1, 1000, most)))),)


def _arg_max(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    return ArgMax(draw(st.integers(1, len(x.shape) - 1)), draw(st.integers(0, 1))), ()


def _crop(draw: st.DrawFn, x: TensorType) -> tuple[Op, tuple[Operand, ...]]:
    least, most = sorted(draw(st.integers(1, ONE)) for _ in range(2))
    bits = draw(st.integers(1, MOST_BITS))
    op = Crop(_pair(draw, 2, 9), least, most, bits)
    told = TensorType((BATCH, 3), int_type(bits, signed=False))
    return op, (told,) if draw(st.booleans()) else ()


DRAWS: dict[str, Draw] = {
    "add": _add,
    "arg_max": _arg_max,
    "concat": _concat,
    "crop": _crop,
    "conv": _conv,
    "dense": _dense,
    "gather_conv": _gather_conv,
    "layer_norm": _layer_norm,
    "lookup": _lookup,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "multiply": _multiply,
    "pad": _pad,
    "requantize": _requantize,
    "reshape": _reshape,
    "slice": _slice,
    "softmax": _softmax,
    "sum_pool": _sum_pool,
    "take": _take,
    "threshold": _threshold,
    "transpose": _transpose,
}
WINDOWED = ("conv", "gather_conv", "max_pool", "sum_pool")
WIDE = (
    *("arg_max", "concat", "max_pool", "pad", "requantize", "reshape", "slice", "take"),
    *("threshold", "transpose"),
)
"""Ops that take accumulators of 32 bits."""
ANY_RANK = ("add", "lookup", "multiply", "requantize", "threshold")
"""Ops that take one number per sample, without an axis, too."""
LOOKUP_BITS = 10


@st.composite
def operand_types(draw: st.DrawFn, name: str) -> TensorType:
    """The type of an activation that op ``name`` takes."""
    wide = name in ("requantize", "threshold") and draw(st.booleans())
    bits = LOOKUP_BITS if name == "lookup" else 16
    dtype = INT32 if wide else draw(numeric_types(max_bits=bits))
    if name in WINDOWED:
        return TensorType((BATCH, draw(st.integers(1, 24)), *_sizes(draw, 2, 1, 7)), dtype)
    if name == "crop":
        kinds = ("uint", "int", "ternary")
        blended = draw(numeric_types(max_bits=16, kinds=kinds))
        return TensorType((BATCH, draw(st.integers(1, 24)), *_sizes(draw, 2, 2, 9)), blended)
    rank = draw(st.integers(2 if name == "matmul" else 0 if name in ANY_RANK else 1, 4))
    if rank == 0:
        return TensorType((BATCH,), dtype)
    first = draw(st.integers(1, 24 if rank < 4 else 6))
    return TensorType((BATCH, first, *_sizes(draw, rank - 1, 1, 4)), dtype)
