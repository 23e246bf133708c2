"""Room of weights on chip where zeros are skipped: counted in the tiles, from the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.ops_linear import GatherConv
from ..ir.program import Program
from .layers import Layer
from .search import sizes

Array = np.ndarray[Any, np.dtype[Any]]
Table = tuple[tuple[int, ...], ...]


def kept_bits(layer: Layer, bits: int) -> int:
    """Bits on chip of a weight that is not zero, with its place in the filter."""
    return bits + (layer.reduction - 1).bit_length()


def largest_tiles(present: Array) -> Table:
    """Weights of the fullest tile, of ``(groups, m, c)`` weights that are not zero.

    A row for each of ``sizes`` of c, in it a column for each of m: a mean over tiles would
    promise room that the fullest does not have.
    """
    _, filters, channels = present.shape
    until = _until(present.transpose(2, 0, 1))
    rows = []
    for c in sizes(channels):
        across = _until(_tiles(until, c).transpose(2, 0, 1))
        rows.append(tuple(int(_tiles(across, m).max()) for m in sizes(filters)))
    return tuple(rows)


def present_in(program: Program, layer: Layer) -> Array:
    """``(groups, m, c)`` weights of a layer with loops that are not zero."""
    assert layer.weights is not None
    assert layer.loops is not None
    constant = program.slots[layer.weights].constant
    assert constant is not None
    loops, weight = layer.loops, constant.array
    filters = loops.groups * loops.m
    channels = _listed(program, layer)
    if channels is None:
        places = np.count_nonzero(weight.reshape(filters, loops.c, -1), axis=2)
    else:
        places = np.zeros((filters, loops.c), np.int64)
        np.add.at(places.T, channels, (weight.reshape(filters, -1) != 0).T)
    return places.reshape(loops.groups, loops.m, loops.c)


def _listed(program: Program, layer: Layer) -> Array | None:
    """The channel of each place that a filter has, where a list says; channels count from 0."""
    step = next(each for each in program.steps if each.output == layer.output)
    if not isinstance(step.op, GatherConv):
        return None
    columns = program.slots[step.inputs[step.op.listed]].constant
    assert columns is not None
    every = program.slots[step.inputs[0]].type.sample_shape[0]
    return np.unique(columns.array.astype(np.int64) % every, return_inverse=True)[1].reshape(-1)


def _until(counts: Array) -> Array:
    """Sums of all before each place of the first axis, and of all."""
    found = np.zeros((len(counts) + 1, *counts.shape[1:]), np.int64)
    np.cumsum(counts, axis=0, out=found[1:])
    return found


def _tiles(until: Array, size: int) -> Array:
    """Sums over tiles of ``size`` along the first axis."""
    last = len(until) - 1
    return np.diff(until[[*range(0, last, size), last]], axis=0)
