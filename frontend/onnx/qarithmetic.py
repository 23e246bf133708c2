"""The arithmetic of onnxruntime's operators on codes, bit for bit, in numpy.

What onnxruntime 1.32 computes on x86-64 with AVX2 and FMA; each formula names its source file in
github.com/microsoft/onnxruntime. Every operation is float32 and rounds once, unless it says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np

from ...ir.numeric import Array, NumericType

F32 = np.float32


@dataclass(frozen=True, slots=True)
class Grid:
    """Codes of one tensor: ``scale * (code - zero_point)``; the scale float32 ``()``."""

    scale: np.float32
    zero_point: int
    dtype: NumericType

    @property
    def codes(self) -> Array:
        """Every code in ascending order, int64."""
        return np.arange(self.dtype.lo, self.dtype.hi + 1, dtype=np.int64)

    def reals(self) -> Array:
        """What each code stands for: float32, rounded (qlinear_lookup_table.cc)."""
        centered: Array = (self.codes - self.zero_point).astype(F32)
        return centered * self.scale

    def quantize(self, reals: Array) -> Array:
        """float32 to codes: the quotient is a float32, rounded half to even (quantize.cpp)."""
        return self.rounded(reals / self.scale)

    def rounded(self, steps: Array) -> Array:
        """Reals in units of a code, without the zero point, to codes: clipped, rounded, shifted."""
        lo, hi = (F32(end - self.zero_point) for end in (self.dtype.lo, self.dtype.hi))
        codes: Array = np.rint(np.clip(steps, lo, hi)).astype(np.int64) + self.zero_point
        return codes

    def clipped(self, codes: Array) -> Array:
        """Integers brought into the range of codes."""
        return np.clip(codes, self.dtype.lo, self.dtype.hi)

    def rounded_last(self, steps: Array) -> Array:
        """Reals in units of a code, zero point included, to codes."""
        codes: Array = np.clip(np.rint(steps), self.dtype.lo, self.dtype.hi).astype(np.int64)
        return codes


def requantized(accumulators: Array, scale: Array | np.float32, to: Grid) -> Array:
    """int32 accumulators to codes (``MlasRequantizeOutput`` in quantize.cpp).

    conv, gemm, matmul and the global average pool end in it.
    """
    return to.rounded(accumulators.astype(F32) * scale)


def output_scale(x: np.float32, weight: Array | np.float32, to: Grid, alpha: float = 1.0) -> Array:
    """The scale of ``requantized``: ``alpha * x * weight / to`` from left to right.

    qlinearconv.cc, quantize_linear_matmul.cc and quant_gemm.cc.
    """
    scale: Array = np.asarray(F32(alpha) * x * weight / to.scale)
    return scale


def average_scale(x: Grid, to: Grid, elements: int) -> np.float32:
    """The scale of ``requantized`` for sums over an image (qlgavgpool.cpp)."""
    return F32(x.scale / F32(to.scale * F32(elements)))


def added(left: Grid, right: Grid, to: Grid) -> Array:
    """Codes of every sum ``(codes of left, codes of right)`` (qladd_avx2.cpp, both tensors)."""
    ratios, fixed = _addition(left, right, to)
    row = fused(right.codes.astype(F32), ratios[1], fixed)
    return to.rounded_last(fused(left.codes.astype(F32)[:, None], ratios[0], row[None, :]))


def added_constant(x: Grid, other: Grid, codes: Array, to: Grid) -> Array:
    """Codes of every code of x plus each of ``codes``: ``(len(codes), codes of x)``.

    The same file where the other operand is one element for a run of x: it joins the fixed part.
    """
    ratios, fixed = _addition(x, other, to)
    shifted = fused(codes.astype(F32), ratios[1], fixed)
    return to.rounded_last(fused(x.codes.astype(F32)[None, :], ratios[0], shifted[:, None]))


def _addition(left: Grid, right: Grid, to: Grid) -> tuple[tuple[np.float32, np.float32], Array]:
    """Both ratios of scales, and what does not depend on the operands.

    The compiler fuses the first product of the zero points into their sum.
    """
    ratios = F32(left.scale / to.scale), F32(right.scale / to.scale)
    second = np.asarray(ratios[1] * F32(right.zero_point))
    zeros = fused(np.asarray(F32(left.zero_point)), ratios[0], second)
    return ratios, np.asarray(F32(to.zero_point) - zeros)


def multiplied(products: Array, left: Grid, right: Grid, to: Grid) -> Array:
    """Products of codes less their zero points, to codes (qlmul.cpp)."""
    ratio = F32(F32(left.scale * right.scale) / to.scale)
    return to.rounded_last(products.astype(F32) * ratio + F32(to.zero_point))


def rescaled(x: Grid, to: Grid) -> Array:
    """The code of each code of x in another grid (qlinear_concat.cc); equal grids copy."""
    return x.codes if x == to else to.quantize(x.reals())


def leaky_relu(x: Grid, to: Grid, alpha: float) -> Array:
    """The code for each code of x (qlinear_activations.cc)."""
    reals = x.reals()
    return to.quantize(np.where(reals >= 0, reals, F32(alpha) * reals))


def sigmoid(x: Grid, to: Grid) -> Array:
    """The code for each code of x (qlinear_activations.cc)."""
    return to.quantize(logistic(x.reals()))


def exponentials(x: Grid, length: int) -> Array:
    """float32 ``exp(-scale * i)`` for i in 0..255, times a factor for sums of ``length`` entries.

    The factor keeps them finite: the logarithm is a float32, the rest float64 (qlinear_softmax.cc).
    """
    largest = F32(np.finfo(F32).max / F32(length))
    room, scale = float(F32(log(largest))), float(x.scale)
    shift = max(0.0, room - 5) / scale
    return np.array([exp((shift - i) * scale) for i in range(256)], dtype=F32)


_NUMERATOR = (
    4.37031012579801e-11,
    1.15627324459942e-07,
    6.08574864600143e-05,
    8.51377133304701e-03,
    2.48287947061529e-01,
)
_DENOMINATOR = (
    6.10247389755681e-13,
    5.76102136993427e-09,
    6.29106785017040e-06,
    1.70198817374094e-03,
    1.16817656904453e-01,
    9.93151921023180e-01,
)
_SATURATION = F32(18)


def logistic(reals: Array) -> Array:
    """``1 / (1 + exp(-x))`` by the rational function of logistic.cpp: float32, fused."""
    x = np.clip(reals.astype(F32), -_SATURATION, _SATURATION)
    square = x * x
    ratio = _polynomial(_NUMERATOR, square) * x / _polynomial(_DENOMINATOR, square)
    clipped: Array = np.clip(ratio + F32(0.5), F32(0), F32(1))
    return clipped


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's rule, each step fused; the coefficient of the highest power first."""
    total = np.full(x.shape, F32(coefficients[0]))
    for coefficient in coefficients[1:]:
        total = fused(total, x, np.asarray(F32(coefficient)))
    return total


def fused(x: Array, factor: Array | np.float32, addend: Array) -> Array:
    """``x * factor + addend`` of float32 numbers, rounded once to float32.

    The product is exact in float64. The sum is rounded to odd there, which keeps for the second
    rounding what the first cut off (Boldo and Melquiond 2008).
    """
    product, other = x.astype(np.float64) * np.float64(factor), addend.astype(np.float64)
    total = np.asarray(product + other)
    part = total - product
    lost = (product - (total - part)) + (other - part)
    even = total.view(np.int64) & 1 == 0
    odd = np.where((lost != 0) & even, np.nextafter(total, np.copysign(np.inf, lost)), total)
    return odd.astype(F32)
