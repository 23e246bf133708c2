"""Ops that only move elements, as ONNX nodes."""

from __future__ import annotations

from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from .emitter import Emitter, Operand, Ref
from .windows import bordered


def reshape(e: Emitter, op: Reshape, x: Operand) -> Ref:
    """reshape (9)."""
    return e.reshape(x.value, *op.shape)


def transpose(e: Emitter, op: Transpose, x: Operand) -> Ref:
    """transpose (10)."""
    return e.node("Transpose", x.value, perm=op.axes)


def slice_(e: Emitter, op: Slice, x: Operand) -> Ref:
    """slice (11)."""
    axes = range(1, len(op.starts) + 1)
    return e.node(
        "Slice", x.value, e.ints(*op.starts), e.ints(*op.stops), e.ints(*axes), e.ints(*op.steps)
    )


def pad(e: Emitter, op: Pad, x: Operand) -> Ref:
    """pad (12)."""
    return bordered(e, x.value, op.before, op.after, int(op.value))


def concat(e: Emitter, op: Concat, *operands: Operand) -> Ref:
    """concat (13)."""
    return e.node("Concat", *(each.value for each in operands), axis=op.axis)


def take(e: Emitter, op: Take, x: Operand, channels: Operand) -> Ref:
    """take (20)."""
    return e.node("Gather", x.value, e.constant(channels.constant, "channels"), axis=1)
