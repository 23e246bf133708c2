"""TFLite's reference kernels as a dialect: ``TFLITE``.

Sources: tflite/kernels (activations.cc, add.cc, sub.cc, mul.cc, reduce.cc, quantize.cc) and
internal/reference/integer_ops.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_softmax import NEWTON
from .arithmetic import (
    Multiplier,
    activation_range,
    clipped_range,
    round_away,
    softmax_table,
    times_each,
)
from .dialect import Codes, Dialect, Linear, Pairs
from .model import Tensor
from .swish import hard_swish


def linear(scales: Linear) -> Codes:
    """Fixed-point multipliers, one per channel; a fully connected layer multiplies float64."""
    wide = scales.scales.astype(np.float64)
    factors = float(scales.x.scale) * wide / float(scales.y.scale)
    zero = scales.y.zero_point
    if scales.kind == "FULLY_CONNECTED":
        column = factors.reshape(-1, 1)
        return lambda total: round_away(total * column).astype(np.int64) + zero
    multipliers = tuple(map(Multiplier.of, factors.tolist()))
    return lambda total: times_each(multipliers, total) + zero


def mean(x: Tensor, y: Tensor, count: int) -> Codes:
    """The multiplier of the scales, divided by ``count`` (QuantizedMeanOrSum)."""
    given = Multiplier.of(float(x.scale) / float(y.scale))
    shift = min(count.bit_length() - 1, 32, 31 + given.shift)
    divided = Multiplier((given.factor << shift) // count, given.shift - shift)
    return lambda total: divided.times(total - x.zero_point * count) + y.zero_point


def average(count: int) -> Codes:
    """The sum of codes divided by ``count``, halves away from 0: zero points play no part."""

    def codes(total: Array) -> Array:
        divided: Array = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return divided

    return codes


def add(x: Tensor, y: Tensor, z: Tensor, sign: int) -> Pairs:
    """Both operands at twice the greater scale with 20 more bits, then the sum at the result's."""
    left_shift = 20
    twice = 2 * max(float(x.scale), float(y.scale))
    first, second = (Multiplier.of(float(each.scale) / twice) for each in (x, y))
    last = Multiplier.of(twice / ((1 << left_shift) * float(z.scale)))

    def codes(left: Array, right: Array) -> Array:
        a = first.times((left - x.zero_point) << left_shift)
        b = second.times((right - y.zero_point) << left_shift)
        return last.times(a + sign * b) + z.zero_point

    return codes


def multiply(x: Tensor, y: Tensor, z: Tensor) -> Codes:
    """One multiplier; the product of two scales is float32."""
    ratio = Multiplier.of(float(x.scale * y.scale / z.scale))
    return lambda product: ratio.times(product) + z.zero_point


def all_codes(x: Tensor) -> Array:
    """Every code of x's type, ascending, int64."""
    return np.arange(x.dtype.lo, x.dtype.hi + 1, dtype=np.int64)


RELUS = {
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}


def table(kind: str, x: Tensor, y: Tensor, alpha: float) -> Array | None:
    """The table of a function of one tensor; ``alpha`` is the slope of a leaky relu."""
    codes = all_codes(x)
    if kind in RELUS:
        ratio = Multiplier.of(float(x.scale / y.scale))
        lo, hi = clipped_range(RELUS[kind], y, y.dtype)
        return np.clip(ratio.times(codes - x.zero_point) + y.zero_point, lo, hi)
    if kind == "QUANTIZE":
        ratio = Multiplier.of(float(x.scale) / float(y.scale))
        made = ratio.times(codes - x.zero_point) + y.zero_point
    elif kind == "LEAKY_RELU":
        made = _leaky(x, y, alpha, codes)
    elif kind in _FLOATS:
        made = _by_float(kind, x, y, codes)
    elif kind == "HARD_SWISH":
        made = hard_swish(x, y, codes)
    else:
        return None
    return np.clip(made, y.dtype.lo, y.dtype.hi)


def _leaky(x: Tensor, y: Tensor, alpha: float, codes: Array) -> Array:
    centered = codes - x.zero_point
    slope = float(x.scale * np.float32(alpha) / y.scale)
    falling = np.sign(slope) * Multiplier.of(abs(slope)).times(centered)
    rising = Multiplier.of(float(x.scale / y.scale)).times(centered)
    return np.where(centered >= 0, rising, falling).astype(np.int64) + y.zero_point


def _sigmoid(x: Array) -> Array:
    one = np.float32(1)
    return one / (one + np.exp(-x.astype(np.float64)).astype(np.float32))


_FLOATS: dict[str, Callable[[Array], Array]] = {
    "LOGISTIC": _sigmoid,
    "TANH": lambda x: np.tanh(x.astype(np.float64)).astype(np.float32),
}


def _by_float(kind: str, x: Tensor, y: Tensor, codes: Array) -> Array:
    """LUTPopulate: float32, the exponential rounded once."""
    real = x.scale * (codes - x.zero_point).astype(np.float32)
    with np.errstate(over="ignore"):
        steps = _FLOATS[kind](real) * (np.float32(1) / y.scale)
    return (round_away(steps) + np.float32(y.zero_point)).astype(np.int64)


def softmax(x: Tensor, beta: float, length: int) -> tuple[Array, int]:
    """gemmlowp's exponentials and reciprocal."""
    return softmax_table(float(x.scale), beta), NEWTON


def interpolate(
    size: int, new: int, corners: bool, half_pixels: bool
) -> tuple[Array, Array, Array]:
    """ResizeBilinearInteger: places in 1/1024."""
    scale = ((size << 10) + new // 2) // new
    if corners and new > 1:
        scale = (((size - 1) << 10) + (new - 1) // 2) // (new - 1)
    place = np.arange(new, dtype=np.int64) * scale
    if half_pixels:
        place = place + scale // 2 - (1 << 9)
    first = np.maximum(_toward_zero(place), 0)
    second = np.minimum(_toward_zero(place + 1023), size - 1)
    return first, second, place - (first << 10)


def _toward_zero(place: Array) -> Array:
    divided: Array = np.sign(place) * (np.abs(place) >> 10)
    return divided


def resized(total: Array) -> Array:
    """The sum of products of 20 fraction bits, halves away from 0."""
    rounded: Array = np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20)
    return rounded


TFLITE = Dialect(
    "tflite",
    linear,
    mean,
    average,
    add,
    multiply,
    table,
    activation_range,
    softmax,
    interpolate,
    resized,
    10,
)
