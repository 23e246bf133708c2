"""How often an array of multipliers reads and writes the memory beside it, by its dataflow.

Closed forms of whole passes: the array works on as many filters and products at a time as it has
columns and rows, and what does not fill it is idle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..errors import UsageError
from .machine import Array, Dataflow


@dataclass(frozen=True, slots=True)
class Shape:
    """A layer for the array: ``groups`` times ``places`` by ``m`` sums of ``reduction`` products.

    ``kernel`` and ``out`` are rows and columns of the kernel and of the output; ``visits`` is how
    often all weights come to the memory, once for each tile of places. ``present`` are the weights
    of each filter, group after group, that are not zero. ``tile`` has so many rows of the output,
    filters and channels: all of them where it is None. ``plane`` are inputs of a channel that are
    read strip by strip of rows, overlaps twice: as many as ``places`` where it is 0. ``width`` are
    columns of it that a row of the output needs: as many as the output's where it is 0.
    """

    groups: int
    m: int
    places: int
    reduction: int
    kernel: tuple[int, int]
    out: tuple[int, int]
    visits: int
    present: tuple[int, ...]
    tile: tuple[int, int, int] | None = None
    plane: int = 0
    width: int = 0

    @property
    def macs(self) -> int:
        """Products, zeros among them."""
        return self.groups * self.m * self.places * self.reduction


@dataclass(frozen=True, slots=True)
class Hops:
    """Elements that reach a multiplier, each counted there; sums that go to the memory as well.

    What many multipliers read together is one element of the memory and one hop for each (Chen,
    Emer, Sze, "Eyeriss", ISCA 2016). ``*`` repeats.
    """

    weights: int
    inputs: int
    sums: int

    def __mul__(self, times: int) -> Hops:
        return Hops(self.weights * times, self.inputs * times, self.sums * times)


@dataclass(frozen=True, slots=True)
class Passes:
    """Elements read from and written to memory, cycles, and the share of multipliers at work.

    ``sums`` are written and read again before an output is finished. ``macs`` are products that
    are done; ``imbalance`` is the cycles over those of filters with equally many weights.
    """

    macs: int
    weights: int
    inputs: int
    sums: int
    cycles: int
    utilisation: float
    hops: Hops
    imbalance: float = 1.0


def passes(shape: Shape, array: Array) -> Passes:
    """What a layer needs on this array; UsageError when it cannot skip zeros in its dataflow."""
    dense = _DATAFLOWS[array.dataflow](shape, array)
    return _skipping(shape, array, dense) if array.zero_skip == "skip" else dense


def _skipping(shape: Shape, array: Array, dense: Passes) -> Passes:
    """Zeros take no cycle: a column is done with its filter when its weights are used up.

    The columns wait for the one whose filter has most. Weights lie at other places in every
    filter, so that no two columns share an input: each product reads its own.
    """
    at_once = array.rows if array.dataflow == "weight_stationary" else 1
    if array.dataflow == "row_stationary":
        raise UsageError(
            "A row-stationary array works on whole rows of kernels and cannot skip zeros.",
            fix="Choose zero_skip 'gate', or another dataflow.",
        )
    counts = np.array(shape.present).reshape(shape.groups, shape.m)
    idle = -shape.m % array.columns
    loads = np.pad(-(-counts // at_once), ((0, 0), (0, idle)))
    slowest = loads.reshape(shape.groups, -1, array.columns).max(axis=2).sum()
    equal = loads.sum() / array.columns
    whole = shape.groups * ceil(shape.reduction / at_once) * ceil(shape.m / array.columns)
    macs, cycles = shape.places * sum(shape.present), dense.cycles * int(slowest) // whole
    weights = dense.weights * sum(shape.present) // (shape.groups * shape.m * shape.reduction)
    taken = weights if array.dataflow == "weight_stationary" else macs
    return Passes(
        macs=macs,
        weights=weights,
        inputs=macs,
        sums=dense.sums,
        cycles=cycles,
        utilisation=macs / (cycles * array.rows * array.columns) if cycles else 1.0,
        hops=Hops(taken, macs, dense.hops.sums),
        imbalance=float(slowest / equal) if equal else 1.0,
    )


def _weight_stationary(shape: Shape, array: Array) -> Passes:
    """Rows hold the products of a sum, columns the filters; inputs stream by, sums come and go.

    A multiplier with several weights adds their products of a place before the sum leaves.
    """
    deep, wide = ceil(shape.reduction / array.rows), ceil(shape.m / array.columns)
    together = ceil(shape.reduction / (array.rows * array.held_weights))
    outputs, weights = shape.places * shape.m, shape.m * shape.reduction * shape.visits
    sums, whole = outputs * (together - 1), (together - 1) * array.rows
    along = whole + min(array.rows, shape.reduction - whole * array.held_weights)
    return _counted(
        shape,
        array,
        weights=weights,
        inputs=shape.places * shape.reduction * wide,
        sums=sums,
        cycles=deep * wide * shape.places,
        hops=Hops(weights, outputs * shape.reduction, outputs * (along - together + 1) + 2 * sums),
    )


def _output_stationary(shape: Shape, array: Array) -> Passes:
    """Rows hold places of the output, columns filters; sums stay until they are finished."""
    tall, wide = ceil(shape.places / array.rows), ceil(shape.m / array.columns)
    outputs = shape.places * shape.m
    return _counted(
        shape,
        array,
        weights=shape.m * shape.reduction * tall,
        inputs=shape.places * shape.reduction * wide,
        sums=0,
        cycles=tall * wide * shape.reduction,
        hops=Hops(outputs * shape.reduction, outputs * shape.reduction, outputs),
    )


def _row_stationary(shape: Shape, array: Array) -> Passes:
    """A multiplier holds rows of kernels and makes a row of outputs.

    Rows of a kernel lie below each other, rows of the output beside each other: as many sets of
    them as fit work at a time. A multiplier keeps as many filters as it has sums, and as many of
    their channels as it has room for weights; other sets have other filters, of the same inputs,
    or other channels, of the same sums (Chen, Krishna, Emer, Sze, "Eyeriss", JSSC 2017). What is
    higher than the array is folded; every strip of rows of the output takes the weights and its
    inputs anew.
    """
    (rows, columns), (out_rows, out_columns) = shape.kernel, shape.out
    planes = ceil(shape.reduction / (rows * columns))
    tall, *_ = tile = shape.tile or (out_rows, shape.m, planes)
    strip = strip_rows(array, rows, tall)
    below = array.rows // min(rows, array.rows) // ceil(strip / array.columns)
    sets = below * (array.columns // min(tall, array.columns))
    strips = _rounds(out_rows, tall, strip)
    images = shape.places // (out_rows * out_columns)
    turns = ceil(planes * shape.m / sets) * images * ceil(rows / array.rows) * strips
    split = _least(shape, array, tile, planes, sets)
    outputs, all_weights = shape.places * shape.m, shape.m * shape.reduction
    again = ceil(out_rows / tall)
    width = images * rows * out_rows * (shape.width or out_columns)
    through = outputs * split.visits * (rows * split.deep - 1) + 2 * split.sums + outputs
    return _counted(
        shape,
        array,
        weights=all_weights * strips * shape.visits // again,
        inputs=split.inputs,
        sums=split.sums,
        cycles=turns * out_columns * columns,
        hops=Hops(
            all_weights * out_rows * shape.visits // again,
            width * planes * _rounds(shape.m, tile[1], min(array.held_sums, tile[1])),
            through,
        ),
    )


def strip_rows(array: Array, kernel_rows: int, tall: int) -> int:
    """Rows of the output at a time, of ``tall``: wide sets are cut and lie below each other."""
    below = array.rows // min(kernel_rows, array.rows)
    return min(tall, array.columns * min(ceil(tall / array.columns), below))


@dataclass(frozen=True, slots=True)
class _Split:
    """``deep`` sets have other channels of the same sums, which come ``visits`` times."""

    deep: int
    visits: int
    inputs: int
    sums: int


def _least(
    shape: Shape, array: Array, tile: tuple[int, int, int], planes: int, sets: int
) -> _Split:
    """Inputs read and unfinished sums written, with the sets split so that this is least."""
    _, most_filters, most_channels = tile
    filters = min(array.held_sums, most_filters)
    room = max(array.held_weights // (filters * shape.kernel[1]), 1)
    found = []
    for deep in range(1, min(sets, most_channels) + 1):
        channels = deep * min(room, most_channels // deep)
        turns = _rounds(shape.m, most_filters, filters * (sets // deep))
        visits = _rounds(planes, most_channels, channels)
        inputs = (shape.plane or shape.places) * planes * turns
        sums = shape.places * shape.m * (visits - 1)
        found.append(_Split(deep, visits, inputs, sums))
    return min(found, key=lambda each: each.inputs + 2 * each.sums)


def _rounds(extent: int, tile: int, step: int) -> int:
    """How many steps an extent takes that is cut into tiles first."""
    whole, rest = divmod(extent, tile)
    return whole * ceil(tile / step) + ceil(rest / step)


def _counted(
    shape: Shape, array: Array, weights: int, inputs: int, sums: int, cycles: int, hops: Hops
) -> Passes:
    """The counts of one group, for all groups."""
    groups, multipliers = shape.groups, array.rows * array.columns
    share = shape.macs / (groups * cycles * multipliers)
    return Passes(
        shape.macs,
        weights * groups,
        inputs * groups,
        sums * groups,
        cycles * groups,
        share,
        hops * groups,
    )


_DATAFLOWS: dict[Dataflow, Callable[[Shape, Array], Passes]] = {
    "weight_stationary": _weight_stationary,
    "output_stationary": _output_stationary,
    "row_stationary": _row_stationary,
}
