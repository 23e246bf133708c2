"""How a layer is cut into tiles, and the words that each operand then moves: exact integers.

One tile of each operand is on chip at a time. The tiles of samples, rows and columns of the output
are one loop here, ``s``: inputs and outputs depend on all three and weights on none, so that their
order among themselves moves nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import ceil

import numpy as np

from .loops import Loops

ORDERS = tuple("".join(order) for order in permutations("smc"))
"""Orders of the loops over tiles, outermost first: s of outputs' places, m and c of channels."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Sizes of a tile in n, p, q, m and c, and the order of the loops over tiles.

    A tile has all of r and s. Groups are the outermost loop.
    """

    n: int
    p: int
    q: int
    m: int
    c: int
    order: str

    def trips(self, loops: Loops) -> dict[str, int]:
        """How often each loop over tiles runs, in one group."""
        places = ceil(loops.n / self.n) * ceil(loops.p / self.p) * ceil(loops.q / self.q)
        return {"s": places, "m": ceil(loops.m / self.m), "c": ceil(loops.c / self.c)}


@dataclass(frozen=True, slots=True)
class Words:
    """Elements that move between DRAM and chip; ``weight_loads`` is how often all weights do.

    ``sums_written`` are unfinished sums that leave the chip, and all of them come back.
    """

    inputs: int
    weight_loads: int
    outputs: int
    sums_written: int

    def total(self, loops: Loops) -> int:
        """Elements of all operands, unfinished sums both ways."""
        return (
            self.inputs + self.weight_loads * loops.weights + self.outputs + 2 * self.sums_written
        )


@dataclass(frozen=True, slots=True)
class Tiles:
    """Elements of the greatest tile of each operand."""

    inputs: int
    weights: int
    outputs: int


def reloads(order: str, trips: dict[str, int], foreign: str) -> int:
    """How often the operand that does not depend on loop ``foreign`` is moved.

    A tile stays on chip until a loop it depends on moves on; what is repeated outside of the
    innermost such loop repeats the operand.
    """
    moving = [place for place, loop in enumerate(order) if loop != foreign and trips[loop] > 1]
    return trips[foreign] if moving and order.index(foreign) < moving[-1] else 1


def words(loops: Loops, tiling: Tiling) -> Words:
    """What moves in this tiling."""
    trips = tiling.trips(loops)
    rows = touched(loops, 0, tiling.p).sum()
    columns = touched(loops, 1, tiling.q).sum()
    plane = int(rows) * int(columns)
    visits = reloads(tiling.order, trips, "c")
    return Words(
        inputs=loops.groups * loops.n * loops.c * plane * reloads(tiling.order, trips, "m"),
        weight_loads=reloads(tiling.order, trips, "s"),
        outputs=loops.outputs,
        sums_written=loops.outputs * (visits - 1),
    )


def tiles(loops: Loops, tiling: Tiling) -> Tiles:
    """The greatest tiles of this tiling."""
    rows, columns = touched(loops, 0, tiling.p).max(), touched(loops, 1, tiling.q).max()
    return Tiles(
        inputs=tiling.n * tiling.c * int(rows) * int(columns),
        weights=tiling.m * tiling.c * loops.r * loops.s,
        outputs=tiling.n * tiling.m * tiling.p * tiling.q,
    )


def touched(loops: Loops, axis: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """``(tiles,)`` rows (axis 0) or columns (axis 1) of x that each tile of outputs reads.

    Where the stride is greater than the kernel there are some between that nobody reads.
    """
    return seen(loops, axis, size).sum(axis=1, dtype=np.int64)


def seen(loops: Loops, axis: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """``(tiles, extent)`` whether a tile of outputs reads a row or, axis 1, a column of x."""
    outputs, kernel, extent = _axis(loops, axis)
    places = np.arange(outputs) * loops.stride[axis] - loops.pad[axis]
    read = places[:, None] + np.arange(kernel) * loops.dilation[axis]
    inside = (read >= 0) & (read < extent)
    tile = np.broadcast_to((np.arange(outputs) // size)[:, None], read.shape)
    found = np.zeros((ceil(outputs / size), extent), np.bool_)
    found[tile[inside], read[inside]] = True
    return found


def compulsory(loops: Loops) -> Words:
    """What moves at least: everything that is read or written, once."""
    return words(loops, Tiling(loops.n, loops.p, loops.q, loops.m, loops.c, ORDERS[0]))


def _axis(loops: Loops, axis: int) -> tuple[int, int, int]:
    if axis == 0:
        return loops.p, loops.r, loops.height
    return loops.q, loops.s, loops.width
