"""Certified requantization: integers that equal a definition on every reachable input, with proof.

A definition is a monotone function of an accumulator, given exactly by its steps: the least
accumulator of each code. It is an exact rescaling (rescale.py) or the steps alone (steps.py).
Finding (M, r, s) and proving them are separate; the proof does not trust the search. Derivation:
docs/numerics.md section 4.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction

import numpy as np

from ..errors import InternalError
from ..ir.certificate import Certificate, Difference, Verdict
from ..ir.interval import Interval
from ..ir.numeric import Array
from .rescale import Parameters, Rescale
from .stairs import Staircase
from .steps import Steps

MAX_MULTIPLIER_BITS = 31
PRODUCT_BITS = 60
EDGE_BITS = 62
"""``|acc * M| < 2^60`` and ``|code * 2^s| < 2^62``: then ``acc * M + r`` fits into int64."""
NEAREST_SHIFT = 46
MAX_EXAMPLES = 8


Definition = Rescale | Steps
"""A monotone function of an accumulator, per channel."""


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


def find_parameters(f: Definition, reach: Interval) -> Parameters | None:
    """The narrowest (M, r, s) per channel that equal ``f`` on ``reach``, or None.

    Channels of equal scale share M and s, so that a per-tensor scale stays one multiplier.
    """
    reach = reach.per_channel(f.channels)
    stairs = [f.stairs(c, int(reach.lo[c]), int(reach.hi[c])) for c in range(f.channels)]
    tries = (_find_at(slopes, stairs, f.lo, f.hi) for slopes in f.slopes(stairs))
    return next((found for found in tries if found is not None), None)


def _find_at(
    slopes: tuple[Fraction, ...], stairs: list[Staircase], lo: int, hi: int
) -> Parameters | None:
    """Parameters near one slope per channel."""
    groups: dict[Fraction, list[int]] = {}
    for channel, slope in enumerate(slopes):
        groups.setdefault(slope, []).append(channel)
    multiplier, addend, shift = (np.zeros(len(stairs), dtype=np.int64) for _ in range(3))
    for scale, members in groups.items():
        found = _search(abs(scale), [stairs[channel] for channel in members])
        if found is None:
            return None
        for channel, r in zip(members, found[1], strict=True):
            multiplier[channel] = found[0] * stairs[channel].sign
            addend[channel], shift[channel] = r, found[2]
    return Parameters(multiplier, addend, shift, lo, hi)


def _search(scale: Fraction, stairs: list[Staircase]) -> tuple[int, list[int], int] | None:
    """The least shift with a multiplier and addends for all ``stairs``: (M, [r], s) or None."""
    if scale == 0:
        return 0, [each.base for each in stairs], 0
    reach = max(1, *(max(abs(each.lo), abs(each.hi)) for each in stairs))
    for shift in range(_max_shift(stairs) + 1):
        floor = (scale.numerator << shift) // scale.denominator
        for multiplier in (floor, floor + 1):
            if multiplier.bit_length() > MAX_MULTIPLIER_BITS:
                return None
            fits = multiplier > 0 and (multiplier * reach).bit_length() <= PRODUCT_BITS
            addends = _addends(stairs, multiplier, shift) if fits else None
            if addends is not None:
                return multiplier, addends, shift
    return None


def _max_shift(stairs: list[Staircase]) -> int:
    codes = [abs(code) for each in stairs for code in (each.base, each.base + len(each.steps) + 1)]
    return max(0, EDGE_BITS - max(codes).bit_length())


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


def prove(f: Definition, parameters: Parameters, reach: Interval) -> Certificate:
    """Compare ``parameters`` with ``f`` on all of ``reach`` without trusting how they were found.

    Both sides are monotone, so agreeing at both ends of each run of equal codes of ``f`` is
    agreeing everywhere. Where they do not agree, runs are searched for the exact inputs.
    """
    reach = reach.per_channel(f.channels)
    count, worst, examples = 0, 0, list[Difference]()
    for channel in range(f.channels):
        ends = int(reach.lo[channel]), int(reach.hi[channel])
        for wrong in differing(f, parameters, channel, *ends):
            found = [_difference(f, parameters, channel, acc) for acc in (wrong[0], wrong[-1])]
            count += len(wrong)
            worst = max(worst, *(abs(each.got - each.expected) for each in found))
            room = MAX_EXAMPLES - len(examples)
            examples += [_difference(f, parameters, channel, acc) for acc in wrong[:room]]
    verdict: Verdict = "differs" if count else "certified"
    return Certificate(verdict, "requantize", *reach.bounds, count, worst, tuple(examples))


def _difference(f: Definition, parameters: Parameters, channel: int, acc: int) -> Difference:
    return Difference(channel, acc, parameters.code(acc, channel), f.code(acc, channel))


def differing(f: Definition, parameters: Parameters, channel: int, lo: int, hi: int) -> list[range]:
    """Every accumulator in lo..hi where the two differ, one channel, as ascending ranges."""
    edges = _run_ends(f, channel, lo, hi)
    expected = f.codes(edges.tolist(), channel).reshape(-1, 2)
    got = parameters.codes(edges, channel).reshape(-1, 2)
    if (expected[:, 0] != expected[:, 1]).any():
        raise InternalError("The steps of a rescaling are not those of its definition.")
    wrong = (expected != got).any(axis=1)
    sign = -1 if parameters.multiplier[channel] < 0 else 1
    found = []
    for (first, last), code in zip(
        edges.reshape(-1, 2)[wrong].tolist(), expected[wrong, 0].tolist(), strict=True
    ):
        run = range(first, last + 1)
        low, high = (
            cut(run, sign * code, key=lambda acc: sign * parameters.code(acc, channel))
            for cut in (bisect_left, bisect_right)
        )
        found += [part for part in (run[:low], run[high:]) if part]
    return found


def _run_ends(f: Definition, channel: int, lo: int, hi: int) -> Array:
    """First and last accumulator of each run of equal codes of ``f`` in lo..hi, flattened."""
    stairs = f.stairs(channel, lo, hi)
    firsts = np.concatenate(([stairs.lo], stairs.steps))
    lasts = np.concatenate((stairs.steps - 1, [stairs.hi]))
    pairs = np.stack((firsts, lasts), axis=1)[firsts <= lasts]  # a steep scale skips codes
    return (pairs if stairs.sign > 0 else -pairs[::-1, ::-1]).reshape(-1)


def nearest_parameters(f: Rescale, reach: Interval, bits: int = 24) -> Parameters:
    """The rounded ``scale`` and ``offset`` with multipliers of ``bits`` bits; not certified.

    What would overflow int64 saturates.
    """
    reach = reach.per_channel(f.channels)
    multiplier, addend, shift = (np.zeros(f.channels, dtype=np.int64) for _ in range(3))
    for channel, (scale, offset) in enumerate(zip(f.scale, f.offset, strict=True)):
        if scale == 0:
            addend[channel] = f.code(0, channel)
            continue
        size = scale.numerator.bit_length() - scale.denominator.bit_length()
        s = min(max(bits - size, 0), NEAREST_SHIFT)
        widest = max(1, abs(int(reach.lo[channel])), abs(int(reach.hi[channel])))
        most = min((1 << PRODUCT_BITS) // widest, (1 << MAX_MULTIPLIER_BITS) - 1)
        extra = {"floor": 0, "ceil": (1 << s) - 1}.get(f.rounding, (1 << s) >> 1)
        shift[channel] = s
        multiplier[channel] = _saturated(round(scale * (1 << s)), most)
        addend[channel] = _saturated(
            round((offset + f.zero_point) * (1 << s)) + extra, 1 << EDGE_BITS
        )
    return Parameters(multiplier, addend, shift, f.lo, f.hi)


def _saturated(value: int, most: int) -> int:
    return min(max(value, -most), most)


def thresholds(f: Definition, reach: Interval) -> tuple[Array, int] | None:
    """Exact steps ``(channels, levels)`` and the base code, or None when a channel falls.

    Channels with fewer levels are filled up at the side where they begin or end: a step that is
    always passed, or one that is never reached.
    """
    reach = reach.per_channel(f.channels)
    stairs = [f.stairs(c, int(reach.lo[c]), int(reach.hi[c])) for c in range(f.channels)]
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
