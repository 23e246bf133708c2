"""Compiled loops of conv, gather_conv and dense: panels of weights times runs of a padded image.

The image is copied once into a border of pad_value, widened to the weights' integers; then every
patch of it is a few runs of neighbouring elements and needs no gathering. Where only listed
elements count, they are gathered for a block of patches at a time, which stays in the L1 cache.
Everything wraps modulo 2**32. That is exact: the compiler proves that every total fits int32, so
whatever wraps on the way wraps back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..ir.numeric import Array
from .compiled import compiled

LANES = 16
"""Output channels of a panel: they lie side by side in one vector of int32."""
ROWS = 6
"""Patches multiplied at once: with 16 lanes their sums just fill the registers of AVX2."""
BLOCK = 4 * ROWS
"""Patches that one panel is multiplied with before the next, while it is in the L1 cache."""

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_WORDS = ir.VectorType(_I32, LANES)


def _declare_multiply(
    typingctx: Any, image: Any, starts: Any, runs: Any, panel: Any, bias: Any, out: Any, pitch: Any
) -> Any:
    """_multiply(image, starts, runs, panel, bias, out, pitch): six patches times one panel.

    ``out[r * pitch + lane] = bias[lane] + sum_run,k image[starts[r] + runs[run] + k] * weight``.

    weight is ``panel[run, k // p, lane, k % p]``; r < ROWS and lane < LANES. Elements are int16
    with p = 2, because LLVM turns a sum of products of pairs into the multiply-add instruction that
    every x86 has (from no loop of scalars does it), or int32 with p = 1.
    """
    return types.void(image, starts, runs, panel, bias, out, pitch), _emit_multiply


_multiply: Any = intrinsic(_declare_multiply)


def _emit_multiply(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    image, starts, runs, panel, bias, out = (
        context.make_array(type_)(context, builder, value)
        for type_, value in zip(signature.args[:-1], args[:-1], strict=True)
    )
    pairs = signature.args[3].dtype == types.int16
    run_count, step_count = (builder.extract_value(panel.shape, axis) for axis in (0, 1))
    weights = builder.bitcast(panel.data, _WORDS.as_pointer())
    rows = [
        builder.gep(image.data, [_load(builder, builder.gep(starts.data, [_I64(r)]))])
        for r in range(ROWS)
    ]
    first = _load(builder, builder.bitcast(bias.data, _WORDS.as_pointer()))
    sums = [cgutils.alloca_once_value(builder, first) for _ in rows]  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, run_count) as run:
        skip = _load(builder, builder.gep(runs.data, [run.index]))
        words = [_as_words(builder, builder.gep(row, [skip])) for row in rows]
        base = builder.mul(run.index, step_count)
        with cgutils.for_range(builder, step_count) as step:
            at = builder.add(base, step.index)
            column = _load(builder, builder.gep(weights, [at]))
            for word, total in zip(words, sums, strict=True):
                value = _splat(builder, _load(builder, builder.gep(word, [step.index])))
                product = _products(builder, value, column, pairs)
                builder.store(builder.add(builder.load(total), product), total)
    for r, total in enumerate(sums):
        target = builder.gep(out.data, [builder.mul(args[-1], _I64(r))])
        place = builder.bitcast(target, _WORDS.as_pointer())
        builder.store(builder.load(total), place).align = 4
    return context.get_dummy_value()


def _as_words(builder: Any, pointer: Any) -> Any:
    return builder.bitcast(pointer, _I32.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 2
    return value


def _splat(builder: Any, word: Any) -> Any:
    undefined = ir.Constant(_WORDS, ir.Undefined)
    first = builder.insert_element(undefined, word, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_WORDS, [0] * LANES))


def _products(builder: Any, left: Any, right: Any, pairs: bool) -> Any:
    """Per lane the product of int32, or the sum of the products of two int16."""
    if not pairs:
        return builder.mul(left, right)
    narrow, wide = (ir.VectorType(ir.IntType(bits), 2 * LANES) for bits in (16, 32))
    a, b = (builder.sext(builder.bitcast(value, narrow), wide) for value in (left, right))
    product, undefined = builder.mul(a, b), ir.Constant(wide, ir.Undefined)
    even, odd = (
        builder.shuffle_vector(
            product, undefined, ir.Constant(_WORDS, list(range(half, 2 * LANES, 2)))
        )
        for half in (0, 1)
    )
    return builder.add(even, odd)


@compiled
def _fill(image: Array, x: Array, corner: int, pitch: int) -> None:
    """Copy x ``(n, h, w * c)`` into image ``(n, size)``, rows ``pitch`` apart from ``corner``."""
    for n in range(x.shape[0]):
        for y in range(x.shape[1]):
            source, start = x[n, y], corner + y * pitch
            target = image[n, start : start + source.size]
            for k in range(target.size):
                target[k] = source[k]


@compiled
def _multiply_group(
    image: Array,
    starts: Array,
    runs: Array,
    panels: Array,
    bias: Array,
    out: Array,
    place: tuple[int, int, int, int],
) -> None:
    """Every patch times the panels of one group.

    ``place`` is the number of patches, the distance between two in ``out``, and the group's first
    channel and number of channels.
    """
    patches, pitch, channel, channels = place
    tile = np.empty(ROWS * LANES, np.int32)
    for block in range(0, patches, BLOCK):
        for p in range(panels.shape[0]):
            lanes = min(LANES, channels - p * LANES)
            for first in range(block, min(block + BLOCK, patches), ROWS):
                rows = min(ROWS, patches - first)
                target = out[first * pitch + channel + p * LANES :]
                if rows == ROWS and lanes == LANES:
                    _multiply(image, starts[first:], runs, panels[p], bias[p], target, pitch)
                    continue
                _multiply(image, starts[first:], runs, panels[p], bias[p], tile, LANES)
                for r in range(rows):
                    for lane in range(lanes):
                        target[r * pitch + lane] = tile[r * LANES + lane]


@compiled
def convolve(
    x: Array,
    panels: Array,
    bias: Array,
    image: Array,
    corner: int,
    pitch: int,
    starts: Array,
    runs: Array,
    out: Array,
) -> None:
    """Panels of weights times the patches of x.

    x ``(n, h, w * c)``, panels ``(groups, blocks, runs, steps, LANES, p)``, bias ``(groups, blocks,
    LANES)``, image ``(together, size)`` with its border set, starts ``(>= together * patches,)`` a
    multiple of ROWS, runs ``(groups, runs)``, out ``(n, patches, co)``.
    """
    together = image.shape[0]
    samples, patches, channels = out.shape
    groups = panels.shape[0]
    flat = image.reshape(image.size)
    for first in range(0, samples, together):
        count = min(together, samples - first)
        _fill(image, x[first : first + count], corner, pitch)
        result = out[first : first + count].reshape(count * patches * channels)
        for g in range(groups):
            each = channels // groups
            place = (count * patches, channels, g * each, each)
            _multiply_group(flat, starts, runs[g], panels[g], bias[g], result, place)


@compiled
def gather(
    x: Array,
    panels: Array,
    bias: Array,
    image: Array,
    corner: int,
    pitch: int,
    starts: Array,
    offsets: Array,
    out: Array,
) -> None:
    """Panels of weights times the elements of each patch of x that lie at ``offsets``.

    Like ``convolve`` for one group: panels ``(blocks, 1, steps, LANES, p)``, bias ``(blocks,
    LANES)``, offsets ``(k,)`` in the order of the weights.
    """
    together = image.shape[0]
    samples, patches, channels = out.shape
    depth = panels.shape[2] * panels.shape[4]
    flat = image.reshape(image.size)
    block = np.zeros(BLOCK * depth, image.dtype)
    rows, whole = np.arange(BLOCK) * depth, np.zeros(1, np.int64)
    for first in range(0, samples, together):
        count = min(together, samples - first)
        _fill(image, x[first : first + count], corner, pitch)
        result = out[first : first + count].reshape(count * patches * channels)
        for begin in range(0, count * patches, BLOCK):
            size = min(BLOCK, count * patches - begin)
            for r in range(size):
                patch, target = flat[starts[begin + r] :], block[r * depth :]
                for k in range(offsets.size):
                    target[k] = patch[offsets[k]]
            target = result[begin * channels :]
            place = (size, channels, 0, channels)
            _multiply_group(block, rows, whole, panels, bias, target, place)


@compiled
def add_at(out: Array, places: Array, values: Array) -> None:
    """Add values ``(m, co)`` to out ``(n, patches, co)`` at ``places`` ``(m,)`` of every sample."""
    for n in range(out.shape[0]):
        for m in range(places.size):
            total, addend = out[n, places[m]], values[m]
            for i in range(total.size):
                total[i] = np.int32(total[i] + addend[i])


@compiled
def depthwise(
    x: Array,
    weight: Array,
    bias: Array,
    image: Array,
    corner: int,
    pitch: int,
    starts: Array,
    runs: Array,
    out: Array,
) -> None:
    """One filter per channel: element by element over stretches of neighbouring patches.

    Like ``convolve``, but image ``(1, size)``, runs ``(taps,)``, weight ``(taps, stretch)``, bias
    ``(stretch,)``, out ``(n, stretches, stretch)`` and one of ``starts`` for each stretch.
    """
    flat = image.reshape(image.size)
    stretch = bias.size
    for n in range(out.shape[0]):
        _fill(image, x[n : n + 1], corner, pitch)
        for s in range(out.shape[1]):
            total = out[n, s]
            total[:] = bias
            for run in range(runs.size):
                start = starts[s] + runs[run]
                factors, source = weight[run], flat[start : start + stretch]
                for i in range(stretch):
                    product = np.int32(np.int32(source[i]) * np.int32(factors[i]))
                    total[i] = np.int32(total[i] + product)
