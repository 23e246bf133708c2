"""Finding costs for counted symbols: costs and symbols together shall take least bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..numeric import Array
from .costs import NEVER, Costs, knot_count
from .rans import PRECISION

SPACINGS = (0, 2, 3, 4, 5, 6, 7)
ROUNDS = 12
RIDGE = 1e-3
"""Keeps the curvature invertible where knots have hardly any symbols."""


def fit(counts: Array, spacings: Iterable[int] = SPACINGS) -> Costs:
    """The cheapest costs for ``counts`` (symbols,) of which the last is not 0."""
    found = [_costs(counts, each) for each in spacings if each == 0 or len(counts) > 2 << each]
    return min(found, key=lambda costs: stored_bits(costs) + coded_bits(costs, counts))


def stored_bits(costs: Costs) -> int:
    """Bits of the costs themselves."""
    return 3 + 8 * len(costs.knots)


def symbol_bits(costs: Costs) -> Array:
    """``(symbols,)`` bits that each symbol takes; infinite for those that do not occur."""
    with np.errstate(divide="ignore"):
        return PRECISION - np.log2(costs.frequencies()[: costs.symbols])


def coded_bits(costs: Costs, counts: Array) -> float:
    """Bits of so many symbols."""
    occurring = counts > 0
    return float(counts[occurring] @ symbol_bits(costs)[occurring])


def _costs(counts: Array, spacing: int) -> Costs:
    if spacing:
        return _quantized(_smooth(counts, spacing), spacing, len(counts))
    exact = _quantized(np.log2(np.maximum(counts, 1)), 0, len(counts))
    knots = np.where(counts > 0, exact.knots, NEVER)
    return Costs(0, tuple(map(int, knots)), len(counts))


def _quantized(logs: Array, spacing: int, symbols: int) -> Costs:
    """Costs of which the least is 0, from logarithms with base 2 of the knots' weights."""
    costs = np.clip(np.round(16 * (logs.max() - logs)), 0, NEVER - 1)
    return Costs(spacing, tuple(map(int, costs)), symbols)


def _smooth(counts: Array, spacing: int) -> Array:
    """Knots of the log-linear spline that makes the counts likeliest: Newton's method.

    The logarithm of the likelihood is concave in the knots.
    """
    basis = _Basis.of(len(counts), spacing)
    total = counts.sum()
    target = basis.shared(counts / total)
    knots = basis.shared(np.log(counts + 0.5)) / basis.shared(np.ones(len(counts)))
    best, least = knots, np.inf
    for _ in range(ROUNDS):
        logs = basis.between(knots)
        weights = np.exp(logs - logs.max())
        shares = weights / weights.sum()
        loss = float(np.log(weights.sum()) + logs.max() - counts @ logs / total)
        if loss < least:
            best, least = knots, loss
        slope = basis.shared(shares)
        curvature = basis.curvature(shares) - np.outer(slope, slope)
        move = np.linalg.solve(curvature, target - slope)
        knots = knots + np.clip(move, -2, 2)
    return best / np.log(2)


@dataclass(frozen=True, slots=True)
class _Basis:
    """How much of each knot is in each symbol: of two that follow each other, or of the last."""

    first: Array
    part: Array
    """What is of the knot after ``first``, ``(symbols,)``; 0 where that is the last."""
    knots: int

    @classmethod
    def of(cls, symbols: int, spacing: int) -> _Basis:
        places = np.arange(symbols)
        first, part = places >> spacing, places % (1 << spacing) / (1 << spacing)
        knots = knot_count(symbols, spacing)
        return cls(first, part, knots)

    def between(self, knots: Array) -> Array:
        """``(symbols,)`` from values at the knots."""
        after = np.append(knots[1:], 0.0)
        return (1 - self.part) * knots[self.first] + self.part * after[self.first]

    def shared(self, values: Array) -> Array:
        """``(knots,)`` what each knot has of the values of symbols."""
        return self._sum((1 - self.part) * values) + self._sum(self.part * values, 1)

    def curvature(self, shares: Array) -> Array:
        """``(knots, knots)`` the sum of shares times basis by basis: a band of three."""
        left, right = (1 - self.part) ** 2 * shares, self.part**2 * shares
        found = np.diag(self._sum(left) + self._sum(right, 1) + RIDGE / self.knots)
        beside = self._sum((1 - self.part) * self.part * shares)[:-1]
        rows = np.arange(self.knots - 1)
        found[rows, rows + 1] = found[rows + 1, rows] = beside
        return found

    def _sum(self, values: Array, after: int = 0) -> Array:
        return np.bincount(self.first + after, values, self.knots + 1)[: self.knots]


def classes(counts: Array, number: int) -> Array:
    """``(rows,)`` which of ``number`` tables each row takes, by its counts ``(rows, symbols)``."""
    bits = -np.log2(np.maximum(counts.sum(axis=0), 1) / counts.sum())
    place = np.argsort(np.argsort(counts @ bits / np.maximum(counts.sum(axis=1), 1)))
    chosen = place * number // len(counts)
    for _ in range(4):
        tables = [counts[chosen == each].sum(axis=0) for each in range(number)]
        costs = np.stack([symbol_bits(_costs(table + 1e-3, 4)) for table in tables])
        chosen = (counts @ costs.T).argmin(axis=1)
    return chosen
