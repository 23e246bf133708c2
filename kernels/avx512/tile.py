"""The inner loop of conv and dense: a few patches times a panel of weights, in registers.

Sums of ``rows`` patches and ``wide`` vectors of sixteen channels stay in registers while runs of
neighbouring elements go by, four at a time: a word of four activations is spread to all lanes, and
one instruction multiplies it with four weights of each of sixteen channels and adds up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba import types
from numba.extending import intrinsic

from . import emit
from .emit import BYTES, I32, I64, WORDS
from .ending import Ending, at


def _declare(
    typingctx: Any, rows: Any, wide: Any, end: Any, item: Any,
    patches: Any, panel: Any, out: Any, other: Any,
) -> Any:  # fmt: skip
    """multiply_tile(rows, wide, end, item, patches, panel, out, other): first four constants.

    patches: ``(x, sources, runs, run_count, words)``. Patch r begins at ``x + sources[r]``
    (int32); there lie ``run_count`` runs, each ``words`` words of four bytes, from ``runs[i]``
    (int64) on. panel: ``(weights, bias, kinds, finish)``, int8 ``(runs, words, wide, 16, 4)``;
    int32 ``(wide, 16)``, of patch r ``kinds[r]`` (int32) bytes further on; parameters. For out,
    other, end and item see ``Ending``.
    """
    counts = (rows.literal_value, wide.literal_value)
    stop, size = end.literal_value, item.literal_value

    def emit_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        operands = unpacked(builder, signature.args[4:], args[4:])
        ending = Ending(builder, stop, size, operands[1][-1], operands[2], operands[3])
        _Tile(builder, counts[0], counts[1], operands[0], operands[1], ending).emit()
        return context.get_dummy_value()

    return types.void(rows, wide, end, item, patches, panel, out, other), emit_tile


multiply_tile: Any = intrinsic(prefer_literal=True)(_declare)


def unpacked(builder: Any, kinds: Any, args: Any) -> list[list[Any]]:
    """The elements of tuples."""
    pairs = zip(args, kinds, strict=True)
    return [[builder.extract_value(arg, i) for i in range(len(kind))] for arg, kind in pairs]


Step = Callable[[Any, list[Any], list[Any], Any], list[Any]]
"""``step(index, sums, places, weights)``: a word of each patch, which lies in a run from one of
``places`` on, times those of ``weights``, added to the sums."""


def over_runs(
    builder: Any,
    rows: int,
    patches: list[Any],
    weights: Any,
    wide: int,
    first: list[Any],
    step: Step,
) -> list[Any]:
    """Sums of ``rows`` patches, ``first`` to begin with, after every word of all runs.

    Weights are ``wide`` vectors a word.
    """
    x, sources, runs, run_count, words = patches
    begins = [at(builder, x, sources, row) for row in range(rows)]
    length = builder.mul(words, I64(64 * wide))

    def run(index: Any, sums: list[Any]) -> list[Any]:
        skip = emit.load(builder, emit.plus(builder, runs, builder.shl(index, I64(3))), I64)
        places = [emit.plus(builder, begin, skip) for begin in begins]
        panel = emit.plus(builder, weights, builder.mul(index, length))
        return emit.loop(builder, words, sums, lambda i, found: step(i, found, places, panel))

    return emit.loop(builder, run_count, first, run)


@dataclass(frozen=True, slots=True)
class _Tile:
    """One tile; ``_declare`` says what the operands are."""

    builder: Any
    rows: int
    wide: int
    patches: list[Any]
    panel: list[Any]
    ending: Ending

    def emit(self) -> None:
        wide, first = self.wide, self._first()
        sums = over_runs(
            self.builder, self.rows, self.patches, self.panel[0], wide, first, self._step
        )
        self.ending.store([sums[row * wide :][:wide] for row in range(self.rows)])

    def _first(self) -> list[Any]:
        """What sums begin with."""
        builder, (_, bias, kinds, _) = self.builder, self.panel
        begins = [at(builder, bias, kinds, row) for row in range(self.rows)]
        return [
            emit.load(builder, emit.plus(builder, begin, 64 * n), WORDS)
            for begin in begins
            for n in range(self.wide)
        ]

    def _step(self, index: Any, sums: list[Any], places: list[Any], panel: Any) -> list[Any]:
        """Four elements of every patch times four weights of every channel, added to ``sums``."""
        builder, name = self.builder, "llvm.x86.avx512.vpdpbusd.512"
        base = emit.plus(builder, panel, builder.mul(index, I64(64 * self.wide)))
        weights = [
            emit.load(builder, emit.plus(builder, base, 64 * n), BYTES) for n in range(self.wide)
        ]
        offset, found = builder.shl(index, I64(2)), list(sums)
        for row, place in enumerate(places):
            word = emit.load(builder, emit.plus(builder, place, offset), I32)
            spread = builder.bitcast(emit.splat(builder, word, WORDS), BYTES)
            for n, weight in enumerate(weights):
                k = row * self.wide + n
                found[k] = emit.call(builder, name, WORDS, sums[k], spread, weight)
        return found
