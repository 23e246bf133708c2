"""Frequencies of symbols from few numbers: costs in sixteenths of a bit, at evenly spaced knots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from .rans import SYMBOLS, TOTAL

NEVER = 255
"""The cost of a symbol that does not occur; only where every symbol is a knot."""
EXP2 = np.array([round(2 ** (30 - each / 16)) for each in range(16)], np.int64)
"""2^30 times 2^(-c/16), for c of 0 to 15."""


@dataclass(frozen=True, slots=True)
class Costs:
    """A cost 0..255 for every ``2^spacing``-th of ``symbols`` symbols, linear between them.

    With a cost c a symbol weighs ``EXP2[c mod 16] >> (c / 16)``. Each that occurs has frequency 1;
    the weights share the rest of TOTAL, rounded down, and the heaviest symbol, the first of these,
    has what is left over.
    """

    spacing: int
    knots: tuple[int, ...]
    symbols: int

    def frequencies(self) -> Array:
        """``(SYMBOLS,)`` numbers whose sum is TOTAL; raises NumericError when none occurs."""
        costs = self._costs()
        never = (costs == NEVER) & (self.spacing == 0)
        weights = np.where(never, 0, EXP2[costs % 16] >> (costs // 16))
        if never.all():
            raise NumericError("None of the symbols of an entropy code occurs.")
        spread = TOTAL - int((~never).sum())
        found = np.zeros(SYMBOLS, np.int64)
        found[: self.symbols] = ~never + weights * spread // weights.sum()
        found[int(weights.argmax())] += TOTAL - found.sum()
        return found

    def _costs(self) -> Array:
        step = 1 << self.spacing
        knots = np.array([*self.knots, self.knots[-1]], np.int64)
        places = np.arange(self.symbols)
        first, part = places // step, places % step
        between = knots[first] * (step - part) + knots[first + 1] * part
        return (between + step // 2) // step


def knot_count(symbols: int, spacing: int) -> int:
    """Knots of that many symbols."""
    return -(-(symbols - 1) >> spacing) + 1
