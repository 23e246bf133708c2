"""How long units that skip zeros wait for each other: exact, from the mask of a weight matrix.

A unit does one weight that is not zero in a cycle. Activations that are zero are not skipped, and a
tile without work takes no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import UsageError
from ..ir.numeric import Array

Axis = Literal["rows", "columns"]
Order = Literal["interleaved", "blocks"]


@dataclass(frozen=True, slots=True)
class Dealing:
    """How lines of a matrix, its rows or columns, are dealt to units, and when these wait.

    ``interleaved``: line i goes to unit i mod units; ``blocks``: each unit gets lines that follow
    each other, the last units fewer or none. A tile is ``lines`` of each unit, and of these
    ``positions``, None for all; tiles of the same lines follow each other. No unit begins a tile
    before all have finished the one ``ahead`` + 1 before it: 0 is a barrier after every tile.

    Filters to units, one at a time: the defaults. EIE, where a column is sent to all units: lines
    None and positions 1; a queue of depth D, whose head is at work, is D - 1 ahead. Source: Han et
    al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network", ISCA 2016.
    """

    units: int
    axis: Axis = "rows"
    order: Order = "interleaved"
    lines: int | None = 1
    positions: int | None = None
    ahead: int = 0

    def __post_init__(self) -> None:
        counts = {"units": self.units, "lines": self.lines, "positions": self.positions}
        for name, count in counts.items():
            if count is not None and count < 1:
                raise UsageError(f"There cannot be {count} {name}.", fix="State 1 or more.")
        if self.ahead < 0:
            raise UsageError(f"A unit cannot be {self.ahead} tiles ahead.", fix="State 0 or more.")


@dataclass(frozen=True, slots=True)
class Balance:
    """Cycles of an array that skips zeros, the non-zero ``entries``, cycles if none were zero."""

    units: int
    cycles: int
    entries: int
    dense_cycles: int

    @property
    def imbalance(self) -> float:
        """Cycles over those of entries in equal parts for all units, also for idle ones; 1 of none.

        A matrix without zeros has one above 1 where its lines are no multiple of the units.
        """
        return self.cycles * self.units / self.entries if self.entries else 1.0

    @property
    def speedup(self) -> float:
        """How many times faster than if no zero were skipped; infinite where all is zero."""
        if not self.cycles:
            return np.inf if self.dense_cycles else 1.0
        return self.dense_cycles / self.cycles


def balance(mask: Array, dealing: Dealing) -> Balance:
    """The balance of a matrix ``(rows, columns)`` that is true, or not 0, where there is work."""
    if mask.ndim != 2:
        raise UsageError(
            f"A mask of {mask.ndim} dimensions is no matrix.",
            fix="Give one of shape (rows, columns), of each group by itself.",
        )
    lines = np.asarray(mask, bool) if dealing.axis == "rows" else np.asarray(mask, bool).T
    loads = tile_loads(lines, dealing)
    turns = -(-lines.shape[0] // dealing.units)
    cycles = _cycles(loads, dealing.ahead)
    return Balance(dealing.units, cycles, int(loads.sum()), turns * lines.shape[1])


def tile_loads(lines: Array, dealing: Dealing) -> Array:
    """Entries of each unit in each tile: ``(tiles, units)``."""
    count, length = lines.shape
    units = dealing.units
    turns, width = -(-count // units), dealing.positions or max(1, length)
    pieces = -(-length // width)
    padded = np.zeros((turns * units, pieces * width), bool)
    padded[:count, :length] = lines
    if dealing.order == "blocks":
        dealt = padded.reshape(units, turns, pieces, width).swapaxes(0, 1)
    else:
        dealt = padded.reshape(turns, units, pieces, width)
    loads = dealt.sum(axis=3, dtype=np.int64)
    starts = range(0, turns, dealing.lines or max(1, turns))
    tiles = (loads[start : start + starts.step].sum(axis=0).T for start in starts)
    return np.concatenate([np.zeros((0, units), np.int64), *tiles])


def _cycles(loads: Array, ahead: int) -> int:
    """When the last unit has finished.

    A tile begins for a unit when the unit has finished the one before, and all units the one
    ``ahead`` + 1 before. Of ``ahead`` + 1 tiles in a row all the latter are known at once.
    """
    if not ahead:
        return int(loads.max(axis=1, initial=0).sum())
    finished = np.zeros(loads.shape[1], np.int64)
    allowed = np.zeros((ahead + 1, 1), np.int64)
    for start in range(0, len(loads), ahead + 1):
        work = loads[start : start + ahead + 1]
        done = np.cumsum(work, axis=0)
        begun = np.maximum(allowed[: len(work)] - (done - work), finished)
        ends = np.maximum.accumulate(begun, axis=0) + done
        finished, allowed = ends[-1], ends.max(axis=1, keepdims=True)
    return int(finished.max(initial=0))


def expected_imbalance(positions: int, units: int, density: float) -> float:
    """Of tiles of ``positions`` weights for each unit, each left by itself with ``density``.

    The expectation of the greatest of independent binomial loads over their mean: the sum of
    ``1 - F(x)^units`` over x, F the binomial distribution. Masks of trained networks are worse,
    since some lines keep far more than others: 2.9 instead of 1.3 for 16 units in the first dense
    layer of LeNet-5 with one weight left in 17. Where there is a mask, ask ``balance``.
    """
    if positions < 1 or units < 1 or not 0 < density <= 1:
        raise UsageError(
            f"{units} units with {positions} weights at a density of {density:g} are no array.",
            fix="State 1 or more units and weights, and a density above 0 and up to 1.",
        )
    if density == 1:
        return 1.0
    x = np.arange(positions)
    ways = np.concatenate([[0.0], np.cumsum(np.log((positions - x) / (x + 1)))])[:-1]
    logs = ways + x * np.log(density) + (positions - x) * np.log1p(-density)
    below = np.minimum(np.cumsum(np.exp(logs)), 1.0)
    return float((1 - below**units).sum()) / (positions * density)
