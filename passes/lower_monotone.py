"""The steps of a rising function of an accumulator, found by bisection on the function itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.numeric import Array
from .meaning import Curve

RISING = frozenset(("sigmoid", "tanh", "exp", "hard_sigmoid"))
"""Functions that never fall."""


def curve_steps(
    curve: Curve, encode: Callable[[Array], Array], codes: range, ends: tuple[int, int]
) -> Array:
    """The least accumulator within ``ends`` that reaches each of ``codes``, a row per channel.

    ``encode`` gives the codes of float64 reals: the definition that is evaluated, as for a table.
    A code that no accumulator reaches has the greatest plus one.
    """
    parts = curve.image.scale, curve.image.offset
    scale, offset = (np.array([float(each) for each in part])[:, None] for part in parts)
    wanted = np.array(codes, dtype=np.int64)
    shape = (len(scale), len(wanted))
    below, above = np.full(shape, ends[0]), np.full(shape, ends[1] + 1)
    while (below < above).any():
        middle = (below + above) >> 1
        with np.errstate(over="ignore"):
            reached = encode(curve.apply(scale * middle + offset)) >= wanted
        open_ = below < above
        below, above = (
            np.where(open_ & ~reached, middle + 1, below),
            np.where(open_ & reached, middle, above),
        )
    return below
