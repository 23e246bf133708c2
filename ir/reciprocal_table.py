"""Shares of a sum of 16-bit exponentials by a table of reciprocals, as TFLite divides them.

Sources: tflite/kernels/internal/reference/softmax.h (SoftmaxInt16), common.h (LUTPopulateInt16,
LUTLookup) and kernels/activations.cc. Everything is integers below 2**62.
"""

from __future__ import annotations

import numpy as np

from .numeric import Array

SHARE_BITS = 15
LARGEST = (1 << SHARE_BITS) - 1
"""1 as Q0.15, which does not reach it."""
_STEPS, _STEP_BITS = 512, 7


def _near(doubled: Array) -> Array:
    """``2**15 / (1 + x)`` for ``x = doubled / 1024``, rounded once; no ties occur."""
    below = 1024 + doubled
    nearest: Array = ((1 << 26) + below) // (2 * below)
    return nearest


def reciprocals() -> Array:
    """``2**15 / (1 + i / 512)``, int64 ``(513,)``, each moved by half the error midway to the next.

    The line to the next entry then misses the middle and the end about equally.
    """
    here = 2 * np.arange(_STEPS, dtype=np.int64)
    sample, middle = _near(here), _near(here + 1)
    below = 1024 + here + 2
    # round((2**25 / below + sample) / 2), halves away from 0, of positive numbers
    line = ((1 << 25) + (sample + 1) * below) // (2 * below)
    error = line - middle
    bias = np.sign(error) * ((np.abs(error) + 1) >> 1)
    return np.append(np.minimum(sample - bias, LARGEST), _near(np.array([2 * _STEPS])))


RECIPROCALS = reciprocals()


def interpolated(table: Array, place: Array) -> Array:
    """LUTLookup: ``table`` ``(513,)`` at int16 ``place``, 7 bits of it between two entries."""
    index, rest = 256 + (place >> _STEP_BITS), place & ((1 << _STEP_BITS) - 1)
    slope = table[index + 1] - table[index]
    found: Array = table[index] + ((slope * rest + (1 << 6)) >> _STEP_BITS)
    return found


def table_shares(powers: Array, axis: int) -> Array:
    """``2**15 * powers / sum(powers)`` along ``axis``, 0..2**15 - 1, by the table of reciprocals.

    ``powers`` are Q0.15, their sum in 2**14..2**31 - 1.
    """
    total = powers.sum(axis=axis, keepdims=True)
    zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)  # leading, of 32 bits
    mantissa = ((total << (zeros - 1)) + (1 << 13)) >> 14  # 2**16 (1 + x)
    factor = interpolated(RECIPROCALS, np.minimum(mantissa - (3 << 15), LARGEST))
    shares = (powers * factor + (np.int64(1) << (30 - zeros))) >> (31 - zeros)
    return np.minimum(shares, LARGEST)
