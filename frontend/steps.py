"""Where a rising function of an accumulator changes its code: found by bisection on the function.

A source format states its rescaling as a function in its own arithmetic, float or fixed point. The
steps of that function are all that there is to know of it (docs/numerics.md section 4).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.numeric import Array


def steps_of(
    f: Callable[[Array], Array],
    channels: int,
    lo: Array | int,
    hi: Array | int,
    first: int,
    last: int,
) -> Array:
    """The least accumulator of each code first + 1 .. last, int64 ``(channels, last - first)``.

    ``f`` takes int64 accumulators ``(channels, levels)`` to codes, elementwise, and must not fall
    along any channel's ``lo..hi`` (scalars or ``(channels,)``). A code that is not reached there
    has the step hi + 1.
    """
    levels = np.arange(first + 1, last + 1, dtype=np.int64)
    shape = (channels, len(levels))
    below, top = (np.broadcast_to(_column(end), shape) for end in (lo, hi))
    above = top + 1
    while (below < above).any():
        middle = below + (above - below) // 2
        reached = f(np.minimum(middle, top)) >= levels
        searched = below < above
        above = np.where(searched & reached, middle, above)
        below = np.where(searched & ~reached, middle + 1, below)
    return np.array(below)


def _column(end: Array | int) -> Array:
    """One bound per channel, or one for all, as ``(-1, 1)``."""
    return np.asarray(end, dtype=np.int64).reshape(-1, 1)
