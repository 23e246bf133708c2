"""Shares of a sum of float32 numbers, in integers: what a float adder and one division give.

A positive float32 is its pattern of bits, an int32 that rises with it: ``m * 2**e`` with a mantissa
m of 24 bits. IEEE 754 rounds each sum half to even.
"""

from __future__ import annotations

import numpy as np

from .numeric import Array

FRACTION = 23
LARGEST = 0x7F7FFFFF
"""The pattern of the greatest finite float32."""
_GUARD = 26  # bits below the last one of the greater summand; the lowest stands for all below it
_BIAS = 150


def split(patterns: Array) -> tuple[Array, Array]:
    """Mantissas ``0..2**24 - 1`` and exponents of positive float32 patterns, int64."""
    exponents, fractions = patterns >> FRACTION, patterns & ((1 << FRACTION) - 1)
    normal = exponents > 0
    return fractions + (normal.astype(np.int64) << FRACTION), np.maximum(exponents, 1) - _BIAS


def added(m: Array, e: Array, n: Array, f: Array) -> tuple[Array, Array]:
    """``m * 2**e + n * 2**f`` rounded to a mantissa of 24 bits, half to even."""
    swap = (f > e) & (n > 0) | (m == 0)
    m, e, n, f = (np.where(swap, a, b) for a, b in ((n, m), (f, e), (m, n), (e, f)))
    below = np.minimum(np.where(n > 0, e - f, 0), 2 * _GUARD)
    low = n << _GUARD
    low = (low >> below) | ((low & ((np.int64(1) << below) - 1)) > 0)
    total = (m << _GUARD) + low
    drop = np.maximum(np.frexp(total.astype(np.float64))[1] - (FRACTION + 1), 0)  # total < 2**53
    whole, rest = total >> drop, total & ((np.int64(1) << drop) - 1)
    half = np.where(drop > 0, np.int64(1) << np.maximum(drop - 1, 0), 1)
    whole = whole + ((rest > half) | ((rest == half) & (whole & 1 == 1)))
    return whole, e - _GUARD + drop


def float_shares(patterns: Array, axis: int, bits: int) -> Array:
    """``2**bits * x / sum(x)`` along ``axis``, rounded once, half to even.

    ``patterns`` int64 of float32 numbers x >= 0; the sum adds them one after the other, each sum
    rounded to float32.
    """
    mantissas, exponents = split(np.moveaxis(patterns.astype(np.int64), axis, -1))
    m, e = mantissas[..., 0], exponents[..., 0]
    for index in range(1, mantissas.shape[-1]):
        m, e = added(m, e, mantissas[..., index], exponents[..., index])
    shift = exponents - e[..., None] + bits
    above = mantissas << np.clip(shift, 0, 2 * _GUARD)  # far up only below 2**-126: no overflow
    below = m[..., None] << np.clip(-shift, 0, _GUARD)
    whole, rest = above // below, above % below
    rounded = whole + ((2 * rest > below) | ((2 * rest == below) & (whole & 1 == 1)))
    return np.moveaxis(rounded, -1, axis)
