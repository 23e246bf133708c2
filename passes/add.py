"""Integers for the addition of two tensors of codes, compared over every pair of codes.

Derivation: docs/numerics.md section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import lcm

import numpy as np

from ..ir.certificate import Certificate, Difference
from ..ir.numeric import Array, Rounding
from .certify import MAX_EXAMPLES
from .meaning import Sum
from .rescale import ROUND_DIVISION

MAX_PAIRS = 1 << 22
ACCUMULATOR_LIMIT = (1 << 31) - 1
MAX_SHIFT = 30
NEIGHBOR_SHIFTS = 3


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
    before: int = 0,
) -> SumParameters | None:
    """Parameters of ``clip(round(total / scale) + zero_point, *codes)``, compared on all pairs.

    ``before`` is added before rounding.

    Ratios that are powers of two are exact by construction; else every pair of codes is tried and
    the certificate says where the nearest parameters differ, if any do. None when that would be
    more than ``MAX_PAIRS``.
    """
    left, right = (each / scale for each in total.scales)
    offset = total.offset / scale + before
    exact = _exact(left, right, offset + zero_point, rounding, x_range, y_range)
    if exact is not None:
        return exact
    if pairs(x_range, y_range) > MAX_PAIRS:
        return None
    expected = sum_table(total, scale, zero_point, rounding, codes, x_range, y_range, before)
    return _search(expected, (left, right), x_range, y_range, codes)


def pairs(x_range: tuple[int, int], y_range: tuple[int, int]) -> int:
    """How many pairs of codes there are."""
    return (x_range[1] - x_range[0] + 1) * (y_range[1] - y_range[0] + 1)


def sum_table(
    total: Sum,
    scale: Fraction,
    zero_point: int,
    rounding: Rounding,
    codes: tuple[int, int],
    x_range: tuple[int, int],
    y_range: tuple[int, int],
    before: int = 0,
) -> Array:
    """The definition for every pair of codes ``(x, y)``."""
    left, right = (each / scale for each in total.scales)
    x, y = (np.arange(lo, hi + 1, dtype=np.int64) for lo, hi in (x_range, y_range))
    offset = total.offset / scale + before
    steps = _definition(left, right, offset, rounding, x[:, None], y[None, :])
    clipped: Array = np.clip(steps + zero_point, *codes)
    return clipped


def find_pair(
    table: Array,
    slopes: tuple[float, float],
    x_range: tuple[int, int],
    y_range: tuple[int, int],
) -> SumParameters | None:
    """Parameters that equal ``table``, the code of each pair of codes in the two ranges.

    The search begins at ``slopes``. None when there are none, or none were found.
    """
    if not any(slopes):
        return None
    left, right = map(Fraction, slopes)
    ends = int(table.min()), int(table.max())
    found = _search(table, (left, right), x_range, y_range, ends)
    return found if found is not None and found.certificate.proved else None


def _search(
    expected: Array,
    slopes: tuple[Fraction, Fraction],
    x_range: tuple[int, int],
    y_range: tuple[int, int],
    codes: tuple[int, int],
) -> SumParameters | None:
    """Parameters that give ``expected`` for every pair; else the nearest, with what differs."""
    x = np.arange(x_range[0], x_range[1] + 1, dtype=np.int64)[:, None]
    y = np.arange(y_range[0], y_range[1] + 1, dtype=np.int64)[None, :]
    nearest = None
    for multipliers, shift, rounded in _candidates(*slopes, x_range, y_range):
        partial = multipliers[0] * x + multipliers[1] * y
        least, most = _addend_range(partial, shift, expected, codes)
        addend = (least + most) // 2
        if least <= most or rounded:
            got = np.clip((partial + addend) >> shift, *codes)
            nearest = SumParameters(multipliers, addend, shift, _compare(got, expected))
        if least <= most:
            return nearest
    return nearest


def _candidates(
    left: Fraction, right: Fraction, x_range: tuple[int, int], y_range: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], int, bool]]:
    """Multipliers, shift, and whether they are the rounded ratios; neighbors come last."""
    rounded = []
    for shift in range(MAX_SHIFT + 1):
        pair = (round(left * (1 << shift)), round(right * (1 << shift)))
        if _fits(pair, x_range, y_range):
            rounded.append((pair, shift))
            yield pair, shift, True
    for (a, b), shift in rounded[-NEIGHBOR_SHIFTS:]:
        for pair in product((a - 1, a, a + 1), (b - 1, b, b + 1)):
            if _fits(pair, x_range, y_range):
                yield pair, shift, False


def _compare(got: Array, expected: Array) -> Certificate:
    """The proof over all pairs, numbered row by row."""
    last = got.size - 1
    wrong = np.flatnonzero(got != expected)
    if not wrong.size:
        return Certificate("certified", "add, all pairs", 0, last)
    worst = int(np.abs(got - expected).max())
    examples = tuple(
        Difference(0, i, int(got.flat[i]), int(expected.flat[i]))
        for i in wrong[:MAX_EXAMPLES].tolist()
    )
    return Certificate("differs", "add, all pairs", 0, last, wrong.size, worst, examples)


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


def _addend_range(
    partial: Array, shift: int, expected: Array, codes: tuple[int, int]
) -> tuple[int, int]:
    """The addends that fit every pair: least > most when there are none."""
    above, below = expected > codes[0], expected < codes[1]
    least = ((expected << shift) - partial)[above]
    most = (((expected + 1) << shift) - partial)[below]
    lo = int(least.max()) if least.size else -ACCUMULATOR_LIMIT
    hi = int(most.min()) - 1 if most.size else ACCUMULATOR_LIMIT
    return lo, hi
