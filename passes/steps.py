"""A definition given by its steps alone: what an importer found by asking an executor's function.

Nothing but the steps is known, so the slope at which integers are searched for is derived from
them: of all lines that climb the stairs, the one that keeps the greatest distance from every edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..ir.numeric import Array
from .stairs import Staircase

ROUNDS = 140
"""Of a ternary search: the interval shrinks to (2/3)^140 = 2^-81 of its width."""


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """``code(acc) = base + number of table[c] that are <= acc``; rows ``(c, levels)`` ascend."""

    table: Array
    base: int

    @property
    def channels(self) -> int:
        """How many rows there are."""
        return len(self.table)

    @property
    def lo(self) -> int:
        """The least code."""
        return self.base

    @property
    def hi(self) -> int:
        """The greatest code."""
        return self.base + int(self.table.shape[1])

    def code(self, accumulator: int, channel: int) -> int:
        """The definition itself."""
        return self.base + int(np.searchsorted(self.table[channel], accumulator, side="right"))

    def codes(self, accumulators: Sequence[int], channel: int) -> Array:
        """``code`` for many accumulators."""
        row = self.table[channel]
        found: Array = self.base + np.searchsorted(row, np.asarray(accumulators), side="right")
        return found

    def stairs(self, channel: int, lo: int, hi: int) -> Staircase:
        """The staircase of one channel over accumulators lo..hi."""
        base, top = self.code(lo, channel), self.code(hi, channel)
        steps = self.table[channel, base - self.base : top - self.base]
        return Staircase(lo, hi, base, steps, 1, base == self.lo, top == self.hi)

    def slopes(self, stairs: Sequence[Staircase]) -> Iterator[tuple[Fraction, ...]]:
        """Slopes to search at: one for all channels that have steps, then one for each."""
        climbing = [each for each in stairs if len(each.steps)]
        if not climbing:
            yield (Fraction(0),) * len(stairs)
            return
        shared = _steadiest(climbing)
        yield tuple(shared if len(each.steps) else Fraction(0) for each in stairs)
        if len(climbing) > 1:
            yield tuple(_steadiest([each]) if len(each.steps) else Fraction(0) for each in stairs)


def _steadiest(stairs: Sequence[Staircase]) -> Fraction:
    """The slope whose least margin over all ``stairs`` is greatest.

    A line ``a acc + b`` climbs them if it is at least k at the step of each code k, and less than k
    one before: the margin is what that leaves for b. It is concave in a.
    """
    below = _points([_reached(each) for each in stairs])
    above = _points([_not_reached(each) for each in stairs])
    low, high = 0.0, max(len(each.steps) for each in stairs) + 1.0

    def margin(slope: float) -> float:
        least = (below[1] - slope * below[0]).max(axis=1)
        most = (above[1] - slope * above[0]).min(axis=1)
        return float((most - least).min())

    for _ in range(ROUNDS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if margin(left) < margin(right):
            low = left
        else:
            high = right
    return Fraction((low + high) / 2)


Points = tuple[Array, Array]
"""Accumulators and codes."""


def _reached(stairs: Staircase) -> Points:
    """Where each code must be reached."""
    at, codes = stairs.steps, stairs.levels
    if stairs.clipped_below:
        return at, codes
    return np.append(at, stairs.lo), np.append(codes, stairs.base)


def _not_reached(stairs: Staircase) -> Points:
    """Where each code must not be reached yet."""
    at, codes = stairs.steps - 1, stairs.levels
    if stairs.clipped_above:
        return at, codes
    return np.append(at, stairs.hi), np.append(codes, stairs.base + len(stairs.steps) + 1)


def _points(rows: Sequence[Points]) -> tuple[Array, Array]:
    """One row per staircase, filled up with its last point."""
    width = max(len(at) for at, _ in rows)
    filled = [[np.pad(each, (0, width - len(each)), mode="edge") for each in row] for row in rows]
    return (
        np.array([at for at, _ in filled], dtype=np.float64),
        np.array([codes for _, codes in filled], dtype=np.float64),
    )
