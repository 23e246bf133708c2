"""From sums to codes in registers: the requantization of a panel, sixteen channels at once.

``(sum * multiplier + addend) >> shift`` needs 64 bits, of even lanes and of odd ones apart. Where
the multiplier can be scaled up until the shift is 32 or more, only the upper halves count: they fit
together into one vector, and what is left of the shift, if anything is, is done there (``>>``
rounds down at both times, so that two shifts are one). Else, with codes of more than half the sums,
all 64 bits are shifted and clipped.

Codes of bytes are clipped at the end, when four vectors are packed into one: packing saturates, and
the limits lie within what it saturates to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from ...ir.numeric import Array
from . import emit
from .emit import LANES, LONGS, WORDS

HALF = 32
TOP, UPPER, FULL = "top", "upper", "full"
"""Which bits count: the upper half as it is, what a shift leaves of it, or all."""
KINDS = {
    TOP: (WORDS, LONGS, LONGS),
    UPPER: (WORDS, LONGS, LONGS, WORDS),
    FULL: (WORDS, LONGS, LONGS, LONGS, LONGS, LONGS, LONGS),
}
"""Vectors of parameters: multiplier, addends of even and odd lanes, shifts, limits."""
MOST_SHIFT = 53
"""What flipped codes add must fit as well."""


STEPS = "steps"
"""With the number of thresholds behind it: codes by thresholds (steps.py)."""


def kinds_of(bits: str) -> Sequence[Any]:
    """The vectors of parameters."""
    if bits.startswith(STEPS):
        return (WORDS,) * (1 + 2 * int(bits.removeprefix(STEPS)))
    return KINDS[bits]


def block_of(bits: str) -> int:
    """Bytes of the parameters of sixteen channels, the limits of codes at the end."""
    return 64 * (len(kinds_of(bits)) + 2)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Parameters of a requantization by channel, int64 ``(c,)``, as ``pack`` wants them."""

    multiplier: Array
    addend: Array
    shift: Array
    lo: int
    hi: int
    bits: str

    def moved(self, by: int) -> Scaling:
        """The same, with codes ``by`` greater."""
        moved = self.addend + (np.int64(by) << self.shift)
        return Scaling(self.multiplier, moved, self.shift, self.lo + by, self.hi + by, self.bits)

    def spread(self, over: Callable[[Array], Array]) -> Scaling:
        """The parameters as ``over`` spreads them."""
        multiplier, addend, shift = map(over, (self.multiplier, self.addend, self.shift))
        return Scaling(multiplier, addend, shift, self.lo, self.hi, self.bits)

    def pack(self, *, bytes_: bool) -> Array:
        """Bytes ``(panels, block)`` of all channels; unused lanes of the last panel give any code.

        The limits are bytes or int32.
        """
        missing = -len(self.multiplier) % LANES

        def panels(values: Array, type_: type[np.generic]) -> Array:
            return np.pad(values, (0, missing)).astype(type_).reshape(-1, LANES)

        def halves(values: Array) -> list[Array]:
            return [np.ascontiguousarray(panels(values, np.int64)[:, odd::2]) for odd in (0, 1)]

        count = -(-len(self.multiplier) // LANES)
        ends = (self.lo, self.hi)
        parts = [panels(self.multiplier, np.int32), *halves(self.addend)]
        if self.bits == UPPER:
            parts.append(panels(self.shift - HALF, np.int32))
        if self.bits == FULL:
            parts += [*halves(self.shift), *(np.full((count, 8), end, np.int64) for end in ends)]
        limits = (np.array(end, np.int64).astype(np.uint8 if bytes_ else np.int32) for end in ends)
        parts += [np.full((count, 64 // each.itemsize), each) for each in limits]
        return np.concatenate([part.view(np.uint8) for part in parts], axis=1)


def scaling(channels: int, parameters: Sequence[Array], lo: int, hi: int) -> Scaling | None:
    """A requantization as registers want it; None where 64 bits are too few.

    ``parameters`` are multiplier, addend and shift, scalar or ``(channels,)``.
    """
    factor, offset, bits = (
        np.broadcast_to(each.astype(np.int64).reshape(-1), (channels,)) for each in parameters
    )
    factor, offset = _without_constants(factor, offset, bits, lo, hi)
    more = np.maximum(HALF - bits, 0)
    if np.any(bits > MOST_SHIFT):
        return None
    if _fits(factor, offset, more):
        kind = TOP if np.all(bits <= HALF) else UPPER
        return Scaling(factor << more, offset << more, bits + more, lo, hi, kind)
    if _fits(factor, offset, np.zeros_like(more)):
        return Scaling(factor, offset, bits, lo, hi, FULL)
    return None


def _without_constants(
    factor: Array, offset: Array, shift: Array, lo: int, hi: int
) -> tuple[Array, Array]:
    """Factor and offset, small ones where every sum gives the same limit."""
    reach = np.abs(factor).astype(object) << 31
    least, most = offset.astype(object) - reach, offset.astype(object) + reach
    shifts = shift.astype(object)
    low, high = most < ((lo + 1) << shifts), least >= (hi << shifts)
    end = np.where(high, hi, lo).astype(object) << np.minimum(shifts, MOST_SHIFT)
    constant = low | high
    return (
        np.where(constant, 0, factor).astype(np.int64),
        np.where(constant, end, offset).astype(np.int64),
    )


def _fits(factor: Array, offset: Array, more: Array) -> bool:
    """Whether products of int32 and sums stay within 63 bits, parameters shifted by ``more``."""
    return bool(
        np.all(np.abs(factor) < (1 << 31) >> more) and np.all(np.abs(offset) < (1 << 61) >> more)
    )


@dataclass(frozen=True, slots=True)
class Requantize:
    """The requantization with the parameters at ``address``, which are loaded once."""

    builder: Any
    bits: str
    parameters: Sequence[Any]
    address: Any

    @classmethod
    def at(cls, bits: str, builder: Any, address: Any) -> Requantize:
        """Load the parameters."""
        places = (emit.plus(builder, address, 64 * i) for i in range(len(kinds_of(bits))))
        loaded = [emit.load(builder, *each) for each in zip(places, kinds_of(bits), strict=True)]
        return cls(builder, bits, loaded, address)

    def codes(self, sums: Any) -> Any:
        """Codes of sixteen sums, as int32, before they are clipped."""
        if self.bits.startswith(STEPS):
            return self._by_steps(sums)
        builder, (multiplier, even, odd, *more) = self.builder, self.parameters
        products = zip(_products(builder, sums, multiplier), (even, odd), strict=True)
        totals = [builder.add(*each) for each in products]
        if self.bits == FULL:
            shifted = [builder.ashr(t, s) for t, s in zip(totals, more[:2], strict=True)]
            clips = [clipped(builder, each, *more[2:], signed=True) for each in shifted]
            return _merged(
                builder, clips, [i if i % 2 == 0 else i - 1 + LANES for i in range(LANES)]
            )
        upper = [i + 1 if i % 2 == 0 else i + LANES for i in range(LANES)]
        found = _merged(builder, totals, upper)
        return builder.ashr(found, more[0]) if more else found

    def _by_steps(self, sums: Any) -> Any:
        builder, (codes, *pairs) = self.builder, self.parameters
        nothing = emit.constant(0, WORDS)
        for below, weight in zip(pairs[0::2], pairs[1::2], strict=True):
            beyond = builder.icmp_signed(">", sums, below)
            codes = builder.add(codes, builder.select(beyond, weight, nothing))
        return codes

    def limits(self, type_: Any) -> list[Any]:
        """The least and the greatest code."""
        first = 64 * len(kinds_of(self.bits))
        places = (emit.plus(self.builder, self.address, first + 64 * i) for i in range(2))
        return [emit.load(self.builder, place, type_) for place in places]


def _products(builder: Any, sums: Any, multiplier: Any) -> tuple[Any, Any]:
    """Of even and of odd lanes, 64 bits: one instruction each once LLVM sees what was widened."""
    up = emit.constant(HALF, LONGS)
    low = [builder.bitcast(each, LONGS) for each in (sums, multiplier)]
    high = [builder.lshr(each, up) for each in low]

    def product(left: Any, right: Any) -> Any:
        return builder.mul(*(builder.ashr(builder.shl(each, up), up) for each in (left, right)))

    return product(*low), product(*high)


def _merged(builder: Any, halves: Sequence[Any], lanes: list[int]) -> Any:
    """Those of the 32 words of two vectors that ``lanes`` says."""
    words = [builder.bitcast(each, WORDS) for each in halves]
    return builder.shuffle_vector(*words, ir.Constant(WORDS, lanes))


def clipped(builder: Any, values: Any, lo: Any, hi: Any, *, signed: bool) -> Any:
    """``min(max(values, lo), hi)``."""
    kind, sign = f"v{values.type.count}i{values.type.element.width}", "s" if signed else "u"
    least = emit.call(builder, f"llvm.{sign}max.{kind}", values.type, values, lo)
    return emit.call(builder, f"llvm.{sign}min.{kind}", values.type, least, hi)
