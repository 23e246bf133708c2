"""Certified requantisation: integers that equal a definition on every reachable input, with proof.

A definition is a monotone function of an accumulator, given exactly by its steps: the least
accumulator of each code. Finding (M, r, s) and proving them are separate; the proof does not trust
the search. Derivation: docs/numerics.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..ir.certificate import Certificate, Difference
from ..ir.interval import Interval
from ..ir.numeric import Array, Rounding

MAX_SHIFT = 46
MAX_MULTIPLIER_BITS = 31
ACCUMULATION_BITS = 62
"""The product of accumulator and multiplier stays below this, so that int64 cannot overflow."""
MAX_EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class Rescale:
    """``code(acc) = clip(round(scale[c] * acc + offset[c]), lo, hi)``, exact, rounded once.

    One scale and offset per channel, offset in units of a code and with the zero point inside.
    """

    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    rounding: Rounding
    lo: int
    hi: int

    @property
    def channels(self) -> int:
        return len(self.scale)

    def code(self, accumulator: int, channel: int) -> int:
        """The definition itself."""
        exact = self.scale[channel] * accumulator + self.offset[channel]
        return min(max(round_fraction(exact, self.rounding), self.lo), self.hi)

    def codes(self, accumulators: Sequence[int], channel: int) -> Array:
        """``code`` for many accumulators, in integers only."""
        scale, offset = self.scale[channel], self.offset[channel]
        below = scale.denominator * offset.denominator
        a, b = scale.numerator * offset.denominator, offset.numerator * scale.denominator
        rule = ROUND_DIVISION[self.rounding]
        exact = [rule(a * int(acc) + b, below) for acc in accumulators]
        return np.array([min(max(code, self.lo), self.hi) for code in exact], dtype=np.int64)

    def steps(self, channel: int, first: int, last: int) -> Array:
        """The least accumulator of each code first..last, for a positive scale; int64.

        ``scale * acc + offset`` reaches code k at the real k - 1/2 (half roundings), k (floor) or
        just above k - 1 (ceil): solved for acc in integers.
        """
        scale, offset = self.scale[channel], self.offset[channel]
        below = 2 * offset.denominator * scale.numerator
        found = []
        for code in range(first, last + 1):
            twice_edge, reached = rounding_edge(code, self.rounding)
            above = twice_edge * offset.denominator - 2 * offset.numerator
            least, rest = divmod(above * scale.denominator, below)
            found.append(least + (rest > 0 or not reached))
        return np.array(found, dtype=np.int64)


def rounding_edge(code: int, rounding: Rounding) -> tuple[int, bool]:
    """Twice the least real that rounds to ``code`` or above, and whether it is itself included."""
    if rounding == "half_up":
        return 2 * code - 1, True
    if rounding == "half_even":
        return 2 * code - 1, code % 2 == 0
    if rounding == "half_away":
        return 2 * code - 1, code > 0
    if rounding == "floor" or (rounding == "toward_zero" and code > 0):
        return 2 * code, True
    return 2 * code - 2, False


def round_fraction(value: Fraction, rounding: Rounding) -> int:
    """``value`` rounded to an integer."""
    return ROUND_DIVISION[rounding](value.numerator, value.denominator)


def _half_even(a: int, b: int) -> int:
    whole, rest = divmod(a, b)
    return whole + (2 * rest > b or (2 * rest == b and whole % 2 == 1))


def _half_away(a: int, b: int) -> int:
    return (2 * a + b) // (2 * b) if a >= 0 else -((-2 * a + b) // (2 * b))


ROUND_DIVISION: dict[Rounding, Callable[[int, int], int]] = {
    "half_even": _half_even,
    "half_up": lambda a, b: (2 * a + b) // (2 * b),
    "half_away": _half_away,
    "floor": lambda a, b: a // b,
    "ceil": lambda a, b: -(-a // b),
    "toward_zero": lambda a, b: a // b if a >= 0 else -(-a // b),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """``clip((acc * multiplier[c] + addend[c]) >> shift[c], lo, hi)``: int64 arrays ``(channels,)``."""

    multiplier: Array
    addend: Array
    shift: Array
    lo: int
    hi: int

    def codes(self, accumulators: Array, channel: int) -> Array:
        scaled = accumulators * self.multiplier[channel] + self.addend[channel]
        return np.clip(scaled >> self.shift[channel], self.lo, self.hi)


@dataclass(frozen=True, slots=True)
class Staircase:
    """One channel of a definition over the reachable accumulators lo..hi.

    ``base`` is the code of lo; ``steps[i]`` is the least accumulator whose code is base + 1 + i.
    A falling definition (negative scale) is described by its mirror image, ``sign = -1``: the
    accumulator is then -acc.
    """

    lo: int
    hi: int
    base: int
    steps: Array
    sign: int
    clipped_below: bool
    clipped_above: bool

    @property
    def levels(self) -> Array:
        return self.base + 1 + np.arange(len(self.steps))


def staircase(f: Rescale, channel: int, lo: int, hi: int) -> Staircase:
    """The staircase of one channel over accumulators lo..hi."""
    sign = -1 if f.scale[channel] < 0 else 1
    if sign < 0:
        lo, hi = -hi, -lo
        f = Rescale(
            tuple(-scale for scale in f.scale), f.offset, f.rounding, f.lo, f.hi
        )
    base, top = f.code(lo, channel), f.code(hi, channel)
    steps = f.steps(channel, base + 1, top) if top > base else np.zeros(0, dtype=np.int64)
    return Staircase(lo, hi, base, steps, sign, base == f.lo, top == f.hi)


def addend_range(stairs: Staircase, multiplier: int, shift: int) -> tuple[int, int]:
    """Every addend in the returned range makes ``(acc * M + r) >> s`` climb exactly these stairs.

    At each step t of code k: ``t M + r >= k 2^s`` and ``(t - 1) M + r < k 2^s``; at the ends the
    code must not leave base or top unless clipping takes care of it. Empty when first > second.
    """
    edge = stairs.levels << shift
    least, most = -(1 << 62), 1 << 62
    if len(stairs.steps):
        least = int((edge - stairs.steps * multiplier).max())
        most = int((edge - (stairs.steps - 1) * multiplier).min()) - 1
    top = stairs.base + len(stairs.steps)
    if not stairs.clipped_below:
        least = max(least, (stairs.base << shift) - stairs.lo * multiplier)
    if not stairs.clipped_above:
        most = min(most, ((top + 1) << shift) - stairs.hi * multiplier - 1)
    return least, most


def find_parameters(f: Rescale, reach: Interval) -> Parameters | None:
    """The narrowest (M, r, s) per channel that equal ``f`` on ``reach``, or None.

    Channels of equal scale share M and s, so that a per-tensor scale stays one multiplier.
    """
    reach = reach.per_channel(f.channels)
    stairs = [
        staircase(f, c, int(reach.lo[c]), int(reach.hi[c])) for c in range(f.channels)
    ]
    groups: dict[Fraction, list[int]] = {}
    for channel, scale in enumerate(f.scale):
        groups.setdefault(scale, []).append(channel)
    multiplier, addend, shift = (np.zeros(f.channels, dtype=np.int64) for _ in range(3))
    for scale, members in groups.items():
        found = _search(abs(scale), [stairs[channel] for channel in members])
        if found is None:
            return None
        for channel, r in zip(members, found[1], strict=True):
            multiplier[channel] = found[0] * stairs[channel].sign
            addend[channel], shift[channel] = r, found[2]
    return Parameters(multiplier, addend, shift, f.lo, f.hi)


def _search(scale: Fraction, stairs: list[Staircase]) -> tuple[int, list[int], int] | None:
    """The least shift with a multiplier and addends for all ``stairs``: (M, [r], s) or None."""
    if scale == 0:
        return 0, [each.base for each in stairs], 0
    reach = max(1, *(max(abs(each.lo), abs(each.hi)) for each in stairs))
    for shift in range(MAX_SHIFT + 1):
        floor = (scale.numerator << shift) // scale.denominator
        for multiplier in (floor, floor + 1):
            if multiplier.bit_length() > MAX_MULTIPLIER_BITS:
                return None
            fits = multiplier > 0 and (multiplier * reach).bit_length() < ACCUMULATION_BITS
            addends = _addends(stairs, multiplier, shift) if fits else None
            if addends is not None:
                return multiplier, addends, shift
    return None


def _addends(stairs: list[Staircase], multiplier: int, shift: int) -> list[int] | None:
    """One addend per staircase for this multiplier and shift; None as soon as one has none."""
    found = []
    for each in stairs:
        least, most = addend_range(each, multiplier, shift)
        if least > most:
            return None
        found.append(_roundest(least, most))
    return found


def _roundest(least: int, most: int) -> int:
    """The number in least..most with the most trailing zero bits; 0 if it is inside."""
    if least <= 0 <= most:
        return 0
    for bits in range(62, -1, -1):
        candidate = -(-least >> bits) << bits
        if candidate <= most:
            return candidate
    return least


def prove(f: Rescale, parameters: Parameters, reach: Interval) -> Certificate:
    """Compare ``parameters`` with ``f`` on all of ``reach`` without trusting how they were found.

    Both sides are monotone, so agreeing at both ends of each run of equal codes of ``f`` is
    agreeing everywhere. Where they do not agree, runs are searched for the exact inputs.
    """
    reach = reach.per_channel(f.channels)
    lo, hi = reach.bounds
    count, worst, examples = 0, 0, []
    for channel in range(f.channels):
        wrong = _differences(f, parameters, channel, int(reach.lo[channel]), int(reach.hi[channel]))
        count += len(wrong)
        for each in wrong:
            worst = max(worst, abs(each.got - each.expected))
        examples += wrong[:MAX_EXAMPLES]
    if count:
        return Certificate("differs", "requantize", lo, hi, count, worst, tuple(examples[:MAX_EXAMPLES]))
    return Certificate("certified", "requantize", lo, hi)


def _differences(
    f: Rescale, parameters: Parameters, channel: int, lo: int, hi: int
) -> list[Difference]:
    """Every accumulator in lo..hi where the two differ, one channel."""
    edges = _run_ends(f, channel, lo, hi)
    equal = parameters.codes(edges, channel) == f.codes(edges.tolist(), channel)
    runs = edges.reshape(-1, 2)[~equal.reshape(-1, 2).all(axis=1)]
    found = []
    for first, last in runs.tolist():
        inputs = np.arange(first, last + 1)
        expected = f.codes([first], channel)[0]
        got = parameters.codes(inputs, channel)
        found += [
            Difference(channel, int(inputs[i]), int(got[i]), int(expected))
            for i in np.flatnonzero(got != expected)
        ]
    return found


def _run_ends(f: Rescale, channel: int, lo: int, hi: int) -> Array:
    """First and last accumulator of each run of equal codes of ``f`` in lo..hi, flattened."""
    stairs = staircase(f, channel, lo, hi)
    firsts = np.concatenate(([stairs.lo], stairs.steps))
    lasts = np.concatenate((stairs.steps - 1, [stairs.hi]))
    pairs = np.stack((firsts, lasts), axis=1)
    return (pairs if stairs.sign > 0 else -pairs[::-1, ::-1]).reshape(-1)


def nearest_parameters(f: Rescale, reach: Interval, bits: int = 24) -> Parameters:
    """The rounded ``scale`` and ``offset`` with multipliers of ``bits`` bits; not certified."""
    multiplier, addend, shift = (np.zeros(f.channels, dtype=np.int64) for _ in range(3))
    for channel, (scale, offset) in enumerate(zip(f.scale, f.offset, strict=True)):
        if scale == 0:
            addend[channel] = f.code(0, channel)
            continue
        size = scale.numerator.bit_length() - scale.denominator.bit_length()
        s = min(max(bits - size, 0), MAX_SHIFT)
        shift[channel] = s
        multiplier[channel] = round(scale * (1 << s))
        addend[channel] = round(offset * (1 << s)) + ((1 << s) >> 1)
    return Parameters(multiplier, addend, shift, f.lo, f.hi)


def thresholds(f: Rescale, reach: Interval) -> tuple[Array, int] | None:
    """Exact steps ``(channels, levels)`` and the base code, or None when a channel falls.

    Channels with fewer levels are filled up at the side where they begin or end: a step that is
    always passed, or one that is never reached.
    """
    reach = reach.per_channel(f.channels)
    stairs = [staircase(f, c, int(reach.lo[c]), int(reach.hi[c])) for c in range(f.channels)]
    if any(each.sign < 0 for each in stairs):
        return None
    base = min(each.base for each in stairs)
    top = max(each.base + len(each.steps) for each in stairs)
    always, never = reach.bounds[0], reach.bounds[1] + 1
    table = np.full((f.channels, top - base), never, dtype=np.int64)
    for row, each in zip(table, stairs, strict=True):
        row[: each.base - base] = always
        row[each.base - base : each.base - base + len(each.steps)] = each.steps
    return table, base
