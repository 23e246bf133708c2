"""Codes by thresholds: each that a sum reaches adds its weight, sixteen channels at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...ir.numeric import Array
from .emit import LANES

MOST = 16
"""Different thresholds of a channel; more are found faster by halving."""
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class Steps:
    """Codes begin with ``base`` ``(c,)``; beyond ``below`` ``(c, n)`` they rise by ``weight``.

    A weight counts where a sum is greater; equal thresholds are one of greater weight.
    """

    base: Array
    below: Array
    weight: Array

    @property
    def bits(self) -> str:
        """The word of ``ending`` for it."""
        return f"steps{self.below.shape[1]}"

    def moved(self, by: int) -> Steps:
        """The same, with codes ``by`` greater."""
        return replace(self, base=self.base + by)

    def spread(self, over: Callable[[Array], Array]) -> Steps:
        """The parameters as ``over`` spreads them over channels."""
        below, weight = (
            np.stack([over(column) for column in each.T], axis=1)
            for each in (self.below, self.weight)
        )
        return Steps(over(self.base), below, weight)

    def pack(self, *, bytes_: bool) -> Array:
        """Bytes ``(panels, block)``; the limits at the end are those of the type."""
        missing = -len(self.base) % LANES
        pairs = [each for n in range(self.below.shape[1]) for each in self._column(n)]
        words = [np.pad(each, (0, missing)).astype(np.int32) for each in (self.base, *pairs)]
        vectors = np.stack([each.reshape(-1, LANES) for each in words], axis=1)
        ends = (0, 255) if bytes_ else (_INT32.min, _INT32.max)
        kind = np.uint8 if bytes_ else np.int32
        limits = [np.full(64 // np.dtype(kind).itemsize, end, kind).view(np.uint8) for end in ends]
        flat = vectors.reshape(len(vectors), -1).view(np.uint8)
        return np.concatenate([flat, np.tile(np.concatenate(limits), (len(flat), 1))], axis=1)

    def _column(self, n: int) -> tuple[Array, Array]:
        return self.below[:, n], self.weight[:, n]


def steps(channels: int, thresholds: Array, base: int) -> Steps | None:
    """Steps of ``thresholds`` ``(1 or c, levels)``, ascending; None where they are too many.

    Those that every int32 reaches are in the base, those that none does are left out.
    """
    rows = np.broadcast_to(thresholds.astype(np.int64), (channels, thresholds.shape[1]))
    found = [_distinct(row, base) for row in rows]
    count = max((len(below) for _, below, _ in found), default=0)
    if count > MOST:
        return None
    below, weight = np.zeros((2, channels, max(count, 1)), np.int64)
    for channel, (_, values, counts) in enumerate(found):
        below[channel, : len(values)], weight[channel, : len(counts)] = values, counts
    return Steps(np.array([first for first, _, _ in found]), below, weight)


def _distinct(row: Array, base: int) -> tuple[int, Array, Array]:
    """Base, the greatest sums that do not reach a threshold, and how many thresholds are equal."""
    always = int(np.count_nonzero(row <= _INT32.min))
    values, counts = np.unique(row[(row > _INT32.min) & (row <= _INT32.max)], return_counts=True)
    return base + always, values - 1, counts
