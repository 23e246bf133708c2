"""onnxruntime's average pool of codes, which adds float32 reals one after the other.

What it gives can depend on more than the sum of the codes in a window. It is imported where it
does not: where every possible rounding leads to one code for each sum.
"""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from .qarithmetic import F32, Grid

MAX_STATES = 1 << 24  # of pairs (sum of codes, float32 sum) looked at in one step
MAX_ELEMENTS = 1 << 12  # of a window
_HALF_ULP = 2.0**-24


def averaged(x: Grid, to: Grid, elements: int) -> Array | None:
    """The code of each sum of ``elements`` codes less their zero point, from the least sum on.

    None when equal sums have different codes, or when there is too much to look at (qlinear_pool.cc
    adds, divides by the number, divides by the scale and adds the zero point, all in float32).
    """
    if elements > MAX_ELEMENTS:
        return None
    ends = x.dtype.lo - x.zero_point, x.dtype.hi - x.zero_point
    sums = np.arange(ends[0] * elements, ends[1] * elements + 1, dtype=np.int64)
    ratio = float(x.scale) / float(to.scale)
    steps = sums * (ratio / elements) + to.zero_point
    if _unmoved(steps, _error(ratio * max(map(abs, ends)), to, elements), to):
        return to.rounded_last(steps)
    return _searched(x, to, elements, sums)


def _error(most: float, to: Grid, elements: int) -> float:
    """Bounds what float32 adds to a result in units of a code; ``most`` is an element's most.

    Each of ``elements`` products and additions errs by half an ulp of at most ``elements * most``,
    then the two quotients, and the last sum by that of ``most`` plus the zero point.
    """
    return _HALF_ULP * 1.01 * ((elements + 4) * most + abs(to.zero_point) + 1)


def _unmoved(steps: Array, error: float, to: Grid) -> bool:
    """Whether no step comes so near to a tie that an error could move it across."""
    inside = (steps > to.dtype.lo - 1) & (steps < to.dtype.hi + 1)
    distance = np.abs(steps - np.floor(steps) - 0.5)
    return bool((distance[inside] > error).all())


def _searched(x: Grid, to: Grid, elements: int, sums: Array) -> Array | None:
    """The same by all float32 sums that can occur, each beside the sum of codes behind it."""
    codes, reals = x.codes - x.zero_point, x.reals()
    totals, values = codes, reals
    for _ in range(elements - 1):
        if len(totals) * len(codes) > MAX_STATES:
            return None
        totals = (totals[:, None] + codes).reshape(-1)
        values = (values[:, None] + reals).reshape(-1) + F32(0)  # no negative zero
        keys = (totals << 32) | values.view(np.uint32).astype(np.int64)
        _, kept = np.unique(keys, return_index=True)
        totals, values = totals[kept], values[kept]
    found = to.rounded_last(values / F32(elements) / to.scale + F32(to.zero_point))
    least, most = (np.full(len(sums), start) for start in (to.dtype.hi, to.dtype.lo))
    np.minimum.at(least, totals - sums[0], found)
    np.maximum.at(most, totals - sums[0], found)
    return least if (least == most).all() else None
