"""conv and dense whose weights are mostly zero, wherever they are: products of zeros are left out.

Words of four neighbours of sixteen patches are a vector, so that a word of weights of one channel
is multiplied for all of them, and words of weights that are zero cost nothing. For that patches are
turned before and sums afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from ...ir.numeric import Array
from ..job import Job
from ..place import Place
from ..routine import Routine, call, read, routine, routine_row
from ..routine import sources as sources_of_kernels
from . import emit, linear
from .constants import aligned
from .emit import BYTES, I32, I64, LANES, WORDS
from .ending import SIGNS, Ending, at, size_of
from .linear import by_panel, end_of, finish_of, for_samples, parts_of, sources, starts_of, targets
from .tile import unpacked

VECTORS = 4
"""Of sixteen patches, that a word of weights is multiplied with: as many sums wait for another."""
AT_ONCE = VECTORS * LANES
WORD = VECTORS * 64
"""Bytes of a word of four neighbours of so many patches."""
ENTRY = 8
"""Bytes of where a word lies, and of its weights."""
NEAR, FAR, TILE, END = 5.5, 9.0, 90.0, 130.0
"""What takes as long as so many products of a word with sixteen channels, measured: a word of one
channel times AT_ONCE patches, where these are in the nearest cache and where not; turning sixteen
words of sixteen patches; and turning sixteen patches' sums."""
CACHED = 40 << 10
"""Bytes of words that are in the nearest cache, or nearly."""
CLEARLY = 0.9
"""Zeros are left out where that takes no more than so much of the time."""


def _declare_turn(typingctx: Any, x: Any, sources: Any, words: Any, out: Any) -> Any:
    """turned(x, sources, words, out): words of sixteen patches, int32 ``(words, VECTORS, 16)``.

    Patch r begins at ``x + sources[r]`` (int32). Up to fifteen more words are read and written.
    """

    def emit_turn(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, sources, words, out = args
        begins = [at(builder, x, sources, row) for row in range(LANES)]

        def piece(index: Any, values: list[Any]) -> list[Any]:
            skip = builder.mul(index, I64(64))
            rows = [emit.load(builder, emit.plus(builder, each, skip), WORDS) for each in begins]
            to = emit.plus(builder, out, builder.mul(index, I64(LANES * WORD)))
            for n, column in enumerate(transposed(builder, rows)):
                emit.store(builder, column, emit.plus(builder, to, n * WORD))
            return []

        emit.loop(builder, builder.lshr(builder.add(words, I64(15)), I64(4)), [], piece)
        return context.get_dummy_value()

    return types.void(x, sources, words, out), emit_turn


turned: Any = intrinsic(_declare_turn)


def transposed(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Sixteen vectors of sixteen words, rows for columns: each turn weaves the halves once."""
    low = [lane // 2 + LANES * (lane % 2) for lane in range(LANES)]
    high, found = [lane + LANES // 2 for lane in low], list(rows)
    for _ in range(4):
        pairs = list(zip(found[: LANES // 2], found[LANES // 2 :], strict=True))
        found = [emit.shuffled(builder, *pair, order) for pair in pairs for order in (low, high)]
    return found


def _declare_panel(
    typingctx: Any, end: Any, item: Any, entries: Any, words: Any, sums: Any,
    panel: Any, out: Any, other: Any,
) -> Any:  # fmt: skip
    """listed_panel(end, item, entries, words, sums, panel, out, other): sixteen channels of
    AT_ONCE patches; where entries of the next sixteen begin. The first two are constants.

    entries: of each channel a count (int64), at least 1, then so many of a place in ``words`` and
    four weights (int32, int8 ``(4,)``). ``sums`` is memory, int32 ``(16, AT_ONCE)``. panel:
    ``(bias, kinds, finish)``, out and other as in ``multiply_tile``.
    """
    stop, size = end.literal_value, item.literal_value

    def emit_panel(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        entries, words, sums = args[2:5]
        panel, out, other = unpacked(builder, signature.args[5:], args[5:])

        def channel(index: Any, values: list[Any]) -> list[Any]:
            to = emit.plus(builder, sums, builder.mul(index, I64(WORD)))
            return [_channel(builder, values[0], words, to)]

        (after,) = emit.loop(builder, I64(LANES), [entries], channel)

        def vector(index: Any, values: list[Any]) -> list[Any]:
            _end(builder, (stop, size), sums, index, (panel, out, other))
            return []

        emit.loop(builder, I64(VECTORS), [], vector)
        return after

    return types.int64(end, item, entries, words, sums, panel, out, other), emit_panel


listed_panel: Any = intrinsic(prefer_literal=True)(_declare_panel)


def _channel(builder: Any, entries: Any, words: Any, to: Any) -> Any:
    """Sums of one channel; where the entries of the next begin."""
    name, count = "llvm.x86.avx512.vpdpbusd.512", emit.load(builder, entries, I64)
    first = emit.plus(builder, entries, ENTRY)

    def entry(index: Any, found: list[Any]) -> list[Any]:
        place = emit.plus(builder, first, builder.mul(index, I64(ENTRY)))
        skip = builder.zext(emit.load(builder, place, I32), I64)
        word = emit.load(builder, emit.plus(builder, place, 4), I32)
        weights = builder.bitcast(emit.splat(builder, word, WORDS), BYTES)
        base, more = emit.plus(builder, words, skip), []
        for n, total in enumerate(found):
            codes = emit.load(builder, emit.plus(builder, base, 64 * n), BYTES)
            more.append(emit.call(builder, name, WORDS, total, codes, weights))
        return more

    totals = emit.loop(builder, count, [emit.constant(0, WORDS)] * VECTORS, entry)
    for n, total in enumerate(totals):
        emit.store(builder, total, emit.plus(builder, to, 64 * n))
    return emit.plus(builder, first, builder.mul(count, I64(ENTRY)))


def _end(builder: Any, how: tuple[str, int], sums: Any, index: Any, operands: Any) -> None:
    """Turn the index-th sixteen patches' sums, add what they begin with, and store them."""
    (bias, kinds, finish), (out, goals, lanes), (other, others) = operands
    base, skip = emit.plus(builder, sums, builder.mul(index, I64(64))), builder.mul(index, I64(64))
    kinds, goals, others = (emit.plus(builder, each, skip) for each in (kinds, goals, others))
    channels = [emit.load(builder, emit.plus(builder, base, WORD * c), WORDS) for c in range(LANES)]
    rows = []
    for row, total in enumerate(transposed(builder, channels)):
        begin = emit.load(builder, at(builder, bias, kinds, row), WORDS)
        rows.append([builder.add(total, begin)])
    Ending(builder, *how, finish, (out, goals, lanes), (other, others)).store(rows)


@cache
def listed(end: str, item: int) -> Any:
    """The routine. Row: x, out, other (offsets); sources, targets, others, kinds (int32, of every
    sample); patches of a sample, channels; runs (int64), their count, words; entries, bias,
    parameters; the row of a routine for few patches."""
    block, version, share = size_of(end), sources_of_kernels(), 8 if end == SIGNS else 1

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources_of_kernels)
        count, channels = samples * read(p, 7), read(p, 8)
        if count < AT_ONCE:
            call(read(p, 15), arena, samples)
            return
        x, out, other = arena + read(p, 0), arena + read(p, 1), arena + read(p, 2)
        source, target, others, kinds = read(p, 3), read(p, 4), read(p, 5), read(p, 6)
        runs, run_count, words = read(p, 9), read(p, 10), read(p, 11)
        memory = np.empty((run_count * words + 2 * LANES) * WORD + 64, np.uint8)
        sums = (memory.ctypes.data + 63) & -64
        turned_words = sums + LANES * WORD
        for begin in range(0, count, AT_ONCE):
            first = min(begin, count - AT_ONCE)
            for index in range(run_count):
                skip, to = read(runs, index), turned_words + index * words * WORD
                for n in range(VECTORS):
                    turned(x + skip, source + 4 * (first + LANES * n), words, to + 64 * n)
            entries, bias, finish = read(p, 12), read(p, 13), read(p, 14)
            for lane in range(0, channels, LANES):
                panel = (bias, kinds + 4 * first, finish)
                into = (out + lane * item // share, target + 4 * first, channels - lane)
                added = (other + lane, others + 4 * first)
                entries = listed_panel(end, item, entries, turned_words, sums, panel, into, added)
                bias += 64
                finish += block

    return routine(run)


def accepts(job: Job) -> bool:
    """What ``linear`` accepts, in one group, if that is faster with zeros left out."""
    if not linear.accepts(job) or getattr(job.op, "groups", 1) > 1:
        return False
    channels, count = _words(_parts(job)).shape
    return pays(job, count * -(-channels // LANES))


def pays(job: Job, rival: float) -> bool:
    """Whether leaving zeros out takes clearly less time than ``rival``: a patch, in products of a
    word with sixteen channels."""
    return _time(job) < CLEARLY * rival


def _time(job: Job) -> float:
    """In the unit of ``pays``. Patches of a sample that are fewer than a block share blocks."""
    parts = _parts(job)
    words, runs = _words(parts), parts.shape[1]
    channels, count = words.shape
    tiles, vectors = runs * -(-count // runs // LANES), -(-channels // LANES)
    entry = NEAR if count * WORD <= CACHED else FAR
    block = entry * np.count_nonzero(words) + VECTORS * (TILE * tiles + END * vectors)
    pixels = job.result.elements // channels
    filled = -(-pixels // AT_ONCE) * AT_ONCE / pixels if pixels >= AT_ONCE else 1.0
    return float(filled * block / AT_ONCE)


def _weight(job: Job) -> Array:
    """``(co, kh, kw, c)``."""
    weight = np.asarray(job.constants[1])
    return weight.reshape(len(weight), *linear.window_of(job).kernel, -1)


def _parts(job: Job) -> Array:
    return parts_of(linear.window_of(job), _weight(job), 1)


def _words(parts: Array) -> Array:
    """Weights ``(co, runs, k)`` as words of four, int32 ``(co, runs * words)``."""
    full = np.pad(parts, ((0, 0), (0, 0), (0, -parts.shape[2] % 4))).astype(np.int8)
    return np.ascontiguousarray(full).view(np.int32).reshape(len(full), -1)


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine that leaves zeros out, and the one with all of them for few patches."""
    x, *others = operands
    window, weight = linear.window_of(job), _weight(job)
    runs, parts = linear.runs_of(x, window, weight, 1)
    starts, kinds = starts_of(job, weight, x.flipped)
    starts = by_panel(starts, 1, 1)
    words, dense = _words(parts), linear.make(job, operands, out, samples)
    made = routine_row(
        listed(SIGNS if out.bits else end_of(job), out.item).address,
        (
            *(x.offset, out.offset, others[0].offset if others else 0),
            *(sources(x, window, samples, 0), targets(out, samples, 0)),
            targets(others[0], samples, 0) if others else 0,
            for_samples(kinds * starts[0].nbytes, samples, 0),
            *(kinds.size, len(weight), runs, len(runs), words.shape[1] // len(runs)),
            *(_entries(words), aligned(starts)),
            finish_of(job, lambda values: by_panel(values[None], 1, 1)[0], out, others),
            dense.row,
        ),
    )
    return replace(made, kept=(*made.kept, *dense.kept))


def _entries(words: Array) -> Array:
    """What ``listed_panel`` reads; a channel without weights has one of zero."""
    found = []
    for row in np.pad(words, ((0, -len(words) % LANES), (0, 0))):
        places = np.flatnonzero(row)
        places = places if places.size else np.zeros(1, np.int64)
        pairs = np.stack([places * WORD, row[places]], axis=1).astype(np.int32)
        found += [np.array([len(places)], np.int64).view(np.int32), pairs.reshape(-1)]
    return aligned(np.concatenate(found))
