"""A number that is known from sources which disagree: low, nominal and high."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """``low <= nominal <= high``, none negative; the unit is its owner's.

    ``+`` adds, ``*`` scales by a number that is not negative: each of the three by itself, as if
    all constants were low together, or all high.
    """

    low: float
    nominal: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.nominal * factor, self.high * factor)

    __rmul__ = __mul__

    @classmethod
    def exact(cls, value: float) -> Range:
        """A number that is known."""
        return cls(value, value, value)

    @classmethod
    def total(cls, ranges: Iterable[Range]) -> Range:
        """The sum; 0 of none."""
        found = cls(0.0, 0.0, 0.0)
        for each in ranges:
            found = found + each
        return found
