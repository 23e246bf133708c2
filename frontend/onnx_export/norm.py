"""layer_norm as ONNX nodes of int64."""

from __future__ import annotations

from ...ir.ops_norm import FRACTION_BITS, LayerNorm
from .emitter import BOOL, FLOAT64, INT64, Emitter, Operand, Ref


def layer_norm(e: Emitter, op: LayerNorm, x: Operand, epsilon: Operand) -> Ref:
    """layer_norm (18)."""
    axis, codes = e.ints(op.axis), e.wide(x.value)
    count = e.scalar(x.type.sample_shape[op.axis - 1], INT64)
    total = e.node("ReduceSum", codes, axis)
    squares = e.node("ReduceSum", e.node("Mul", codes, codes), axis)
    scaled = e.node("Mul", squares, count)
    spread = e.node("Sub", scaled, e.node("Mul", total, total))
    shifted = e.node("Mul", spread, e.scalar(1 << 2 * op.bits, INT64))
    square = e.node("Add", shifted, e.scalar(int(epsilon.constant), INT64))
    root = e.node("Max", _root(e, square), e.scalar(1, INT64))
    centered = e.node("Sub", e.node("Mul", codes, count), total)
    above = e.node("Mul", centered, e.scalar(1 << (FRACTION_BITS + 1 + op.bits), INT64))
    return _divided(e, e.node("Add", above, root), e.node("Add", root, root))


def _root(e: Emitter, x: Ref) -> Ref:
    """The integer square root of x, 0..2**62: that of a float64 is at most 1 off."""
    one = e.scalar(1, INT64)
    near = e.wide(e.node("Floor", e.node("Sqrt", e.cast(x, FLOAT64))))
    too_great = e.node("Greater", e.node("Mul", near, near), x, dtype=BOOL)
    low = e.node("Sub", near, e.wide(too_great))
    next_ = e.node("Add", low, one)
    reached = e.node("LessOrEqual", e.node("Mul", next_, next_), x, dtype=BOOL)
    return e.node("Add", low, e.wide(reached))


def _divided(e: Emitter, x: Ref, y: Ref) -> Ref:
    """x / y rounded down, y > 0: ONNX's Div rounds toward 0, its Mod is that of floor."""
    return e.node("Div", e.node("Sub", x, e.node("Mod", x, y)), y)
