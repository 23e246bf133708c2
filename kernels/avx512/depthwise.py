"""A filter for every channel: sixteen channels at once, four places of the kernel at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..routine import read, routine, sources
from . import emit
from .emit import BYTES, CODES, I32, I64, LANES, WORDS
from .ending import Ending, at, size_of
from .tile import unpacked

FOUR = 4
"""Places of the kernel that one instruction multiplies, and patches at once."""


def _declare(
    typingctx: Any, rows: Any, end: Any, item: Any, patches: Any, panel: Any, out: Any
) -> Any:
    """depthwise_tile(rows, end, item, patches, panel, out): the first three are constants.

    patches: ``(x, sources, places, steps)``. Patch r begins at ``x + sources[r]`` (int32), the
    places of the kernel lie ``places[i]`` (int64) from there, four for each step. panel:
    ``(weights, bias, finish)``, int8 ``(steps, 16, 4)``, int32 ``(16,)``; for out see ``Ending``.
    """
    counts = [each.literal_value for each in (rows,)]
    stop, size = end.literal_value, item.literal_value

    def emit_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        operands = unpacked(builder, signature.args[3:], args[3:])
        ending = Ending(builder, stop, size, operands[1][-1], operands[2], ())
        _Tile(builder, counts[0], operands[0], operands[1], ending).emit()
        return context.get_dummy_value()

    return types.void(rows, end, item, patches, panel, out), emit_tile


depthwise_tile: Any = intrinsic(prefer_literal=True)(_declare)


@dataclass(frozen=True, slots=True)
class _Tile:
    builder: Any
    rows: int
    patches: list[Any]
    panel: list[Any]
    ending: Ending

    def emit(self) -> None:
        builder = self.builder
        x, sources, _, steps = self.patches
        begins = [at(builder, x, sources, row) for row in range(self.rows)]
        first = emit.load(builder, self.panel[1], WORDS)
        sums = emit.loop(
            builder, steps, [first] * self.rows, lambda i, each: self._step(i, each, begins)
        )
        self.ending.store(0, sums)

    def _step(self, index: Any, sums: list[Any], begins: list[Any]) -> list[Any]:
        builder, places = self.builder, self.patches[2]
        base = emit.plus(builder, places, builder.mul(index, I64(8 * FOUR)))
        skips = [emit.load(builder, emit.plus(builder, base, 8 * i), I64) for i in range(FOUR)]
        at_weights = emit.plus(builder, self.panel[0], builder.mul(index, I64(64)))
        weights, name = emit.load(builder, at_weights, BYTES), "llvm.x86.avx512.vpdpbusd.512"
        found = []
        for total, begin in zip(sums, begins, strict=True):
            codes = [emit.load(builder, emit.plus(builder, begin, skip), CODES) for skip in skips]
            found.append(emit.call(builder, name, WORDS, total, _woven(builder, codes), weights))
        return found


def _woven(builder: Any, codes: list[Any]) -> Any:
    """Of four vectors the first elements, then the second ones, and so on."""
    halves = [
        builder.shuffle_vector(left, right, _order(range(2 * LANES)))
        for left, right in (codes[:2], codes[2:])
    ]
    order = [LANES * part + lane for lane in range(LANES) for part in range(FOUR)]
    return builder.shuffle_vector(*halves, _order(order))


def _order(lanes: Any) -> Any:
    lanes = list(lanes)
    return ir.Constant(ir.VectorType(I32, len(lanes)), lanes)


@cache
def depthwise(end: str, item: int) -> Any:
    """The routine. Row: x, out (offsets); sources, targets (int32, of every sample, at least FOUR
    more than there are); patches of a sample, channels; places (int64), steps; weights, bias,
    parameters, of sixteen channels after the other."""
    block, version = size_of(end), sources()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        x, out, source, target = arena + read(p, 0), arena + read(p, 1), read(p, 2), read(p, 3)
        count, channels, places, steps = samples * read(p, 4), read(p, 5), read(p, 6), read(p, 7)
        weights, bias, finish = read(p, 8), read(p, 9), read(p, 10)
        for lane in range(0, channels, LANES):
            panel = (weights, bias, finish)
            for patch in range(0, count, FOUR):
                patches = (x + lane, source + 4 * patch, places, steps)
                to = (out + lane * item, target + 4 * patch, channels - lane)
                depthwise_tile(FOUR, end, item, patches, panel, to)
            weights += steps * 64
            bias += 64
            finish += block

    return routine(run)
