"""add, requantize, threshold and lookup in the portable tier."""

from __future__ import annotations

from math import prod

import numpy as np

from ..ir.numeric import Array
from ..ir.ops_pointwise import Add
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.tensor import TensorType
from .compiled import compiled
from .guess import climb, guess, spread
from .kernel import Kernel, Operands, Types

_RUN = 256
"""Parameters are repeated to runs of at least so many, so that few channels make long loops too."""
_NEVER = np.iinfo(np.int64).max
"""Fills a row of thresholds up to a power of two; the search never looks at the last one."""


def add(op: Add, types: Types) -> Kernel:
    """x and y ``(n, ...)`` -> accumulators."""
    left, right = (np.int32((m + 2**31) % 2**32 - 2**31) for m in op.multipliers)

    def run(op: Add, inputs: Operands, out: Array) -> None:
        _add(inputs[0].reshape(-1), inputs[1].reshape(-1), left, right, out.reshape(-1))

    return Kernel(run)


@compiled
def _add(x: Array, y: Array, left: np.int32, right: np.int32, out: Array) -> None:
    """Modulo 2**32, which is exact because every total fits int32."""
    for i in range(out.size):
        a = np.int32(left * np.int32(x[i]))
        out[i] = np.int32(a + np.int32(right * np.int32(y[i])))


def _channels(x: TensorType) -> tuple[int, int]:
    """Channels of axis 1, and how many neighbours in storage order share one."""
    channels, *rest = x.sample_shape or (1,)
    return channels, 1 if len(x.shape) == 4 else prod(rest)


def requantize(op: Requantize, types: Types) -> Kernel:
    """x ``(n, c, ...)`` with parameters scalar or ``(c,)`` -> codes."""
    channels, neighbours = _channels(types[0])
    runs = -(-_RUN // (channels * neighbours))

    def spread(parameter: Array) -> Array:
        wide = np.broadcast_to(parameter.astype(np.int64).reshape(-1), (channels,))
        return np.tile(np.repeat(wide, neighbours), runs)

    def prepare(op: Requantize, inputs: Operands) -> Operands:
        return inputs[0], *map(spread, inputs[1:])

    def run(op: Requantize, inputs: Operands, out: Array) -> None:
        x, multiplier, addend, shift = inputs
        _requantize(x.reshape(-1), multiplier, addend, shift, op.lo, op.hi, out.reshape(-1))

    return Kernel(run, prepare)


@compiled
def _requantize(
    x: Array, multiplier: Array, addend: Array, shift: Array, lo: int, hi: int, out: Array
) -> None:
    for first in range(0, x.size, multiplier.size):
        source, target = x[first : first + multiplier.size], out[first : first + multiplier.size]
        for i in range(source.size):
            code = (np.int64(source[i]) * multiplier[i] + addend[i]) >> shift[i]
            target[i] = min(max(code, lo), hi)


def threshold(op: Threshold, types: Types) -> Kernel:
    """x ``(n, c, ...)``, thresholds ``(1 or c, levels)``, ascending -> codes."""
    x, thresholds = types
    channels, neighbours = _channels(x)
    rows, levels = thresholds.sample_shape
    width = 1 << levels.bit_length()
    firsts = np.repeat(np.arange(channels) % rows * width, neighbours)
    firsts = np.tile(firsts, -(-_RUN // firsts.size))

    def prepare(op: Threshold, inputs: Operands) -> Operands:
        guessed = guess(inputs[1])
        if guessed is not None:
            line, behind = guessed
            each = firsts // width
            starts = each * behind.shape[1]
            return inputs[0], behind.reshape(-1), spread(line, each), starts
        return inputs[0], np.pad(
            inputs[1].astype(np.int64), ((0, 0), (0, width - levels)), constant_values=_NEVER
        ).reshape(-1)

    def run(op: Threshold, inputs: Operands, out: Array) -> None:
        x, held, *lines = inputs
        if lines:
            climb(x.reshape(-1), *lines, held, op.base, out.reshape(-1))
            return
        _threshold(x.reshape(-1), held, firsts, width, op.base, out.reshape(-1))

    return Kernel(run, prepare)


@compiled
def _threshold(
    x: Array, thresholds: Array, firsts: Array, width: int, base: int, out: Array
) -> None:
    """Binary search for how many thresholds are <= x, all elements of a run at each level."""
    found = np.empty(firsts.size, np.int64)
    for begin in range(0, x.size, firsts.size):
        source, target = x[begin : begin + firsts.size], out[begin : begin + firsts.size]
        found[:] = firsts
        half = width >> 1
        while half:
            for i in range(source.size):
                found[i] += half if thresholds[found[i] + half - 1] <= source[i] else 0
            half >>= 1
        for i in range(source.size):
            target[i] = base + found[i] - firsts[i]


def lookup(op: Lookup, types: Types) -> Kernel:
    """x ``(n, c, ...)``, table ``(entries,)`` or ``(c, entries)`` -> codes."""
    channels, neighbours = _channels(types[0])
    rows, entries = (1, *types[1].sample_shape)[-2:]
    starts = np.repeat(np.arange(channels) % rows * entries, neighbours)
    starts = np.tile(starts, -(-_RUN // starts.size))

    def prepare(op: Lookup, inputs: Operands) -> Operands:
        return inputs[0], inputs[1].astype(op.dtype.container).reshape(-1)

    def run(op: Lookup, inputs: Operands, out: Array) -> None:
        x, table = inputs
        if rows == 1:
            _lookup(x.reshape(-1), table, op.base, out.reshape(-1))
        else:
            _lookup_rows(x.reshape(-1), table, starts, (op.base, entries), out.reshape(-1))

    return Kernel(run, prepare)


@compiled
def _lookup(x: Array, table: Array, base: int, out: Array) -> None:
    """The index is kept within the table, so that damaged data cannot read elsewhere."""
    last = table.size - 1
    for i in range(x.size):
        out[i] = table[min(max(int(x[i]) - base, 0), last)]


@compiled
def _lookup_rows(x: Array, table: Array, starts: Array, place: tuple[int, int], out: Array) -> None:
    """Each channel's row of the table begins at one of ``starts``; ``place`` is base, entries."""
    base, last = place[0], place[1] - 1
    for first in range(0, x.size, starts.size):
        source, target = x[first : first + starts.size], out[first : first + starts.size]
        for i in range(source.size):
            target[i] = table[starts[i] + min(max(int(source[i]) - base, 0), last)]
