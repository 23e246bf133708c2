"""From sums to codes in registers: the requantization of a panel, sixteen channels at once.

``(sum * multiplier + addend) >> shift`` needs 64 bits, of even lanes and of odd ones apart. Where
the multiplier can be scaled up until the shift is 32 or more, only the upper halves count: they fit
together into one vector, and what is left of the shift is done there (``>>`` rounds down at both
times, so that two shifts are one). Else, with codes of more than half the sums, all 64 bits are
shifted and clipped.
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
UPPER, FULL = "upper", "full"
"""Which bits count."""
BLOCKS = {UPPER: 6 * 64, FULL: 7 * 64}
"""Bytes of the parameters of sixteen channels."""


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


def scaling(channels: int, parameters: Sequence[Array], lo: int, hi: int) -> Scaling | None:
    """A requantization as registers want it; None where 64 bits are too few.

    ``parameters`` are multiplier, addend and shift, scalar or ``(channels,)``.
    """
    factor, offset, bits = (
        np.broadcast_to(each.astype(np.int64).reshape(-1), (channels,)) for each in parameters
    )
    more = np.maximum(HALF - bits, 0)
    if _fits(factor, offset, more):
        return Scaling(factor << more, offset << more, bits + more, lo, hi, UPPER)
    if _fits(factor, offset, np.zeros_like(more)):
        return Scaling(factor, offset, bits, lo, hi, FULL)
    return None


def _fits(factor: Array, offset: Array, more: Array) -> bool:
    """Whether products of int32 and sums stay within 63 bits, parameters shifted by ``more``."""
    return bool(
        np.all(np.abs(factor) < (1 << 31) >> more) and np.all(np.abs(offset) < (1 << 61) >> more)
    )


def pack(scaling: Scaling) -> Array:
    """Bytes ``(panels, BLOCKS[bits])`` of all channels; unused lanes of the last panel give any."""
    missing = -len(scaling.multiplier) % LANES

    def panels(values: Array, type_: type[np.generic]) -> Array:
        return np.pad(values, (0, missing)).astype(type_).reshape(-1, LANES)

    addend, full = panels(scaling.addend, np.int64), scaling.bits == FULL
    wide = np.int64 if full else np.int32
    shift = panels(scaling.shift if full else scaling.shift - HALF, wide)
    ends = [
        np.full((len(shift), 8 if full else LANES), end, wide) for end in (scaling.lo, scaling.hi)
    ]
    parts = [
        panels(scaling.multiplier, np.int32),
        *(np.ascontiguousarray(addend[:, odd::2]) for odd in (0, 1)),
        *([np.ascontiguousarray(shift[:, odd::2]) for odd in (0, 1)] if full else [shift]),
        *ends,
    ]
    return np.concatenate([part.view(np.uint8) for part in parts], axis=1)


def requantize(bits: str, builder: Any, address: Any) -> Requantize:
    """The requantization with the parameters at ``address``, which are loaded here."""
    count = 7 if bits == FULL else 6
    types = [WORDS, LONGS, LONGS, *[LONGS if bits == FULL else WORDS] * (count - 3)]
    places = (emit.plus(builder, address, 64 * index) for index in range(count))
    loaded = [emit.load(builder, *each) for each in zip(places, types, strict=True)]
    return (_Full if bits == FULL else _Upper)(builder, *loaded)


Requantize = Callable[[Any], Any]
"""Codes of sixteen sums, as int32."""


@dataclass(frozen=True, slots=True)
class _Upper:
    builder: Any
    multiplier: Any
    even: Any
    odd: Any
    shift: Any
    lo: Any
    hi: Any

    def __call__(self, sums: Any) -> Any:
        builder = self.builder
        even, odd = products(builder, sums, self.multiplier)
        totals = (builder.add(even, self.even), builder.add(odd, self.odd))
        upper = [lane + 1 if lane % 2 == 0 else lane + LANES for lane in range(LANES)]
        codes = builder.ashr(merged(builder, totals, upper), self.shift)
        return clipped(builder, codes, self.lo, self.hi)


@dataclass(frozen=True, slots=True)
class _Full:
    builder: Any
    multiplier: Any
    even: Any
    odd: Any
    even_shift: Any
    odd_shift: Any
    lo: Any
    hi: Any

    def __call__(self, sums: Any) -> Any:
        builder = self.builder
        even, odd = products(builder, sums, self.multiplier)
        even = builder.ashr(builder.add(even, self.even), self.even_shift)
        odd = builder.ashr(builder.add(odd, self.odd), self.odd_shift)
        codes = [clipped(builder, each, self.lo, self.hi) for each in (even, odd)]
        lower = [lane if lane % 2 == 0 else lane - 1 + LANES for lane in range(LANES)]
        return merged(builder, codes, lower)


def products(builder: Any, sums: Any, multiplier: Any) -> tuple[Any, Any]:
    """Of even and of odd lanes, 64 bits: one instruction each once LLVM sees what was widened."""
    up = emit.constant(HALF, LONGS)
    low = [builder.bitcast(each, LONGS) for each in (sums, multiplier)]
    high = [builder.lshr(each, up) for each in low]

    def product(left: Any, right: Any) -> Any:
        return builder.mul(*(builder.ashr(builder.shl(each, up), up) for each in (left, right)))

    return product(*low), product(*high)


def merged(builder: Any, halves: Sequence[Any], lanes: list[int]) -> Any:
    """Those of the 32 words of two vectors that ``lanes`` says."""
    words = [builder.bitcast(each, WORDS) for each in halves]
    return builder.shuffle_vector(*words, ir.Constant(WORDS, lanes))


def clipped(builder: Any, values: Any, lo: Any, hi: Any) -> Any:
    """``min(max(values, lo), hi)``."""
    kind = f"v{values.type.count}i{values.type.element.width}"
    least = emit.call(builder, f"llvm.smax.{kind}", values.type, values, lo)
    return emit.call(builder, f"llvm.smin.{kind}", values.type, least, hi)
