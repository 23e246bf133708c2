"""Filters and columns together: the crossings of some rows and some columns of the matrix.

The best crossing has no closed form (it is the heaviest ``filters`` by ``columns`` submatrix, an
NP-hard choice), but given its rows the best columns are known, and the other way round. A small
matrix is searched whole. Otherwise alternation climbs from several starts: the heaviest rows, the
heaviest columns, those that would be if each chose its own best crossings, both sides in one (the
leading singular vector of the energies) and what peeling leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from ...ir.numeric import Array
from .constraint import check_count, energy, largest, matrix, where_kept

FEW = 1 << 21
"""Sums that may be compared one by one: choices of one side times the length of the other."""
TURNS = 20


@dataclass(frozen=True)
class FiltersAndColumns:
    """At most ``filters`` rows and ``columns`` columns of the matrix.

    Exact where either side has few choices; else never further than rows first, then columns, nor
    than columns first, then rows. On random matrices of up to 9 by 9 climbing alone keeps 99.95 %
    of the greatest energy on average and 97 % at worst.
    """

    filters: int
    columns: int

    def project(self, weight: Array) -> Array:
        squares = energy(matrix(weight))
        check_count("filters", self.filters, squares.shape[0], "filters")
        check_count("columns", self.columns, squares.shape[1], "columns")
        rows, columns = heaviest(squares, self.filters, self.columns)
        return where_kept(weight, np.outer(rows, columns).reshape(weight.shape))


def heaviest(squares: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """The rows and columns kept, as masks."""
    height, width = squares.shape
    if comb(height, rows) * width <= FEW:
        return _exact(squares, rows, columns)
    if comb(width, columns) * height <= FEW:
        across, down = _exact(squares.T, columns, rows)
        return down, across
    return climbed(squares, rows, columns)


def climbed(squares: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """The best crossing that alternation reaches from any start."""
    found = [_climb(squares, start, rows, columns) for start in _starts(squares, rows, columns)]
    return max(found, key=lambda kept: kept[0] @ squares @ kept[1])


def _exact(squares: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """The best of all choices of rows, each with its best columns."""
    choices = np.array(list(combinations(range(len(squares)), rows)))
    members = np.zeros((len(choices), len(squares)))
    np.put_along_axis(members, choices, 1, axis=1)
    sums = members @ squares
    sums.partition(sums.shape[1] - columns, axis=1)
    best = members[np.argmax(sums[:, sums.shape[1] - columns :].sum(axis=1))] > 0
    return best, largest(squares[best].sum(axis=0), columns)


def _climb(squares: Array, kept: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """Alternate from a mask of rows until the kept energy stands still; it never falls."""
    reached = -1.0
    for _ in range(TURNS):
        across = largest(kept @ squares, columns)
        down = largest(squares @ across, rows)
        gained = float(down @ squares @ across)
        if gained <= reached:
            break
        kept, reached = down, gained
    return kept, largest(kept @ squares, columns)


def _starts(squares: Array, rows: int, columns: int) -> Iterator[Array]:
    """Masks of rows to climb from."""
    yield largest(squares.sum(axis=1), rows)
    yield largest(squares @ largest(squares.sum(axis=0), columns), rows)
    yield largest(_own_best(squares, columns), rows)
    yield largest(squares @ largest(_own_best(squares.T, rows), columns), rows)
    yield largest(_leading(squares), rows)
    yield _peeled(squares, rows, columns)


def _own_best(squares: Array, keep: int) -> Array:
    """The sum of the ``keep`` greatest energies of each row."""
    edge = squares.shape[1] - keep
    sums: Array = np.partition(squares, edge, axis=1)[:, edge:].sum(axis=1)
    return sums


def _leading(squares: Array) -> Array:
    """The leading left singular vector of the energies, nearly: 20 turns of power iteration."""
    vector = np.ones(len(squares))
    for _ in range(TURNS):
        vector = squares @ (vector @ squares)
        vector /= np.linalg.norm(vector) or 1.0
    return vector


def _peeled(squares: Array, rows: int, columns: int) -> Array:
    """Drop the row or column of least mean energy in what is left, one after the other."""
    alive = [np.ones(size, dtype=bool) for size in squares.shape]
    sums = [squares.sum(axis=1), squares.sum(axis=0)]
    while (left := [int(each.sum()) for each in alive]) != [rows, columns]:
        worst = [np.argmin(np.where(alive[side], sums[side], np.inf)) for side in (0, 1)]
        means = [sums[side][worst[side]] / left[1 - side] for side in (0, 1)]
        side = int(left[0] == rows or (left[1] > columns and means[1] < means[0]))
        alive[side][worst[side]] = False
        sums[1 - side] = sums[1 - side] - (squares, squares.T)[side][worst[side]]
    return alive[0]
