"""How many weights each layer keeps, by what the loss gains and what a kept weight costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from ...ir.numeric import Array
from .allocate import Counts

POINTS = 1 << 13
"""Partial choices that are carried from layer to layer."""
SLACK = 1e-9
"""Relative: sums of costs in another order are the same costs."""


@dataclass(frozen=True)
class Curve:
    """The loss of the network when one layer keeps so many weights, and the cost of each of them.

    ``keeps`` ascend. ``cost`` is in the budget's unit: bits of storage, or picojoules, where it is
    proportional to how often a weight is used.
    """

    keeps: tuple[int, ...]
    losses: tuple[float, ...]
    cost: float = 1.0

    def __post_init__(self) -> None:
        ascending = all(low < high for low, high in zip(self.keeps, self.keeps[1:], strict=False))
        if not self.keeps or not ascending or len(self.losses) != len(self.keeps):
            raise UsageError(
                f"A curve has the keeps {self.keeps} and {len(self.losses)} losses.",
                fix="Give one loss for each keep, and keeps that ascend.",
            )

    @property
    def choices(self) -> Choices:
        """What the layer may choose from."""
        keeps = np.array(self.keeps)
        return Choices(keeps, keeps * self.cost, np.array(self.losses, np.float64))


@dataclass(frozen=True, eq=False)
class Choices:
    """The choices of one layer, by ascending keep."""

    keeps: Array
    costs: Array
    losses: Array


@dataclass(frozen=True, eq=False)
class Points:
    """Choices for the first layers: ``levels`` ``(points, layers)``, with sums of cost and loss."""

    costs: Array
    losses: Array
    levels: Array


def search(curves: Mapping[str, Curve], budget: float) -> Counts:
    """The keep of every layer: the least sum of losses that costs at most ``budget``.

    One level per layer is chosen, over all undominated choices for the first layers; the curves
    need not be convex. Exact while there are at most ``POINTS`` of these. Beyond, one stays for
    each ``budget / POINTS`` of cost, and the result is no worse than the same rate everywhere.
    """
    layers = {name: curve.choices for name, curve in curves.items()}
    _check(layers, budget)
    found = [_undominated(list(layers.values()), budget), *_same_rates(list(layers.values()))]
    fits = [each for each in found if each.costs[-1] <= budget * (1 + SLACK)]
    best = min(fits, key=lambda each: float(each.losses[-1])).levels[-1]
    return {
        name: int(layer.keeps[level])
        for (name, layer), level in zip(layers.items(), best, strict=True)
    }


def _check(layers: Mapping[str, Choices], budget: float) -> None:
    lowest = sum(float(layer.costs[0]) for layer in layers.values())
    if lowest > budget * (1 + SLACK):
        raise UsageError(
            f"The budget is {budget:g}, but the lowest keeps of all layers cost {lowest:g}.",
            fix="Raise the budget or measure lower keeps.",
        )


def _undominated(layers: list[Choices], budget: float) -> Points:
    """The choices within budget that no other beats in both cost and loss, by ascending cost."""
    points = Points(np.zeros(1), np.zeros(1), np.zeros((1, 0), dtype=int))
    for index, layer in enumerate(layers):
        later = sum(float(each.costs[0]) for each in layers[index + 1 :])
        points = _pruned(_extended(points, layer), budget * (1 + SLACK) - later)
    return points


def _extended(points: Points, layer: Choices) -> Points:
    """Every choice with every level of one more layer."""
    before, level = np.divmod(np.arange(len(points.costs) * len(layer.keeps)), len(layer.keeps))
    return Points(
        points.costs[before] + layer.costs[level],
        points.losses[before] + layer.losses[level],
        np.concatenate([points.levels[before], level[:, None]], axis=1),
    )


def _pruned(points: Points, budget: float) -> Points:
    """The undominated points within budget, thinned out where they are too many."""
    order = np.lexsort((points.losses, points.costs))
    order = order[points.costs[order] <= budget]
    least = np.minimum.accumulate(points.losses[order])
    order = order[np.r_[True, points.losses[order][1:] < least[:-1]]]
    if len(order) > POINTS:
        bucket = (points.costs[order] * (POINTS / budget)).astype(int)
        order = order[np.r_[bucket[1:] != bucket[:-1], True]]
    return Points(points.costs[order], points.losses[order], points.levels[order])


def _same_rates(layers: list[Choices]) -> Iterator[Points]:
    """Each rate that a level has, in all layers: the greatest levels of no more, or the lowest."""
    rates = np.unique(np.concatenate([layer.keeps / layer.keeps[-1] for layer in layers]))
    for rate in rates:
        points = Points(np.zeros(1), np.zeros(1), np.zeros((1, 0), dtype=int))
        for layer in layers:
            fits = np.count_nonzero(layer.keeps <= rate * layer.keeps[-1] * (1 + SLACK))
            level = max(0, int(fits) - 1)
            one = slice(level, level + 1)
            points = _extended(
                points, Choices(layer.keeps[one], layer.costs[one], layer.losses[one])
            )
            points.levels[:, -1] = level
        yield points
