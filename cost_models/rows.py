"""DRAM moves whole bursts and opens whole rows: how many of them the tiles of a layer touch.

Activations lie sample by sample, channel by channel, row by row (n, c, h, w), one element after
another, from the beginning of a row of DRAM; weights tile after tile. Each operand has rows of its
own, and one stays open while a tile moves: a burst or a row counts once for every tile that
touches it. Exact integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from .loops import Loops
from .tiling import Tiling, seen

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Pages:
    """Bits of a burst and of a row."""

    burst: int
    row: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """Bursts and rows; ``+`` adds, ``*`` repeats."""

    bursts: int
    rows: int

    def __add__(self, other: Blocks) -> Blocks:
        return Blocks(self.bursts + other.bursts, self.rows + other.rows)

    def __mul__(self, times: int) -> Blocks:
        return Blocks(self.bursts * times, self.rows * times)


NO_BLOCKS = Blocks(0, 0)


def run_blocks(bits: int, pages: Pages, tiles: int = 1) -> Blocks:
    """Of ``bits`` that lie one after another, in as many equal tiles."""
    if not bits:
        return NO_BLOCKS
    ends = [bits * index // tiles for index in range(tiles + 1)]
    runs = [(start, end) for start, end in pairwise(ends) if start < end]
    return Blocks(
        *(
            sum((end - 1) // size - start // size + 1 for start, end in runs)
            for size in (pages.burst, pages.row)
        )
    )


@lru_cache(maxsize=4096)
def input_blocks(loops: Loops, tiling: Tiling, bits: int, pages: Pages) -> Blocks:
    """Of inputs that every tile reads once; unread places between are left out where they may."""
    inner = _inner(seen(loops, 0, tiling.p), seen(loops, 1, tiling.q))
    plane = loops.height * loops.width
    return _blocks(loops, (tiling.n, loops.c, tiling.c), plane, inner, bits, pages)


@lru_cache(maxsize=4096)
def output_blocks(loops: Loops, tiling: Tiling, bits: int, pages: Pages) -> Blocks:
    """Of outputs that every tile writes once."""
    inner = _inner(_cut(loops.p, tiling.p), _cut(loops.q, tiling.q))
    plane = loops.p * loops.q
    return _blocks(loops, (tiling.n, loops.m, tiling.m), plane, inner, bits, pages)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Contiguous elements of one channel: the tile that they are of, the first, and how many."""

    tile: Array
    first: Array
    length: Array


def _cut(extent: int, size: int) -> Array:
    """``(tiles, extent)`` whether a place is of a tile."""
    tile = np.arange(extent) // size
    return tile == np.arange(tile[-1] + 1)[:, None]


def _inner(rows: Array, columns: Array) -> _Runs:
    """The runs of every tile in a channel; whole rows that follow each other are one."""
    width = columns.shape[1]
    if columns.all():
        row_tile, first, count = _spans(rows)
        tile = (row_tile[:, None] * len(columns) + np.arange(len(columns))).reshape(-1)
        first, count = (np.repeat(each * width, len(columns)) for each in (first, count))
        return _Runs(tile, first, count)
    row_tile, row = np.nonzero(rows)
    column_tile, first, count = _spans(columns)
    tile = row_tile[:, None] * len(columns) + column_tile
    start = row[:, None] * width + first
    length = np.broadcast_to(count, start.shape)
    return _Runs(*(np.ascontiguousarray(each).reshape(-1) for each in (tile, start, length)))


def _spans(places: Array) -> tuple[Array, Array, Array]:
    """Tile, first place and number of places of every span without a gap."""
    padded = np.pad(places.astype(np.int8), ((0, 0), (1, 1)))
    step = np.diff(padded, axis=1)
    tile, first = np.nonzero(step == 1)
    return tile, first, np.nonzero(step == -1)[1] - first


def _blocks(
    loops: Loops,
    channels: tuple[int, int, int],
    plane: int,
    inner: _Runs,
    bits: int,
    pages: Pages,
) -> Blocks:
    """``channels``: samples of a tile, channels of a group and of a tile."""
    samples, every, some = channels
    found = NO_BLOCKS
    for planes in _planes(loops, samples, every, some):
        first = (planes[:, None] * plane + inner.first) * bits
        last = first + inner.length * bits - 1
        tile = np.broadcast_to(inner.tile, first.shape).reshape(-1)
        first, last = first.reshape(-1), last.reshape(-1)
        order = np.lexsort((first, tile))
        runs = tile[order], first[order], last[order]
        found += Blocks(_distinct(*runs, pages.burst), _distinct(*runs, pages.row))
    return found


def _planes(loops: Loops, samples: int, every: int, some: int) -> Iterator[Array]:
    """The channels of every tile, counted through all samples and groups."""
    for sample in range(0, loops.n, samples):
        chosen = np.arange(sample, min(sample + samples, loops.n), dtype=np.int64)
        for group in range(loops.groups):
            for channel in range(0, every, some):
                of_tile = np.arange(channel, min(channel + some, every)) + group * every
                yield (chosen[:, None] * (loops.groups * every) + of_tile).reshape(-1)


def _distinct(tile: Array, first: Array, last: Array, size: int) -> int:
    """Blocks of ``size`` bits that each tile touches; its runs rise."""
    begin, end = first // size, last // size
    shared = (tile[1:] == tile[:-1]) & (begin[1:] == end[:-1])
    return int((end - begin + 1).sum() - shared.sum())
