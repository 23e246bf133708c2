"""Pointwise ops, moves, products and what goes along an axis."""

from __future__ import annotations

import numpy as np

from ...errors import UsageError
from ...ir.ops_arg import ArgMax
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from ...ir.ops_norm import FRACTION_BITS, LayerNorm
from ...ir.ops_pointwise import Add
from ...ir.ops_product import MatMul, Multiply
from ...ir.ops_quant import Lookup, Requantize, Threshold
from ...ir.ops_softmax import EXACT, Softmax
from ...ir.program import Step
from .build import Build, by_channel, sequence
from .values import Values


def add(b: Build, v: Values, step: Step) -> str:
    """``m0 x + m1 y``."""
    assert isinstance(step.op, Add)
    pairs = zip(step.inputs, step.op.multipliers, strict=True)
    left, right = (b.binary("Mul", v.name(index), int(factor)) for index, factor in pairs)
    return b.add("Add", left, right)


def multiply(b: Build, v: Values, step: Step) -> str:
    """``(x - z0) (y - z1)``."""
    assert isinstance(step.op, Multiply)
    pairs = zip(step.inputs, step.op.zero_points, strict=True)
    return b.add("Mul", *(b.binary("Sub", v.name(index), int(zero)) for index, zero in pairs))


def matmul(b: Build, v: Values, step: Step) -> str:
    """Products of ``x - z0`` and ``y - z1``."""
    assert isinstance(step.op, MatMul)
    pairs = zip(step.inputs, step.op.zero_points, strict=True)
    return b.add("MatMul", *(b.binary("Sub", v.name(index), int(zero)) for index, zero in pairs))


def requantize(b: Build, v: Values, x: str, op: Requantize, parameters: tuple[int, ...]) -> str:
    """``clip((x m + a) >> s, lo, hi)``."""
    rank = len(v.type(v.current).shape)
    multiplier, addend, shift = (by_channel(v.array(index), rank) for index in parameters)
    scaled = b.binary("Add", b.binary("Mul", x, multiplier), addend)
    return b.clipped(b.floor_shift(scaled, shift), op.lo, op.hi)


def threshold(b: Build, v: Values, x: str, op: Threshold, parameters: tuple[int, ...]) -> str:
    """A binary search in the channel's row, filled up to a power of two."""
    rows = v.array(parameters[0]).astype(np.int64)
    width = 1 << rows.shape[1].bit_length()
    never = np.iinfo(np.int64).max
    padded = np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=never)
    table = b.constant(padded.reshape(-1))
    firsts = by_channel(np.arange(len(rows)) * width, len(v.type(v.current).shape))
    found = b.binary("Add", b.binary("Mul", x, 0), firsts)
    half = width >> 1
    while half:
        reached = b.add("Gather", table, b.binary("Add", found, half - 1))
        step = b.binary("Mul", b.indicator("LessOrEqual", reached, x), half)
        found = b.add("Add", found, step)
        half >>= 1
    return b.binary("Add", b.binary("Sub", found, firsts), op.base)


def lookup(b: Build, v: Values, x: str, op: Lookup, parameters: tuple[int, ...]) -> str:
    """``table[x - base]``, of the channel's row if there are several."""
    table = v.array(parameters[0]).astype(np.int64)
    rows, entries = table.shape if table.ndim == 2 else (1, table.size)
    index = b.clipped(b.binary("Sub", x, op.base), 0, entries - 1)
    if rows > 1:
        rank = len(v.type(v.current).shape)
        index = b.binary("Add", index, by_channel(np.arange(rows) * entries, rank))
    return b.add("Gather", b.constant(table.reshape(-1)), index)


def reshape(b: Build, v: Values, step: Step) -> str:
    """The same elements in logical order."""
    assert isinstance(step.op, Reshape)
    return b.add("Reshape", v.name(step.inputs[0]), b.constant([-1, *step.op.shape]))


def transpose(b: Build, v: Values, step: Step) -> str:
    """Axes of the result in terms of x's."""
    assert isinstance(step.op, Transpose)
    return b.add("Transpose", v.name(step.inputs[0]), perm=sequence(step.op.axes))


def slice_(b: Build, v: Values, step: Step) -> str:
    """Every ``step``-th from ``start`` on."""
    op = step.op
    assert isinstance(op, Slice)
    axes = range(1, len(op.starts) + 1)
    operands = (b.constant(sequence(each)) for each in (op.starts, op.stops, axes, op.steps))
    return b.add("Slice", v.name(step.inputs[0]), *operands)


def take(b: Build, v: Values, step: Step) -> str:
    """The listed channels."""
    return b.add("Gather", v.name(step.inputs[0]), b.constant(v.array(step.inputs[1])), axis=1)


def pad(b: Build, v: Values, step: Step) -> str:
    """A border around each axis."""
    op = step.op
    assert isinstance(op, Pad)
    ends = b.constant([0, *op.before, 0, *op.after])
    return b.add("Pad", v.name(step.inputs[0]), ends, b.constant(int(op.value)))


def concat(b: Build, v: Values, step: Step) -> str:
    """Operands one after the other."""
    assert isinstance(step.op, Concat)
    return b.add("Concat", *map(v.name, step.inputs), axis=step.op.axis)


def arg_max(b: Build, v: Values, step: Step) -> str:
    """The index of the first or last greatest element; float64 holds every code."""
    assert isinstance(step.op, ArgMax)
    real = b.cast(v.name(step.inputs[0]), np.float64)
    last = int(step.op.last)
    return b.add("ArgMax", real, axis=step.op.axis, keepdims=1, select_last_index=last)


def softmax(b: Build, v: Values, step: Step) -> str:
    """Powers of a table, and each one's share of their sum; raises UsageError for other rules."""
    op = step.op
    assert isinstance(op, Softmax)
    if op.division != EXACT:
        slot = v.program.slots[step.output]
        raise UsageError(
            "It divides as another runtime does, which no standard ONNX operator does.",
            where=f"Node '{slot.origin or slot.name}' (softmax)",
            fix="Export to C (--format c), or import the model without its last softmax.",
        )
    x = v.name(step.inputs[0])
    table = v.array(step.inputs[1]).astype(np.int64)
    below = b.add("Sub", b.reduced("ReduceMax", x, op.axis), x)
    power = b.add("Gather", b.constant(table), b.binary("Min", below, table.size - 1))
    total = b.reduced("ReduceSum", power, op.axis)
    scaled = b.add("Add", b.binary("Mul", power, 1 << (op.bits + 1)), total)
    return b.add("Div", scaled, b.binary("Mul", total, 2))


def layer_norm(b: Build, v: Values, step: Step) -> str:
    """Distances from the mean over the root of their squares' sum."""
    op = step.op
    assert isinstance(op, LayerNorm)
    x, count = v.name(step.inputs[0]), v.type(step.inputs[0]).shape[op.axis]
    total = b.reduced("ReduceSum", x, op.axis)
    squares = b.reduced("ReduceSum", b.add("Mul", x, x), op.axis)
    spread = b.add("Sub", b.binary("Mul", squares, count), b.add("Mul", total, total))
    epsilon = int(v.array(step.inputs[1]).reshape(()))
    square = b.binary("Add", b.binary("Mul", spread, 1 << (2 * op.bits)), epsilon)
    root = b.binary("Max", _square_root(b, square), 1)
    apart = b.add("Sub", b.binary("Mul", x, count), total)
    scaled = b.add("Add", b.binary("Mul", apart, 1 << (FRACTION_BITS + 1 + op.bits)), root)
    double = b.binary("Mul", root, 2)
    return b.add("Div", b.add("Sub", scaled, b.add("Mod", scaled, double)), double)


def _square_root(b: Build, square: str) -> str:
    """Rounded down: float64's root, corrected by what it may be off."""
    root = b.cast(b.add("Sqrt", b.cast(square, np.float64)), np.int64)
    above = b.indicator("Greater", b.add("Mul", root, root), square)
    root = b.add("Sub", root, above)
    next_ = b.binary("Add", root, 1)
    below = b.indicator("LessOrEqual", b.add("Mul", next_, next_), square)
    return b.add("Add", root, below)
