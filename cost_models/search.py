"""The tiling that moves the fewest bits between DRAM and a memory of given size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .loops import Loops
from .tiling import ORDERS, Tiling, Words, touched, words

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of an element of each operand; ``sums`` are unfinished, ``stored_weights`` all in DRAM.

    An operand of 0 bits stays on chip: it moves nothing, and its place is no longer this layer's.
    ``weights`` on chip may have part of a bit, where not every place of the loops has a weight.
    ``largest`` are the weights that the fullest tile has on chip, by ``sizes`` of c, then of m;
    every tile has all of its places where it is empty.
    """

    inputs: int
    weights: float
    outputs: int
    sums: int
    stored_weights: int
    largest: tuple[tuple[int, ...], ...] = ()

    def moved(self, found: Words) -> int:
        """Bits between DRAM and chip."""
        return (
            found.inputs * self.inputs
            + found.weight_loads * self.stored_weights
            + found.outputs * self.outputs
            + 2 * found.sums_written * self.sums
        )


@dataclass(frozen=True, slots=True)
class Room:
    """Bits that the tiles of some operands have together on chip."""

    bits: int
    inputs: bool = True
    weights: bool = True
    outputs: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The best tiling, what moves in it and how many bits that is."""

    tiling: Tiling
    words: Words
    bits: int


@lru_cache(maxsize=4096)
def search(loops: Loops, widths: Widths, rooms: tuple[Room, ...]) -> Found | None:
    """The tiling of fewest bits whose tiles fit into all ``rooms``; None when none fits.

    Every number of trips of every loop is looked at in every order, with the smallest tile that
    has it, and with larger tiles of rows and columns that read fewer inputs: no other tiling moves
    less, nor with ``largest`` any of these tiles. Of those that move the same the first is taken:
    that with the largest tiles of samples, then of rows, columns, output and input channels.
    """
    candidates = [found for c in sizes(loops.c) if (found := _best(loops, widths, rooms, c))]
    if not candidates:
        return None
    bits, tiling = min(candidates, key=lambda found: found[0])
    return Found(tiling, words(loops, tiling), bits)


def sizes(extent: int) -> list[int]:
    """The smallest tile for every number of trips that there is, the largest tile first."""
    return sorted({-(-extent // trips) for trips in range(1, extent + 1)}, reverse=True)


@dataclass(frozen=True, slots=True)
class _Places:
    """All tiles of samples, rows and columns: trips, the greatest tiles, and inputs read."""

    n: Array
    p: Array
    q: Array
    trips: Array
    outputs: Array
    inputs: Array
    read: Array


@lru_cache(maxsize=1024)
def _places(loops: Loops) -> _Places:
    ns = np.array(sizes(loops.n))
    rows, columns = _axis(loops, 0), _axis(loops, 1)
    n, p, q = (
        grid.reshape(-1)
        for grid in np.meshgrid(
            np.arange(len(ns)), np.arange(len(rows)), np.arange(len(columns)), indexing="ij"
        )
    )
    p_size, p_trips, p_most, p_read = rows[p].T
    q_size, q_trips, q_most, q_read = columns[q].T
    n_size = ns[n]
    return _Places(
        n_size,
        p_size,
        q_size,
        -(-loops.n // n_size) * p_trips * q_trips,
        n_size * p_size * q_size,
        n_size * p_most * q_most,
        p_read * q_read,
    )


def _axis(loops: Loops, axis: int) -> Array:
    """``(k, 4)`` of each tile of rows or columns: its size, trips, greatest and all inputs read.

    A larger tile of as many trips reads less where a cut falls into a border or between the
    places of a dilated kernel.
    """
    found: list[tuple[int, int, int, int]] = []
    for size in range(1, (loops.p, loops.q)[axis] + 1):
        read = touched(loops, axis, size)
        trips, most, total = len(read), int(read.max()), int(read.sum())
        same = (other for other in found if other[1] == trips)
        if not any(other[2] <= most and other[3] <= total for other in same):
            found.append((size, trips, most, total))
    return np.array(found[::-1], np.int64)


def _best(
    loops: Loops, widths: Widths, rooms: tuple[Room, ...], c: int
) -> tuple[int, Tiling] | None:
    """The best with tiles of ``c`` input channels: bits and tiling.

    More output channels never move more; as many are taken as fit.
    """
    places = _places(loops)
    c_trips = -(-loops.c // c)
    most = (_most_present if widths.largest else _most)(loops, widths, rooms, c)
    fits = most >= 1
    if not fits.any():
        return None
    m_trips = -(-loops.m // np.maximum(most, 1))
    moved = np.stack([_moved(loops, widths, order, places, m_trips, c_trips) for order in ORDERS])
    moved[:, ~fits] = np.iinfo(np.int64).max
    order, index = divmod(int(moved.argmin()), len(fits))
    m = -(-loops.m // int(m_trips[index]))
    tile = (int(places.n[index]), int(places.p[index]), int(places.q[index]))
    return int(moved[order, index]), Tiling(*tile, m, c, ORDERS[order])


def _most(loops: Loops, widths: Widths, rooms: tuple[Room, ...], c: int) -> Array:
    """Output channels whose tiles fit, for every place; 0 where none does."""
    places = _places(loops)
    most = np.full(len(places.n), loops.m)
    for room in rooms:
        left = room.bits - room.inputs * places.inputs * (c * widths.inputs)
        weights = room.weights * c * loops.r * loops.s * widths.weights
        each = weights + room.outputs * places.outputs * _out_bits(loops, widths, c)
        fit = np.where(each > 0, left // np.maximum(each, 1), loops.m)
        most = np.minimum(most, np.where(left >= 0, fit, 0))
    return most


def _most_present(loops: Loops, widths: Widths, rooms: tuple[Room, ...], c: int) -> Array:
    """The same with weights that are counted in the tiles: a larger tile may have no more."""
    places, ms = _places(loops), np.array(sizes(loops.m))
    weights = np.array(widths.largest[sizes(loops.c).index(c)]) * widths.weights
    fits = np.ones((len(places.n), len(ms)), np.bool_)
    for room in rooms:
        left = room.bits - room.inputs * places.inputs * (c * widths.inputs)
        outputs = room.outputs * places.outputs * _out_bits(loops, widths, c)
        fits &= room.weights * weights + outputs[:, None] * ms <= left[:, None]
    return np.where(fits.any(axis=1), ms[fits.argmax(axis=1)], 0)


def _out_bits(loops: Loops, widths: Widths, c: int) -> int:
    """Sums that wait for more input channels are wide as long as they are here."""
    return widths.sums if c < loops.c else widths.outputs


def _moved(
    loops: Loops, widths: Widths, order: str, places: _Places, m_trips: Array, c_trips: int
) -> Array:
    """Bits for every place; as ``Widths.moved(words(...))``."""
    trips = {"s": places.trips, "m": m_trips, "c": np.full_like(m_trips, c_trips)}
    inputs = loops.groups * loops.n * loops.c * places.read * _reloads(order, trips, "m")
    sums = loops.outputs * (_reloads(order, trips, "c") - 1)
    return (
        inputs * widths.inputs
        + _reloads(order, trips, "s") * widths.stored_weights
        + loops.outputs * widths.outputs
        + 2 * sums * widths.sums
    )


def _reloads(order: str, trips: dict[str, Array], foreign: str) -> Array:
    """``tiling.reloads`` of many."""
    inner = [trips[loop] > 1 for loop in order[order.index(foreign) + 1 :]]
    moving = np.logical_or.reduce(inner) if inner else np.zeros(len(trips["s"]), np.bool_)
    return np.where(moving, trips[foreign], 1)
