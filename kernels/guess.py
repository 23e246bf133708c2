"""Thresholds that climb almost evenly: a product guesses the code, one threshold settles it.

Steps of a rescaling are nearly equidistant, even where no multiplication climbs them exactly. A
line whose step k lies from threshold k to threshold k + 1 gives the code or the one below it. Where
codes are left out at the ends of a row, its first thresholds are equal, or its last.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..ir.numeric import INT32, Array
from .compiled import compiled

SHIFT = 32
FEWEST = 16
"""Thresholds for which a search takes more steps than a guess."""
MOST = 1 << 62
"""What a product and its addend stay below, so that int64 holds them."""
_FAR = np.iinfo(np.int64).max >> 1
"""A threshold that no int32 reaches."""


@dataclass(frozen=True, slots=True)
class Line:
    """How one row is guessed, or arrays of all rows.

    ``(x * multiplier + addend) >> 32``, within ``lo`` and ``hi``, is the number of thresholds that
    are at most x, or one less: from ``floor`` on, below which it is 0, and but for ``more`` that
    are all at ``top``.
    """

    multiplier: int | Array
    addend: int | Array
    lo: int | Array
    hi: int | Array
    floor: int | Array
    top: int | Array
    more: int | Array


def guess(thresholds: Array) -> tuple[Line, Array] | None:
    """Lines of the rows of thresholds ``(rows, levels)``, ascending, as int64 arrays ``(rows,)``,
    and behind each guess the threshold that settles it ``(rows, levels + 1)``.

    None where a row climbs unevenly.
    """
    if thresholds.shape[1] < FEWEST:
        return None
    wide = np.clip(thresholds.astype(np.int64), INT32.lo, INT32.hi + 1)
    lines = [line for line in map(_line, wide) if line is not None]
    if len(lines) < len(wide):
        return None
    whole = Line(
        *(np.array([getattr(line, each.name) for line in lines], np.int64) for each in fields(Line))
    )
    behind = np.where(thresholds > INT32.hi, _FAR, thresholds.astype(np.int64))
    return whole, np.pad(behind, ((0, 0), (0, 1)), constant_values=_FAR)


def _line(row: Array) -> Line | None:
    """The line of one row, whose thresholds lie in int32 or one above it."""
    lo, last = _equal(row), _equal(row[::-1])
    if lo == len(row):
        return Line(0, lo << SHIFT, lo, lo, int(row[0]), _FAR, 0)
    hi = len(row) - last
    floor, top = int(row[0]) if lo else -_FAR, int(row[-1]) if last else _FAR
    ends = lo, hi, floor, top, last
    inner = row[lo:hi]
    if len(inner) < 2:
        return Line(0, lo << SHIFT, *ends)
    span = int(inner[-1] - inner[0])
    if span == 0:
        return None
    multiplier = ((len(inner) - 1) << SHIFT) // span
    codes = np.arange(lo + 1, hi + 1, dtype=np.int64) << SHIFT
    # The addends for which x = t - 1 is not yet code k, and x = the next t is.
    most = int((codes - (inner - 1) * multiplier).min()) - 1
    least = int((codes[:-1] - inner[1:] * multiplier).max())
    addend = (least + most) // 2
    fits = multiplier * -INT32.lo + abs(addend) < MOST
    return Line(multiplier, addend, *ends) if least <= most and fits else None


def _equal(row: Array) -> int:
    """How many of the first are equal; 0 if the first is alone."""
    count = int(np.argmin(np.append(row == row[0], False)))
    return count if count > 1 else 0


def spread(line: Line, rows: Array) -> tuple[Array, ...]:
    """The parameters of elements of these rows, one array each."""
    return tuple(np.ascontiguousarray(getattr(line, each.name)[rows]) for each in fields(Line))


@compiled
def climb(
    x: Array, line: tuple[Array, ...], starts: Array, behind: Array, base: int, out: Array
) -> None:
    """Codes of x by the guess, for runs of as many elements as ``line`` has parameters.

    ``starts`` says where the thresholds of each element begin in ``behind``. Loops over few arrays
    each, which LLVM makes vectors of; so it does of an unsigned index.
    """
    multiplier, addend, lo, hi, floor, top, more = line
    found = np.empty(starts.size, np.int64)
    for begin in range(0, x.size, starts.size):
        source, target = x[begin : begin + starts.size], out[begin : begin + starts.size]
        for i in range(source.size):
            found[i] = (np.int64(source[i]) * multiplier[i] + addend[i]) >> SHIFT
        for i in range(source.size):
            found[i] = min(max(found[i], lo[i]), hi[i])
        for i in range(source.size):
            after = behind[np.uint64(starts[i] + found[i])] <= source[i]
            found[i] += 1 if after else 0
        for i in range(source.size):
            found[i] = min(found[i], hi[i]) + (more[i] if top[i] <= source[i] else 0)
        for i in range(source.size):
            target[i] = base + (found[i] if floor[i] <= source[i] else 0)
