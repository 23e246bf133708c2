"""What becomes of sums in registers: stored, or requantized, or added to others and requantized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from . import emit
from .emit import CODES, I32, I64, LANES, WORDS
from .finish import BLOCKS, requantize

SUMS = "sums"
ADDED = "+"
"""Sums end as they are, ``"sums"``; as codes, ``"upper"`` or ``"full"`` (finish.py); or these are
added to other codes and requantized again, ``"upper+full"`` and so on."""
FACTORS = 3 * 64
"""Bytes of two factors, of codes and of those that are added, and of what is added besides."""


def size_of(end: str) -> int:
    """Bytes of the parameters of sixteen channels."""
    if end == SUMS:
        return 0
    stages = [BLOCKS[bits] for bits in end.split(ADDED)]
    return sum(stages) + FACTORS * (len(stages) - 1)


@dataclass(frozen=True, slots=True)
class Ending:
    """Stores sums of patches, ``item`` bytes for each; ``end`` says which.

    Patch r of the result begins at ``address + places[r]`` (int32); only ``lanes`` channels are
    stored. ``finish`` has the parameters, ``other`` the address and places of codes that are added.
    """

    builder: Any
    end: str
    item: int
    finish: Any
    out: Sequence[Any]
    other: Sequence[Any]

    def store(self, n: int, sums: Sequence[Any]) -> None:
        """The n-th sixteen channels, one vector for each patch."""
        builder = self.builder
        address, places, lanes = self.out
        left = builder.sub(lanes, I64(LANES * n))
        narrow = ir.VectorType(ir.IntType(8 * self.item), LANES)
        with builder.if_then(builder.icmp_signed(">", left, I64(0)), likely=True):
            results = [_narrowed(builder, each, narrow) for each in self._results(n, sums)]
            for row, result in enumerate(results):
                target = emit.plus(
                    builder, at(builder, address, places, row), LANES * self.item * n
                )
                emit.store_lanes(builder, result, target, left)

    def _results(self, n: int, sums: Sequence[Any]) -> list[Any]:
        if self.end == SUMS:
            return list(sums)
        bits, _, again = self.end.partition(ADDED)
        base = emit.plus(self.builder, self.finish, n * size_of(self.end))
        codes = list(map(requantize(bits, self.builder, base), sums))
        if not again:
            return codes
        after = emit.plus(self.builder, base, BLOCKS[bits])
        return self._added(n, codes, again, after)

    def _added(self, n: int, codes: list[Any], bits: str, base: Any) -> list[Any]:
        """The codes after those of the other operand were added and both were requantized."""
        builder = self.builder
        address, places = self.other
        totals = []
        for row, code in enumerate(codes):
            place = emit.plus(builder, at(builder, address, places, row), LANES * n)
            other = builder.zext(emit.load(builder, place, CODES), WORDS)
            totals.append(weighted_sum(builder, base, code, other))
        return list(map(requantize(bits, builder, emit.plus(builder, base, FACTORS)), totals))


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


def _narrowed(builder: Any, values: Any, kind: Any) -> Any:
    """Values of int32 in fewer bits, which hold them."""
    return values if values.type == kind else builder.trunc(values, kind)
