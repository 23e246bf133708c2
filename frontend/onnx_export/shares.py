"""TFLite's fixed-point divisions of softmax as ONNX nodes."""

from __future__ import annotations

import numpy as np

from ...ir.fixed_point import ONE, SUM_BITS
from ...ir.reciprocal_table import LARGEST, RECIPROCALS
from .emitter import BOOL, INT64, Emitter, Ref
from .pointwise import count_passed

POWERS = np.left_shift(np.int64(1), np.arange(62, dtype=np.int64))


def newton_shares(e: Emitter, powers: Ref, axis: int, bits: int) -> Ref:
    """Division 1; powers and their sum are not negative."""
    half = e.scalar(1 << (SUM_BITS - 1), INT64)
    rounded = _halved(e, e.node("Add", powers, half), SUM_BITS)
    total = e.node("ReduceSum", rounded, e.ints(axis))
    zeros = _leading_zeros(e, total)
    scale = _reciprocal(e, e.node("Mul", total, _power(e, zeros)))
    shares = _high_product(e, powers, scale)
    exponent = e.node("Sub", e.scalar(SUM_BITS + 31 - bits, INT64), zeros)
    power = _power(e, exponent)
    moved = e.node("Add", shares, e.node("Div", power, e.scalar(2, INT64)))
    return e.node("Min", e.node("Div", moved, power), e.scalar(1 << bits, INT64))


def _reciprocal(e: Emitter, shifted: Ref) -> Ref:
    """1 / x as Q0.31 for x as a number of 32 bits whose first bit is 1."""
    half = e.node("Div", shifted, e.scalar(2, INT64))
    first = _high_product(e, half, e.scalar(-1010580540, INT64))
    guess = e.node("Add", first, e.scalar(1515870810, INT64))
    for _ in range(3):
        error = e.node("Sub", e.scalar(1 << 29, INT64), _high_product(e, half, guess))
        step = e.node("Mul", _high_product(e, guess, error), e.scalar(4, INT64))
        guess = e.node("Add", guess, step)
    return e.node("Min", e.node("Add", guess, guess), e.scalar(ONE, INT64))


def _high_product(e: Emitter, x: Ref, y: Ref) -> Ref:
    """``x * y`` of the page of the format; ONNX's Div rounds toward 0 as it asks."""
    product = e.node("Mul", x, y)
    above = e.node("GreaterOrEqual", product, e.scalar(0, INT64), dtype=BOOL)
    up, down = e.scalar(1 << 30, INT64), e.scalar(1 - (1 << 30), INT64)
    nudged = e.node("Add", product, e.node("Where", above, up, down, dtype=INT64))
    return e.node("Div", nudged, e.scalar(1 << 31, INT64))


def table_shares(e: Emitter, powers: Ref, axis: int) -> Ref:
    """Division 3; powers and their sum are not negative."""
    total = e.node("ReduceSum", powers, e.ints(axis))
    zeros = _leading_zeros(e, total)
    one = e.scalar(1, INT64)
    power = _power(e, e.node("Sub", zeros, one))
    scaled = e.node("Add", e.node("Mul", total, power), e.scalar(1 << 13, INT64))
    mantissa = _halved(e, scaled, 14)
    place = e.node(
        "Min", e.node("Sub", mantissa, e.scalar(3 << 15, INT64)), e.scalar(LARGEST, INT64)
    )
    factor = _interpolated(e, e.node("Add", place, e.scalar(1 << 15, INT64)))
    rest = e.node("Sub", e.scalar(30, INT64), zeros)
    moved = e.node("Add", e.node("Mul", powers, factor), _power(e, rest))
    shares = e.node("Div", moved, _power(e, e.node("Add", rest, one)))
    return e.node("Min", shares, e.scalar(LARGEST, INT64))


def _interpolated(e: Emitter, place: Ref) -> Ref:
    """The table of reciprocals at ``place`` from 0 on, 7 bits of it between two entries."""
    entries = e.constant(RECIPROCALS.astype(INT64), "reciprocals")
    index = _halved(e, place, 7)
    rest = e.node("Sub", place, e.node("Mul", index, e.scalar(1 << 7, INT64)))
    here = e.node("Gather", entries, index)
    after = e.node("Gather", entries, e.node("Add", index, e.scalar(1, INT64)))
    line = e.node("Mul", e.node("Sub", after, here), rest)
    moved = e.node("Add", line, e.scalar(1 << 6, INT64))
    return e.node("Add", here, e.shift_right(moved, 7))


def _halved(e: Emitter, x: Ref, times: int) -> Ref:
    """x >> times for x that is not negative."""
    return e.node("Div", x, e.scalar(1 << times, INT64))


def _leading_zeros(e: Emitter, x: Ref) -> Ref:
    """Zeros before the first one in the 32 bits of x."""
    bits = count_passed(e, x, POWERS[None, :32], 1)
    return e.node("Sub", e.scalar(32, INT64), bits)


def _power(e: Emitter, exponent: Ref) -> Ref:
    """2**exponent."""
    return e.node("Gather", e.constant(POWERS, "powers"), exponent)
