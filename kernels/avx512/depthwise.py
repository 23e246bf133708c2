"""A filter for every channel: 64 elements of a row at once, four places of the kernel at a time.

Where patches are neighbours, elements of a row of the result are, and those of x at each place of
the kernel: what is a pixel and what is a channel does not matter, but for weights and parameters,
which come again after so many blocks of 64. Elsewhere a row is one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import types
from numba.extending import intrinsic

from ..routine import read, routine, sources
from . import emit
from .emit import BYTES, I64, WORDS
from .ending import Ending, at, size_of
from .tile import unpacked

FOUR = 4
"""Places of the kernel that one instruction multiplies; vectors of sums of a block."""
AT_ONCE = 2
"""Rows whose blocks are computed together: they share weights and parameters."""
BLOCK = 64
"""Elements of a row that are computed together."""


def _declare(typingctx: Any, end: Any, item: Any, rows: Any, panel: Any, out: Any) -> Any:
    """depthwise_tile(end, item, rows, panel, out): the first two are constants.

    rows: ``(x, sources, places, steps)``. Row r begins at ``x + sources[r]`` (int32), its elements
    at places of the kernel lie ``places[i]`` (int64) from there, four places for each step. panel:
    ``(weights, bias, finish)``, int8 ``(steps, 4, 16, 4)`` and int32 ``(4, 16)``, woven; for out
    see ``Ending``.
    """
    stop, size = end.literal_value, item.literal_value

    def emit_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        operands = unpacked(builder, signature.args[2:], args[2:])
        ending = Ending(builder, stop, size, operands[1][-1], operands[2], woven=True)
        _Tile(builder, operands[0], operands[1], ending).emit()
        return context.get_dummy_value()

    return types.void(end, item, rows, panel, out), emit_tile


depthwise_tile: Any = intrinsic(prefer_literal=True)(_declare)


@dataclass(frozen=True, slots=True)
class _Tile:
    """AT_ONCE rows of one block; ``_declare`` says what the operands are."""

    builder: Any
    rows: list[Any]
    panel: list[Any]
    ending: Ending

    def emit(self) -> None:
        builder = self.builder
        x, sources, _, steps = self.rows
        begins = [at(builder, x, sources, row) for row in range(AT_ONCE)]
        first = self._vectors(self.panel[1], WORDS)
        sums = emit.loop(
            builder, steps, first * AT_ONCE, lambda i, each: self._step(i, each, begins)
        )
        self.ending.store([sums[:FOUR], sums[FOUR:]])

    def _vectors(self, address: Any, type_: Any) -> list[Any]:
        places = (emit.plus(self.builder, address, 64 * i) for i in range(FOUR))
        return [emit.load(self.builder, place, type_) for place in places]

    def _step(self, index: Any, sums: list[Any], begins: list[Any]) -> list[Any]:
        builder, name = self.builder, "llvm.x86.avx512.vpdpbusd.512"
        base = emit.plus(builder, self.rows[2], builder.mul(index, I64(8 * FOUR)))
        skips = [emit.load(builder, emit.plus(builder, base, 8 * i), I64) for i in range(FOUR)]
        step = emit.plus(builder, self.panel[0], builder.mul(index, I64(64 * FOUR)))
        weights, found = self._vectors(step, BYTES), []
        for row, begin in enumerate(begins):
            places = (emit.plus(builder, begin, skip) for skip in skips)
            codes = woven(builder, [emit.load(builder, place, BYTES) for place in places])
            for total, code, weight in zip(sums[FOUR * row :], codes, weights, strict=False):
                found.append(emit.call(builder, name, WORDS, total, code, weight))
        return found


def woven(builder: Any, four: list[Any]) -> list[Any]:
    """Bytes of four vectors by turns: word i of lane l of the j-th has those of 16 l + 4 j + i."""
    (a, b), (c, d) = (_interleaved(builder, four[i], four[i + 1], 1) for i in (0, 2))
    return [*_interleaved(builder, a, c, 2), *_interleaved(builder, b, d, 2)]


def _interleaved(builder: Any, left: Any, right: Any, size: int) -> list[Any]:
    """Runs of ``size`` bytes of both by turns: of the lower half of each 16, and of the upper."""
    found = []
    for half in (0, 8):
        order = [
            64 * side + 16 * lane + half + size * run + i
            for lane in range(4)
            for run in range(8 // size)
            for side in (0, 1)
            for i in range(size)
        ]
        found.append(emit.shuffled(builder, left, right, order))
    return found


@cache
def depthwise(end: str, item: int) -> Any:
    """The routine. Row: x, out (offsets); sources, targets (int32, of every sample, at least
    AT_ONCE more than there are); rows of a sample, elements in each; places (int64), steps;
    weights, bias, parameters of a block, then of the next; how many blocks have their own."""
    size, version = FOUR * size_of(end), sources()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        x, out, source, target = arena + read(p, 0), arena + read(p, 1), read(p, 2), read(p, 3)
        count, length, places, steps = samples * read(p, 4), read(p, 5), read(p, 6), read(p, 7)
        for row in range(0, count, AT_ONCE):
            own = 0
            for first in range(0, length, BLOCK):
                weights = read(p, 8) + own * steps * BLOCK * FOUR
                panel = (weights, read(p, 9) + own * BLOCK * 4, read(p, 10) + own * size)
                rows = (x + first, source + 4 * row, places, steps)
                to = (out + first * item, target + 4 * row, length - first)
                depthwise_tile(end, item, rows, panel, to)
                own = own + 1 if own + 1 < read(p, 11) else 0

    return routine(run)
