"""add, multiply, requantize, threshold and lookup as ONNX nodes of int64."""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_pointwise import Add
from ...ir.ops_product import Multiply
from ...ir.ops_quant import Lookup, Requantize, Threshold
from .emitter import BOOL, INT64, Emitter, Operand, Ref, along_channels

BEYOND = 1 << 62
"""Greater than every accumulator."""


def add(e: Emitter, op: Add, x: Operand, y: Operand) -> Ref:
    """add (3)."""
    left, right = (
        _scaled(e, e.wide(each.value), factor)
        for each, factor in zip((x, y), op.multipliers, strict=True)
    )
    return e.node("Add", left, right)


def _scaled(e: Emitter, x: Ref, factor: int) -> Ref:
    return x if factor == 1 else e.node("Mul", x, e.scalar(factor, INT64))


def multiply(e: Emitter, op: Multiply, x: Operand, y: Operand) -> Ref:
    """multiply (14); ONNX repeats axes of size 1 as well."""
    left, right = (
        e.node("Sub", e.wide(each.value), e.scalar(zero, INT64)) if zero else e.wide(each.value)
        for each, zero in zip((x, y), op.zero_points, strict=True)
    )
    return e.node("Mul", left, right)


def requantize(
    e: Emitter, op: Requantize, x: Operand, multiplier: Operand, addend: Operand, shift: Operand
) -> Ref:
    """requantize (6)."""
    rank = len(x.type.shape)
    factor, offset, bits = (
        along_channels(each.constant, rank) for each in (multiplier, addend, shift)
    )
    scaled = e.node("Mul", e.wide(x.value), e.constant(factor, "multiplier"))
    moved = e.node("Add", scaled, e.constant(offset, "addend"))
    shifted = e.shift_right(moved, bits) if bits.any() else moved
    return e.node("Clip", shifted, e.scalar(op.lo, INT64), e.scalar(op.hi, INT64))


def threshold(e: Emitter, op: Threshold, x: Operand, thresholds: Operand) -> Ref:
    """threshold (7)."""
    passed = count_passed(e, e.wide(x.value), thresholds.constant, len(x.type.shape))
    return e.node("Add", passed, e.scalar(op.base, INT64)) if op.base else passed


def count_passed(e: Emitter, x: Ref, rows: Array, rank: int) -> Ref:
    """How many numbers of the row of x's channel, ``(1 or c, levels)`` ascending, are at most x.

    A binary search: one Gather per bit of the count, in memory that does not grow with the levels.
    """
    levels = rows.shape[1]
    bits = levels.bit_length()
    filled = np.full((len(rows), 1 << bits), BEYOND, INT64)
    filled[:, 1 : levels + 1] = np.clip(rows, -BEYOND, BEYOND)
    table = e.constant(filled.reshape(-1), "thresholds")
    begin = e.constant(along_channels(np.arange(len(rows), dtype=INT64) << bits, rank), "rows")
    found = e.node("Mul", x, e.scalar(0, INT64))
    for bit in reversed(range(bits)):
        tried = e.node("Add", found, e.scalar(1 << bit, INT64))
        bound = e.node("Gather", table, e.node("Add", tried, begin), axis=0)
        passed = e.node("LessOrEqual", bound, x, dtype=BOOL)
        found = e.node("Where", passed, tried, found, dtype=INT64)
    return found


def lookup(e: Emitter, op: Lookup, x: Operand, table: Operand) -> Ref:
    """lookup (8)."""
    entries, rank = table.constant, len(x.type.shape)
    origin = np.array(-op.base, INT64)
    if entries.ndim == 2:
        starts = np.arange(len(entries), dtype=INT64) * entries.shape[1]
        origin = origin + along_channels(starts, rank)
    place = e.node("Add", e.wide(x.value), e.constant(origin, "origin"))
    codes = entries.astype(op.dtype.container).reshape(-1)
    return e.node("Gather", e.constant(codes, "table"), place, axis=0)
