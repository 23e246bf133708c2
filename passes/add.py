"""Integers for the addition of two tensors of codes, proved over every pair of codes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from ..ir.certificate import Certificate
from ..ir.numeric import Array, Rounding
from .meaning import Sum
from .rescale import ROUND_DIVISION

MAX_PAIRS = 1 << 22
ACCUMULATOR_LIMIT = (1 << 31) - 1
MAX_SHIFT = 30


@dataclass(frozen=True, slots=True)
class SumParameters:
    """``clip((multipliers[0] x + multipliers[1] y + addend) >> shift, lo, hi)`` and its proof."""

    multipliers: tuple[int, int]
    addend: int
    shift: int
    certificate: Certificate


def find_sum(
    total: Sum,
    scale: Fraction,
    zero_point: int,
    rounding: Rounding,
    codes: tuple[int, int],
    x_range: tuple[int, int],
    y_range: tuple[int, int],
) -> SumParameters | None:
    """Parameters that equal ``clip(round(total / scale) + zero_point, *codes)`` for all pairs.

    Ratios that are powers of two are exact by construction; else every pair of codes is tried,
    when there are at most ``MAX_PAIRS``. None when there is no exact answer.
    """
    left, right = (each / scale for each in total.scales)
    offset = total.offset / scale + zero_point
    exact = _exact(left, right, offset, rounding, x_range, y_range)
    if exact is not None:
        return exact
    x = np.arange(x_range[0], x_range[1] + 1, dtype=np.int64)[:, None]
    y = np.arange(y_range[0], y_range[1] + 1, dtype=np.int64)[None, :]
    if x.size * y.size > MAX_PAIRS:
        return None
    expected = np.clip(_definition(left, right, offset, rounding, x, y), *codes)
    for shift in range(MAX_SHIFT + 1):
        found = _fit(left, right, shift, x, y, expected, codes)
        if found is not None:
            multipliers, addend = found
            got = (multipliers[0] * x + multipliers[1] * y + addend) >> shift
            if np.array_equal(np.clip(got, *codes), expected):
                last = x.size * y.size - 1
                proof = Certificate("certified", "add, all pairs", 0, last)
                return SumParameters(multipliers, addend, shift, proof)
    return None


def _exact(
    left: Fraction,
    right: Fraction,
    offset: Fraction,
    rounding: Rounding,
    x_range: tuple[int, int],
    y_range: tuple[int, int],
) -> SumParameters | None:
    """Both factors and the offset are multiples of 2^-s and the rounding is an addend: no error."""
    below = lcm(left.denominator, right.denominator, offset.denominator)
    shift = below.bit_length() - 1
    if below != 1 << shift or shift > MAX_SHIFT:
        return None
    multipliers = (int(left * below), int(right * below))
    if not _fits(multipliers, x_range, y_range):
        return None
    half = (1 << shift) >> 1
    addends = {"half_up": half, "floor": 0, "ceil": (1 << shift) - 1}
    addend = 0 if shift == 0 else addends.get(rounding)
    if addend is None:
        return None
    proof = Certificate("exact", "add, powers of two", 0, 0)
    return SumParameters(multipliers, int(offset * below) + addend, shift, proof)


def _definition(
    left: Fraction, right: Fraction, offset: Fraction, rounding: Rounding, x: Array, y: Array
) -> Array:
    """``round(left x + right y + offset)`` for every pair, in unbounded integers."""
    below = lcm(left.denominator, right.denominator, offset.denominator)
    a, b, c = (int(each * below) for each in (left, right, offset))
    rows = [a * int(value) + c for value in x.ravel()]
    columns = [b * int(value) for value in y.ravel()]
    rule = ROUND_DIVISION[rounding]
    return np.array(
        [[rule(row + column, below) for column in columns] for row in rows], dtype=np.int64
    )


def _fits(multipliers: tuple[int, int], x_range: tuple[int, int], y_range: tuple[int, int]) -> bool:
    reach = sum(
        abs(m) * max(abs(lo), abs(hi))
        for m, (lo, hi) in zip(multipliers, (x_range, y_range), strict=True)
    )
    return reach <= ACCUMULATOR_LIMIT


def _fit(
    left: Fraction,
    right: Fraction,
    shift: int,
    x: Array,
    y: Array,
    expected: Array,
    codes: tuple[int, int],
) -> tuple[tuple[int, int], int] | None:
    """Rounded multipliers at this shift with an addend that fits every pair, or None."""
    multipliers = (round(left * (1 << shift)), round(right * (1 << shift)))
    ranges = ((int(x.min()), int(x.max())), (int(y.min()), int(y.max())))
    if not _fits(multipliers, *ranges):
        return None
    partial = multipliers[0] * x + multipliers[1] * y
    above = expected > codes[0]
    below = expected < codes[1]
    least = ((expected << shift) - partial)[above]
    most = (((expected + 1) << shift) - partial)[below]
    lo = int(least.max()) if least.size else -ACCUMULATOR_LIMIT
    hi = int(most.min()) - 1 if most.size else ACCUMULATOR_LIMIT
    return (multipliers, (lo + hi) // 2) if lo <= hi else None
