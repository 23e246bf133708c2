"""What TFLite's reference kernels compute, in numpy: fixed point with multipliers of 31 bits.

Sources: tflite/kernels/internal (common.cc, quantization_util.cc, common.h) and gemmlowp's
fixedpoint.h. Arrays are int64 and hold what the kernels hold in int32 or, where said, in int64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, frexp, ldexp

import numpy as np

from ...ir.fixed_point import ONE, divide_by_power, high_product
from ...ir.numeric import Array, NumericType
from .model import Tensor

INT32_REACH = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Multiplier:
    """``factor / 2**31 * 2**shift``: a positive real below 2**31 (QuantizeMultiplier)."""

    factor: int
    shift: int

    @classmethod
    def of(cls, real: float) -> Multiplier:
        """The multiplier nearest to ``real``, which is a float64."""
        mantissa, shift = frexp(real)
        factor = floor(ldexp(mantissa, 31) + 0.5)
        if factor == 1 << 31:
            factor, shift = factor >> 1, shift + 1
        return cls(0, 0) if shift < -31 else cls(factor, shift)

    def times(self, x: Array) -> Array:
        """``x`` times the multiplier, rounded twice; MultiplyByQuantizedMultiplier for int32."""
        return times_each((self,), x)

    @property
    def narrow(self) -> tuple[int, int, int]:
        """(M, r, s) of the rule for int64 accumulators: ``(x * M + r) >> s``, M of 15 bits."""
        factor = (self.factor + (1 << 15)) >> 16 if self.factor < 0x7FFF0000 else 0x7FFF
        shift = 15 - self.shift
        return factor, (1 << max(shift, 0)) >> 1, shift


def times_each(multipliers: tuple[Multiplier, ...], x: Array) -> Array:
    """Row c of x ``(channels, ...)`` times multiplier c; one multiplier serves all rows.

    Raises OverflowError where TFLite's int32 would overflow.
    """
    factors, shifts = (
        np.array(each, np.int64).reshape(-1, *(1,) * (x.ndim - 1))
        for each in zip(*((m.factor, m.shift) for m in multipliers), strict=True)
    )
    raised = x << np.maximum(shifts, 0)
    if np.abs(raised).max(initial=0) > INT32_REACH + 1:
        raise OverflowError("Its sums overflow TFLite's 32 bits.")
    return divide_by_power(high_product(raised, factors), np.maximum(-shifts, 0))


def round_away(x: Array) -> Array:
    """float to integral float of the same type, halves away from 0 (std::round)."""
    whole = np.trunc(x)
    rounded: Array = whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0).astype(x.dtype)
    return rounded


def half_even(above: Array, below: int) -> Array:
    """``above / below`` rounded once, halves to even; int64, or integers of any size as objects."""
    whole, twice = above // below, 2 * (above % below)
    up: Array = (twice > below) | ((twice == below) & (whole % 2 == 1))
    return whole + up


def activation_range(
    function: int, tensor: Tensor, round_: Callable[[Array], Array] = round_away
) -> tuple[int, int]:
    """The codes that a fused activation leaves: CalculateActivationRangeQuantized.

    ``function`` is TFLite's number: 0 none, 1 relu, 2 relu_n1_to_1, 3 relu6.
    """
    dtype = tensor.dtype
    ends = {1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}.get(function, (-np.inf, np.inf))
    return clipped_range(ends, tensor, dtype, round_)


def clipped_range(
    ends: tuple[float, float],
    tensor: Tensor,
    dtype: NumericType,
    round_: Callable[[Array], Array] = round_away,
) -> tuple[int, int]:
    """The codes of the reals in ``ends``, cut to ``dtype``."""
    codes = [dtype.lo, dtype.hi]
    for index, end in enumerate(ends):
        if np.isfinite(end):
            steps = np.array([np.float32(end)], np.float32) / tensor.scale
            code = int(round_(steps)[0]) + tensor.zero_point
            codes[index] = max(codes[0], code) if index == 0 else min(codes[1], code)
    return min(codes[0], dtype.hi), max(codes[1], dtype.lo)


# exp of gemmlowp ----------------------------------------------------------------------------------

_FACTORS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""exp(-(2**k)) as Q0.31."""


def exponential(x: Array) -> Array:
    """exp of Q5.26 that is not positive, as Q0.31 (exp_on_negative_values)."""
    quarter = 1 << 24
    inner = (x & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _near_zero(inner << 5)
    rest = inner - x
    for power, factor in _FACTORS:
        bit = (rest >> (26 + power)) & 1
        result = np.where(bit == 1, high_product(result, factor), result)
    return np.where(x == 0, ONE, result)


def _near_zero(x: Array) -> Array:
    """exp of Q0.31 in [-1/4, 0) by its Taylor series around -1/8."""
    center, third = 1895147668, 715827883  # exp(-1/8), 1/3
    x = x + (1 << 28)
    x2 = high_product(x, x)
    x3, x4 = high_product(x2, x), high_product(x2, x2)
    cubic = high_product(divide_by_power(x4, 2) + x3, third) + x2
    return center + high_product(x + divide_by_power(cubic, 1), center)


def softmax_table(scale: float, beta: float, entries: int = 256) -> Array:
    """exp(-beta scale d) as Q0.31 for differences d of codes; 0 from where TFLite cuts them off.

    PreprocessSoftmaxScaling and CalculateInputRadius with 5 integer bits.
    """
    real = min(float(beta) * float(scale) * (1 << 26), float((1 << 31) - 1))
    multiplier = Multiplier.of(real)
    radius = floor(31.0 * (1 << 26) / ldexp(1.0, multiplier.shift))
    below = np.arange(min(entries, radius + 1), dtype=np.int64)
    table = exponential(multiplier.times(-below))
    return table if len(table) == entries else np.append(table, 0)
