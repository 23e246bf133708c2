"""conv and dense of codes +1 and -1, 64 of them in a word: what differs is counted.

Of k products of such codes the sum is k less twice the places that differ: an exclusive or and a
count of bits, for eight channels at once. Bit c of a pixel is 1 where channel c is +1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense
from ..isa import features
from ..job import Job
from ..place import Place
from ..routine import Routine, read, routine, routine_row
from ..routine import sources as sources_of_kernels
from . import emit, linear
from .constants import aligned
from .emit import I8, I64, LONGS
from .ending import SIGNS, SUMS, at
from .linear import Window, sources, targets, window_of
from .signs import below_of, known_below
from .tile import over_runs, unpacked

NEEDED = "avx512vpopcntdq"
"""The feature of what counts bits."""
LANES, WIDE, ROWS = 8, 4, 4
"""Channels of a vector, vectors and patches of a tile."""
PANEL = LANES * WIDE
_NEVER = -1
"""No count is so small."""


def _declare(typingctx: Any, rows: Any, end: Any, patches: Any, panel: Any, out: Any) -> Any:
    """count_tile(rows, end, patches, panel, out): the first two are constants.

    patches: ``(x, sources, runs, run_count, words)`` as in ``multiply_tile``, words of 64 codes.
    panel: ``(weights, numbers)``, ``(runs, words, WIDE, LANES)`` words, and of each channel one
    int64: the most places that may differ where a code is +1, or the sum where none does. out:
    ``(address, targets, channels)``: a bit for each channel, or int32.
    """
    counts, kind = rows.literal_value, end.literal_value

    def emit_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        operands = unpacked(builder, signature.args[2:], args[2:])
        _Tile(builder, counts, kind, *operands).emit()
        return context.get_dummy_value()

    return types.void(rows, end, patches, panel, out), emit_tile


count_tile: Any = intrinsic(prefer_literal=True)(_declare)


@dataclass(frozen=True, slots=True)
class _Tile:
    builder: Any
    rows: int
    end: str
    patches: list[Any]
    panel: list[Any]
    out: list[Any]

    def emit(self) -> None:
        none = [emit.constant(0, LONGS)] * (self.rows * WIDE)
        weights = self.panel[0]
        counts = over_runs(self.builder, self.rows, self.patches, weights, WIDE, none, self._step)
        for row in range(self.rows):
            self._store(row, counts[row * WIDE :][:WIDE])

    def _step(self, index: Any, counts: list[Any], places: list[Any], panel: Any) -> list[Any]:
        builder = self.builder
        base = emit.plus(builder, panel, builder.mul(index, I64(64 * WIDE)))
        weights = [emit.load(builder, emit.plus(builder, base, 64 * n), LONGS) for n in range(WIDE)]
        offset, found = builder.shl(index, I64(3)), []
        for row, place in enumerate(places):
            word = emit.load(builder, emit.plus(builder, place, offset), I64)
            spread = emit.splat(builder, word, LONGS)
            for n, weight in enumerate(weights):
                differ = builder.xor(spread, weight)
                bits = emit.call(builder, "llvm.ctpop.v8i64", LONGS, differ)
                found.append(builder.add(counts[row * WIDE + n], bits))
        return found

    def _store(self, row: int, counts: list[Any]) -> None:
        builder, (address, places, channels) = self.builder, self.out
        target = at(builder, address, places, row)
        for n, count in enumerate(counts):
            number = emit.load(builder, emit.plus(builder, self.panel[1], 64 * n), LONGS)
            if self.end == SIGNS:
                bits = builder.bitcast(builder.icmp_signed("<=", count, number), I8)
                emit.store(builder, bits, emit.plus(builder, target, n))
                continue
            twice = builder.add(count, count)
            sums = builder.trunc(builder.sub(number, twice), ir.VectorType(ir.IntType(32), LANES))
            left = builder.sub(channels, I64(LANES * n))
            with builder.if_then(builder.icmp_signed(">", left, I64(0))):
                emit.store_lanes(builder, sums, emit.plus(builder, target, 4 * LANES * n), left)


@cache
def counting(end: str) -> Any:
    """The routine. Row: x, out (offsets); sources, targets (int32, of every sample, at least ROWS
    more than there are); patches of a sample, channels; runs (int64), their count, words; weights,
    numbers."""
    version, size = sources_of_kernels(), 1 if end == SIGNS else 32

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources_of_kernels)
        x, out, source, target = arena + read(p, 0), arena + read(p, 1), read(p, 2), read(p, 3)
        count, channels = samples * read(p, 4), read(p, 5)
        runs, run_count, words = read(p, 6), read(p, 7), read(p, 8)
        weights, numbers = read(p, 9), read(p, 10)
        for lane in range(0, channels, PANEL):
            panel, patch = (weights, numbers), 0
            to = out + lane // LANES * size
            while patch < count:
                patches = (x, source + 4 * patch, runs, run_count, words)
                into = (to, target + 4 * patch, channels - lane)
                if patch + ROWS // 2 < count:
                    count_tile(ROWS, end, patches, panel, into)
                    patch += ROWS
                else:
                    count_tile(1, end, patches, panel, into)
                    patch += 1
            weights += run_count * words * 64 * WIDE
            numbers += 64 * WIDE

    return routine(run)


def reads(job: Job) -> bool:
    """Whether it can be counted: one group, all codes +1 and -1, ending in signs or sums."""
    if NEEDED not in features() or not isinstance(job.op, Conv | Dense) or job.added is not None:
        return False
    x, weight = job.types[:2]
    kinds = {x.dtype.kind, weight.dtype.kind}
    plain = len(job.constants) < 4 and getattr(job.op, "groups", 1) == 1 and len(x.shape) != 3
    return kinds == {"bipolar"} and plain and (job.epilogue is None or below_of(job) is not None)


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine that counts what differs."""
    (x,) = operands
    window, weight = window_of(job), np.asarray(job.constants[1])
    bits = (weight.reshape(len(weight), *window.kernel, -1) > 0).astype(np.uint8)
    runs, words = _words(x, window, np.packbits(bits, axis=-1, bitorder="little"))
    whole = np.full(len(weight), bits[0].size, np.int64)
    if len(job.constants) > 2 and job.constants[2] is not None:
        whole += job.constants[2]
    end = SUMS if job.epilogue is None else SIGNS
    numbers = whole if job.epilogue is None else (whole - known_below(job) - 1) >> 1
    padded = np.pad(numbers, (0, -len(numbers) % PANEL), constant_values=_NEVER)
    return routine_row(
        counting(end).address,
        (
            *(x.offset, out.offset, sources(x, window, samples, ROWS), targets(out, samples, ROWS)),
            *(out.shape[0] * out.shape[1], len(weight), runs, len(runs), words.shape[2]),
            *(aligned(words), aligned(padded)),
        ),
    )


def _words(x: Place, window: Window, packed: Array) -> tuple[Array, Array]:
    """Where runs begin, and of weights ``(co, kh, kw, bytes)`` the words of panels."""
    starts, rows = linear.runs_of(x, window, packed, 1)
    words = np.ascontiguousarray(rows).view(np.uint64)
    full = np.pad(words, ((0, -len(words) % PANEL), (0, 0), (0, 0)))
    split = full.reshape(-1, WIDE, LANES, *words.shape[1:])
    return starts, np.ascontiguousarray(split.transpose(0, 3, 4, 1, 2))
