"""Shares of a sum of float32 numbers, in integers: what a float adder and one division give.

A positive float32 is its pattern of bits, an int32 that rises with it: ``m * 2**e`` with a mantissa
m of 24 bits. IEEE 754 rounds each sum half to even.
"""

from __future__ import annotations

import numpy as np

from .numeric import Array

FRACTION = 23
ONE_PATTERN = 0x3F800000
LARGEST = 0x7F7FFFFF
"""The pattern of the greatest finite float32."""
_GUARD = 26  # bits below the last one of the greater summand; the lowest stands for all below it
_BIAS = 150
_QUOTIENT = 50  # bits of a reciprocal before it is rounded, more than twice those of a mantissa


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
    whole, drop = rounded((m << _GUARD) + low)
    return whole, e - _GUARD + drop


def rounded(total: Array) -> tuple[Array, Array]:
    """``total``, 0..2**53 - 1, as a mantissa of 24 bits, half to even, and the bits dropped."""
    drop = np.maximum(np.frexp(total.astype(np.float64))[1] - (FRACTION + 1), 0)
    whole, rest = total >> drop, total & ((np.int64(1) << drop) - 1)
    half = np.where(drop > 0, np.int64(1) << np.maximum(drop - 1, 0), 1)
    return whole + ((rest > half) | ((rest == half) & (whole & 1 == 1))), drop


def sum_in_order(mantissas: Array, exponents: Array) -> tuple[Array, Array]:
    """Sums along the last axis, each rounded to float32, one element after the other."""
    m, e = mantissas[..., 0], exponents[..., 0]
    for index in range(1, mantissas.shape[-1]):
        m, e = added(m, e, mantissas[..., index], exponents[..., index])
    return m, e


def float_shares(patterns: Array, axis: int, bits: int) -> Array:
    """``2**bits * x / sum(x)`` along ``axis``, rounded once, half to even.

    ``patterns`` int64 of float32 numbers x >= 0; the sum adds them one after the other, each sum
    rounded to float32.
    """
    mantissas, exponents = split(np.moveaxis(patterns.astype(np.int64), axis, -1))
    m, e = sum_in_order(mantissas, exponents)
    shift = exponents - e[..., None] + bits
    above = mantissas << np.clip(shift, 0, 2 * _GUARD)  # far up only below 2**-126: no overflow
    below = m[..., None] << np.clip(-shift, 0, _GUARD)
    whole, rest = above // below, above % below
    rounded = whole + ((2 * rest > below) | ((2 * rest == below) & (whole & 1 == 1)))
    return np.moveaxis(rounded, -1, axis)


def reciprocal_shares(patterns: Array, axis: int, bits: int) -> Array:
    """``x * (1 / (2**-bits * sum(x)))`` along ``axis``, rounded half up to an integer.

    ``patterns`` int64 of float32 numbers x from 0 to 1, the greatest 1; sums, quotient and product
    are each rounded to float32, half to even.
    Source: tensorflow/lite/kernels/internal/optimized/optimized_ops.h, Softmax of int8.
    """
    mantissas, exponents = split(np.moveaxis(patterns.astype(np.int64), axis, -1))
    m, e = sum_in_order(mantissas, exponents)
    quotient = (np.int64(1) << _QUOTIENT) // m
    sticky = ((np.int64(1) << _QUOTIENT) % m > 0).astype(np.int64)
    inverse, drop = rounded(2 * quotient + sticky)
    place = bits - e - _QUOTIENT - 1 + drop
    whole, drop = rounded(mantissas * inverse[..., None])
    below = np.clip(-(exponents + place[..., None] + drop), 1, _GUARD + FRACTION)
    shares = (whole + (np.int64(1) << (below - 1))) >> below
    return np.moveaxis(shares, -1, axis)
