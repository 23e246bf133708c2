"""What becomes of sums in registers: stored, or requantized, or added to others and requantized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from . import emit
from .emit import BYTES, CODES, I16, I32, I64, LANES, WORDS
from .finish import Requantize, block_of, clipped

SUMS = "sums"
SIGNS = "signs"
ADDED = "+"
"""Sums end as they are, ``"sums"``; as bits, 1 where they are greater than one number, ``"signs"``;
as codes, ``"top"``, ``"upper"`` or ``"full"`` (finish.py); or
these are added to other codes and requantized again, ``"upper+full"`` and so on."""
FACTORS = 3 * 64
"""Bytes of two factors, of codes and of those that are added, and of what is added besides."""


def size_of(end: str) -> int:
    """Bytes of the parameters of sixteen channels."""
    if end == SUMS:
        return 0
    if end == SIGNS:
        return 64
    stages = [block_of(bits) for bits in end.split(ADDED)]
    return sum(stages) + FACTORS * (len(stages) - 1)


@dataclass(frozen=True, slots=True)
class Ending:
    """Stores sums of patches, ``item`` bytes for each; ``end`` says which.

    Patch r of the result begins at ``address + places[r]`` (int32); only ``lanes`` channels are
    stored. ``finish`` has the parameters, ``other`` the address and places of codes that are added.
    Of ``woven`` vectors four have the channels of one another between theirs, four at a time.
    """

    builder: Any
    end: str
    item: int
    finish: Any
    out: Sequence[Any]
    other: Sequence[Any] = ()
    woven: bool = False

    def store(self, sums: Sequence[Sequence[Any]]) -> None:
        """Sums of each patch, sixteen channels in a vector."""
        if self.end == SIGNS:
            self._store_bits(sums)
            return
        builder = self.builder
        columns = [self._codes(n, column) for n, column in enumerate(zip(*sums, strict=True))]
        rows = list(zip(*columns, strict=True))
        if self.item == 1:
            self._store_bytes(rows)
            return
        for row, vectors in enumerate(rows):
            apart = unwoven(builder, vectors) if self.woven else vectors
            for n, vector in enumerate(apart):
                self._store(row, n * LANES, self._narrow(vector))

    def _codes(self, n: int, sums: Sequence[Any]) -> list[Any]:
        """What the n-th sixteen channels of each patch come to; bytes are clipped later."""
        if self.end == SUMS:
            return list(sums)
        builder, (bits, _, again) = self.builder, self.end.partition(ADDED)
        base = emit.plus(builder, self.finish, n * size_of(self.end))
        found = Requantize.at(bits, builder, base)
        codes = list(map(found.codes, sums))
        if again:
            codes = [clipped(builder, each, *found.limits(WORDS), signed=True) for each in codes]
            base = emit.plus(builder, base, block_of(bits))
            totals = [self._added(n, row, each, base) for row, each in enumerate(codes)]
            found = Requantize.at(again, builder, emit.plus(builder, base, FACTORS))
            codes = list(map(found.codes, totals))
        if self.item == 1:
            return codes
        return [clipped(builder, each, *found.limits(WORDS), signed=True) for each in codes]

    def _added(self, n: int, row: int, codes: Any, base: Any) -> Any:
        """Codes and those of the other operand, each times its factor."""
        builder, (address, places) = self.builder, self.other
        place = emit.plus(builder, at(builder, address, places, row), LANES * n)
        other = builder.zext(emit.load(builder, place, CODES), WORDS)
        return weighted_sum(builder, base, codes, other)

    def _narrow(self, values: Any) -> Any:
        """Values of int32 in ``item`` bytes, which hold them."""
        kind = ir.VectorType(ir.IntType(8 * self.item), LANES)
        return values if values.type == kind else self.builder.trunc(values, kind)

    def _store_bytes(self, rows: Sequence[Sequence[Any]]) -> None:
        """Four vectors at a time: of one patch, or of two or four that have fewer."""
        builder, wide = self.builder, len(rows[0])
        vectors = [vector for row in rows for vector in row]
        last = self.end.rpartition(ADDED)[2]
        base = emit.plus(builder, self.finish, size_of(self.end) - block_of(last))
        limits = Requantize(builder, last, (), base).limits(BYTES)
        at_once = min(4, wide) * LANES
        for first in range(0, len(vectors), 4):
            four = [vectors[min(i, len(vectors) - 1)] for i in range(first, first + 4)]
            codes = clipped(builder, self._packed(four), *limits, signed=False)
            for part in range(0, min(4, len(vectors) - first) * LANES, at_once):
                row, channel = divmod(first * LANES + part, wide * LANES)
                order = range(part, part + at_once)
                self._store(row, channel, emit.shuffled(builder, codes, codes, order))

    def _store_bits(self, sums: Sequence[Sequence[Any]]) -> None:
        """A bit of each channel; there are as many as vectors have lanes."""
        builder, (address, places, _) = self.builder, self.out
        for row, vectors in enumerate(sums):
            target = at(builder, address, places, row)
            for n, vector in enumerate(vectors):
                below = emit.load(builder, emit.plus(builder, self.finish, 64 * n), WORDS)
                bits = builder.bitcast(builder.icmp_signed(">", vector, below), I16)
                emit.store(builder, bits, emit.plus(builder, target, 2 * n))

    def _packed(self, four: Sequence[Any]) -> Any:
        if self.woven:
            return saturated(self.builder, four)
        return packed(self.builder, four)

    def _store(self, row: int, channel: int, values: Any) -> None:
        """Codes of a patch from ``channel`` on, those among them that there are."""
        builder, (address, places, lanes) = self.builder, self.out
        target = emit.plus(builder, at(builder, address, places, row), channel * self.item)
        emit.store_lanes(builder, values, target, builder.sub(lanes, I64(channel)))


def saturated(builder: Any, four: Sequence[Any]) -> Any:
    """Int32 of four vectors as bytes, saturated to 0 and 255; four of each by turns."""
    halves = ir.VectorType(I16, 32)
    low, high = (
        emit.call(builder, "llvm.x86.avx512.packssdw.512", halves, *four[i : i + 2]) for i in (0, 2)
    )
    return emit.call(builder, "llvm.x86.avx512.packuswb.512", BYTES, low, high)


def packed(builder: Any, four: Sequence[Any]) -> Any:
    """Int32 of four vectors as bytes, saturated to 0 and 255, one after the other."""
    words = builder.bitcast(saturated(builder, four), WORDS)
    order = [4 * lane + vector for vector in range(4) for lane in range(4)]
    return builder.bitcast(emit.shuffled(builder, words, words, order), BYTES)


def unwoven(builder: Any, four: Sequence[Any]) -> list[Any]:
    """Of four vectors the first four elements of each, then the second four, and so on."""
    low, high = (emit.shuffled(builder, four[i], four[i + 1], range(2 * LANES)) for i in (0, 2))
    places = [[LANES * v + 4 * turn + i for v in range(4) for i in range(4)] for turn in range(4)]
    return [emit.shuffled(builder, low, high, order) for order in places]


def weighted_sum(builder: Any, base: Any, left: Any, right: Any) -> Any:
    """Of int32, by the three vectors at ``base``: two factors, and what is added; modulo 2**32."""
    first, second, more = (
        emit.load(builder, emit.plus(builder, base, 64 * i), WORDS) for i in range(3)
    )
    return builder.add(builder.add(builder.mul(left, first), builder.mul(right, second)), more)


def at(builder: Any, base: Any, places: Any, row: int) -> Any:
    """``base + places[row]``."""
    found = emit.load(builder, emit.plus(builder, places, 4 * row), I32)
    return emit.plus(builder, base, builder.sext(found, I64))
