"""Fixed-point arithmetic of 32 bits as gemmlowp and TFLite define it, on int64 arrays.

A number of Q(m, 31 - m) is an int32 that stands for ``raw / 2**(31 - m)``. Nothing here saturates:
the arguments for which gemmlowp would are not taken (gemmlowp/fixedpoint/fixedpoint.h,
tflite/kernels/internal/common.h).
"""

from __future__ import annotations

import numpy as np

from .numeric import Array

ONE = (1 << 31) - 1
"""1.0 as Q0.31, which does not reach it."""
SUM_BITS = 12
"""Integer bits of a sum of exponentials: it is Q12.19."""


def high_product(x: Array, y: Array | int) -> Array:
    """``x * y / 2**31``, rounded once, half away from 0 above and half towards 0 below it.

    SaturatingRoundingDoublingHighMul: for Q(m) times Q(n) the product as Q(m + n).
    """
    product = x * y
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    return np.sign(nudged) * (np.abs(nudged) >> 31)


def divide_by_power(x: Array, exponent: Array | int) -> Array:
    """``x / 2**exponent``, rounded half away from 0: RoundingDivideByPOT."""
    power = np.left_shift(np.int64(1), exponent)
    return (x + (power >> 1) - ((x < 0) & (power > 1))) >> exponent


def reciprocal(x: Array) -> tuple[Array, Array]:
    """``1 / x`` for positive Q12.19, as Q0.31 in [1/2, 1] and the power of two to divide it by.

    GetReciprocal: x is brought to [1, 2), three steps of Newton and Raphson divide.
    """
    leading = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)  # zero bits of 32
    half = np.left_shift(x, leading) >> 1  # of the divisor, Q0.31: (x - 1 + 1) / 2
    guess = 1515870810 + high_product(half, -1010580540)  # 48/17 - 32/17 half, Q2.29
    for _ in range(3):
        error = (1 << 29) - high_product(half, guess)
        guess = guess + (high_product(guess, error) << 2)
    return np.minimum(guess << 1, ONE), SUM_BITS - leading


def softmax_shares(powers: Array, axis: int, bits: int) -> Array:
    """``2**bits * powers / sum(powers)`` along ``axis``, at most ``2**bits``, as TFLite divides.

    ``powers`` are Q0.31, their rounded sum at least 1/2 (tflite reference/softmax.h).
    """
    total = rounded_sum(powers, axis)
    scale, power = reciprocal(total)
    shares = divide_by_power(high_product(powers, scale), power + (31 - bits))
    return np.minimum(shares, 1 << bits)


def rounded_sum(powers: Array, axis: int) -> Array:
    """The sum of Q0.31 along ``axis``, kept as 1, each rounded to Q12.19 first."""
    total: Array = divide_by_power(powers, SUM_BITS).sum(axis=axis, keepdims=True)
    return total
