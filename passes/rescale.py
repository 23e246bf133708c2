"""The two sides of a rescaling: its definition in exact rationals, and the integers that run.

Rounding a rational is integer division; nothing here is a float. Equations: docs/numerics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..ir.numeric import Array, Rounding
from .stairs import Staircase


@dataclass(frozen=True, slots=True)
class Rescale:
    """``code(acc) = clip(round(scale[c] * acc + offset[c]) + zero_point, lo, hi)``, rounded once.

    One exact scale and offset per channel, in units of a code. The zero point is added after
    rounding: half_even, half_away and toward_zero depend on where zero is.
    """

    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    rounding: Rounding
    lo: int
    hi: int
    zero_point: int = 0

    @property
    def channels(self) -> int:
        """How many scales and offsets there are."""
        return len(self.scale)

    def code(self, accumulator: int, channel: int) -> int:
        """The definition itself."""
        exact = self.scale[channel] * accumulator + self.offset[channel]
        return min(max(round_fraction(exact, self.rounding) + self.zero_point, self.lo), self.hi)

    def codes(self, accumulators: Sequence[int], channel: int) -> Array:
        """``code`` for many accumulators, in integers only."""
        scale, offset = self.scale[channel], self.offset[channel]
        below = scale.denominator * offset.denominator
        a, b = scale.numerator * offset.denominator, offset.numerator * scale.denominator
        rounded = round_divide(a, np.asarray(accumulators, np.int64), b, below, self.rounding)
        clipped: Array = np.clip(rounded + self.zero_point, self.lo, self.hi)
        return clipped

    def stairs(self, channel: int, lo: int, hi: int) -> Staircase:
        """The staircase of one channel over accumulators lo..hi."""
        sign, f = 1, self
        if self.scale[channel] < 0:
            sign, lo, hi = -1, -hi, -lo
            f = replace(self, scale=tuple(-scale for scale in self.scale))
        base, top = f.code(lo, channel), f.code(hi, channel)
        steps = f.steps(channel, base + 1, top) if top > base else np.zeros(0, dtype=np.int64)
        return Staircase(lo, hi, base, steps, sign, base == f.lo, top == f.hi)

    def slopes(self, stairs: Sequence[Staircase]) -> Iterator[tuple[Fraction, ...]]:
        """Slopes to search at: the scales."""
        yield self.scale

    def steps(self, channel: int, first: int, last: int) -> Array:
        """The least accumulator of each code first..last, for a positive scale; int64.

        ``scale * acc + offset`` reaches code k at the real k - 1/2 (half roundings), k (floor) or
        just above k - 1 (ceil): solved for acc in integers.
        """
        scale, offset = self.scale[channel], self.offset[channel]
        below = 2 * offset.denominator * scale.numerator
        a = offset.denominator * scale.denominator
        b = -2 * offset.numerator * scale.denominator
        codes = np.arange(first - self.zero_point, last - self.zero_point + 1)
        twice, reached = rounding_edges(codes, self.rounding)
        return np.where(
            reached,
            -floor_divide(-a, twice, -b, below),
            floor_divide(a, twice, b, below) + 1,
        )


def rounding_edges(codes: Array, rounding: Rounding) -> tuple[Array, Array]:
    """Twice the least real that rounds to each code or above, and whether it is itself included."""
    if rounding == "half_up":
        return 2 * codes - 1, np.full(codes.shape, True)
    if rounding == "half_even":
        return 2 * codes - 1, codes % 2 == 0
    if rounding == "half_away":
        return 2 * codes - 1, codes > 0
    if rounding == "half_toward_zero":
        return 2 * codes - 1, codes <= 0
    if rounding == "half_dpu":
        return 2 * codes - 1, (codes <= 0) | (codes % 2 == 0)
    if rounding in ("toward_zero", "away_from_zero"):
        down = (codes > 0) == (rounding == "toward_zero")
    else:
        down = np.full(codes.shape, rounding == "floor")
    return 2 * codes - np.where(down, 0, 2), down


def floor_divide(a: int, x: Array, b: int, below: int) -> Array:
    """``floor((a x + b) / below)``, exact for int64 x and unbounded integers, ``below`` > 0.

    float64 decides where its error, less than 2^-50 of the summands, cannot reach an integer;
    unbounded integers decide the rest. Results saturate at +-2^62.
    """
    try:
        product, constant = x * (a / below), b / below
    except OverflowError:
        product, constant = np.full(x.shape, np.inf), 0.0
    value = product + constant
    error = (np.abs(product) + abs(constant)) * 2.0**-50 + 2.0**-1000
    whole = np.floor(value)
    with np.errstate(invalid="ignore"):
        sure = (value - whole > error) & (whole + 1 - value > error) & (error < 0.25)
    result = np.where(sure, whole, 0).astype(np.int64)
    exact = [(a * each + b) // below for each in x[~sure].tolist()]
    result[~sure] = [min(max(each, -(1 << 62)), 1 << 62) for each in exact]
    return result


def round_divide(a: int, x: Array, b: int, below: int, rounding: Rounding) -> Array:
    """``(a x + b) / below`` rounded to integers; exact like ``floor_divide``."""
    if rounding == "floor":
        return floor_divide(a, x, b, below)
    if rounding == "ceil":
        return -floor_divide(-a, x, -b, below)
    if rounding in ("toward_zero", "away_from_zero"):
        down = floor_divide(a, x, b, below)
        keep = (down >= 0) == (rounding == "toward_zero")
        return np.where(keep, down, -floor_divide(-a, x, -b, below))
    up = floor_divide(2 * a, x, 2 * b + below, 2 * below)
    if rounding == "half_up":
        return up
    down = -floor_divide(-2 * a, x, below - 2 * b, 2 * below)
    chosen = {
        "half_even": up % 2 == 0,
        "half_away": up > 0,
        "half_toward_zero": up <= 0,
        "half_dpu": (up <= 0) | (up % 2 == 0),
    }[rounding]
    return np.where(chosen, up, down)  # they differ in ties only


def round_fraction(value: Fraction, rounding: Rounding) -> int:
    """``value`` rounded to an integer."""
    return ROUND_DIVISION[rounding](value.numerator, value.denominator)


def _half_even(a: int, b: int) -> int:
    whole, rest = divmod(a, b)
    return whole + (2 * rest > b or (2 * rest == b and whole % 2 == 1))


def _half_away(a: int, b: int) -> int:
    return _half_up(a, b) if a >= 0 else -_half_up(-a, b)


def _half_up(a: int, b: int) -> int:
    return (2 * a + b) // (2 * b)


def _half_toward_zero(a: int, b: int) -> int:
    return -((b - 2 * a) // (2 * b)) if a >= 0 else _half_up(a, b)


ROUND_DIVISION: dict[Rounding, Callable[[int, int], int]] = {
    "half_even": _half_even,
    "half_up": _half_up,
    "half_away": _half_away,
    "half_toward_zero": _half_toward_zero,
    "half_dpu": lambda a, b: _half_even(a, b) if a >= 0 else _half_up(a, b),
    "floor": lambda a, b: a // b,
    "ceil": lambda a, b: -(-a // b),
    "toward_zero": lambda a, b: a // b if a >= 0 else -(-a // b),
    "away_from_zero": lambda a, b: -(-a // b) if a >= 0 else a // b,
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """``clip((acc * multiplier[c] + addend[c]) >> shift[c], lo, hi)``, each int64 ``(c,)``."""

    multiplier: Array
    addend: Array
    shift: Array
    lo: int
    hi: int

    def codes(self, accumulators: Array, channel: int) -> Array:
        """The codes of int64 accumulators of one channel."""
        scaled = accumulators * self.multiplier[channel] + self.addend[channel]
        clipped: Array = np.clip(scaled >> self.shift[channel], self.lo, self.hi)
        return clipped

    def code(self, accumulator: int, channel: int) -> int:
        """``codes`` for one accumulator."""
        scaled = accumulator * int(self.multiplier[channel]) + int(self.addend[channel])
        return min(max(scaled >> int(self.shift[channel]), self.lo), self.hi)
