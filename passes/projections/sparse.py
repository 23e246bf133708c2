"""Which weights stay: single ones, or rows, slabs, columns and blocks of the layer's matrix.

Each set is a union of subspaces of equal size, so the nearest point keeps the parts of most energy
(sum of squares) as they are: Euclidean projection as in Zhang et al., arXiv 1804.03294 (single
weights) and arXiv 1807.11091 (filters, channels, columns). Counts are exact, ties too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from ...ir.numeric import Array
from .constraint import check_count, energy, largest, matrix, where_kept


@dataclass(frozen=True)
class NonStructured:
    """At most ``keep`` weights anywhere in the layer."""

    keep: int

    def project(self, weight: Array) -> Array:
        check_count("keep", self.keep, weight.size, "weights")
        return where_kept(weight, largest(energy(weight), self.keep))


@dataclass(frozen=True)
class Filters:
    """At most ``keep`` filters: rows of the matrix, one per output channel."""

    keep: int

    def project(self, weight: Array) -> Array:
        check_count("keep", self.keep, len(weight), "filters")
        kept = largest(energy(matrix(weight)).sum(axis=1), self.keep)
        return where_kept(weight, kept.reshape(-1, *(1,) * (weight.ndim - 1)))


@dataclass(frozen=True)
class Channels:
    """At most ``keep`` slabs ``weight[:, c]``; with groups, one channel of each group."""

    keep: int

    def project(self, weight: Array) -> Array:
        check_count("keep", self.keep, weight.shape[1], "input channels")
        rest = (0, *range(2, weight.ndim))
        kept = largest(energy(weight).sum(axis=rest), self.keep)
        return where_kept(weight, kept.reshape(-1, *(1,) * (weight.ndim - 2)))


@dataclass(frozen=True)
class Columns:
    """At most ``keep`` columns ``(c, y, x)`` of the matrix: one kernel shape for all filters."""

    keep: int

    def project(self, weight: Array) -> Array:
        check_count("keep", self.keep, weight[0].size, "columns")
        kept = largest(energy(matrix(weight)).sum(axis=0), self.keep)
        return where_kept(weight, kept.reshape(1, *weight.shape[1:]))


@dataclass(frozen=True)
class Blocks:
    """At most ``keep`` blocks of ``rows`` by ``columns`` of the matrix.

    Blocks at the right and lower edge are smaller where the sizes do not divide.
    """

    keep: int
    rows: int
    columns: int

    def project(self, weight: Array) -> Array:
        squares = energy(matrix(weight))
        check_count("rows", self.rows, squares.shape[0], "rows")
        check_count("columns", self.columns, squares.shape[1], "columns")
        rows, columns = (np.arange(size) for size in squares.shape)
        sums = np.add.reduceat(squares, rows[:: self.rows], axis=0)
        sums = np.add.reduceat(sums, columns[:: self.columns], axis=1)
        check_count("keep", self.keep, sums.size, f"blocks of {self.rows} by {self.columns}")
        kept = largest(sums, self.keep)
        spread = kept[rows // self.rows][:, columns // self.columns]
        return where_kept(weight, spread.reshape(weight.shape))


@dataclass(frozen=True)
class NOfM:
    """At most ``n`` of every ``m`` neighbors in a row of the matrix.

    The last group of a row is smaller where ``m`` does not divide the row.
    """

    n: int
    m: int

    def project(self, weight: Array) -> Array:
        check_count("m", self.m, weight[0].size, "columns")
        if not 1 <= self.n <= self.m:
            raise UsageError(
                f"n is {self.n} of every {self.m} weights.", fix=f"Choose 1 to {self.m}."
            )
        squares = energy(matrix(weight))
        rows, columns = squares.shape
        padded = np.pad(squares, ((0, 0), (0, -columns % self.m)), constant_values=-1)
        order = np.argsort(-padded.reshape(-1, self.m), axis=1, kind="stable")
        kept = np.zeros(order.shape, dtype=bool)
        np.put_along_axis(kept, order[:, : self.n], values=True, axis=1)
        return where_kept(weight, kept.reshape(rows, -1)[:, :columns].reshape(weight.shape))
