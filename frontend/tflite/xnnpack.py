"""XNNPACK as LiteRT runs it by default on x86, as a dialect: ``XNNPACK``.

What XNNPACK does not take runs on TFLite's own optimized kernels. Sources: XNNPACK's
microparams-init.c, requantization.h, indirection.c and reference/; tflite/delegates/xnnpack and
tflite/kernels/internal/optimized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_softmax import RECIPROCAL
from .dialect import Codes, Linear, Pairs
from .model import Tensor
from .reference import RELUS, TFLITE, all_codes


def _rounded(x: Array) -> Array:
    """float32 to int64, halves to even; what is beyond any code saturates."""
    return np.rint(np.clip(x, -(2.0**40), 2.0**40)).astype(np.int64)


def linear(scales: Linear) -> Codes:
    """float32 scales, one product, rounded half to even."""
    factors = (scales.x.scale * scales.scales / scales.y.scale).reshape(-1, 1)
    if factors.max() >= 256:
        raise OverflowError("XNNPACK refuses to rescale its sums by 256 and more.")
    return lambda total: _rounded(total.astype(np.float32) * factors) + scales.y.zero_point


def mean(x: Tensor, y: Tensor, count: int) -> Codes:
    """float32, the zero points added before the one rounding."""
    scale = (x.scale / y.scale) * (np.float32(1) / np.float32(count))
    moved = np.float32(y.zero_point) - np.float32(count * x.zero_point) * scale
    return lambda total: _rounded(total.astype(np.float32) * scale + moved)


def add(x: Tensor, y: Tensor, z: Tensor, sign: int) -> Pairs:
    """Multipliers of 21 bits, one shift, half up; scales far apart are left to TFLite."""
    ratios = [each.scale / z.scale for each in (x, y)]
    if any(not np.float32(2.0**-10) <= ratio < 256 for ratio in ratios):
        return TFLITE.add(x, y, z, sign)
    shift = 20 - int(np.frexp(max(ratios))[1] - 1)
    first, second = (int(np.rint(np.ldexp(ratio, shift))) for ratio in ratios)
    second *= sign
    bias = (1 << (shift - 1)) - first * x.zero_point - second * y.zero_point
    return lambda a, b: ((bias + first * a + second * b) >> shift) + z.zero_point


def multiply(x: Tensor, y: Tensor, z: Tensor) -> Codes:
    """float32, rounded half to even; extreme scales are left to TFLite."""
    ratio = x.scale * y.scale / z.scale
    if not np.float32(2.0**-16) <= ratio < 256:
        return TFLITE.multiply(x, y, z)
    return lambda product: _rounded(product.astype(np.float32) * ratio) + z.zero_point


def table(kind: str, x: Tensor, y: Tensor, alpha: float) -> Array | None:
    """Logistic, tanh, leaky relu and rescaling are XNNPACK's, the rest is TFLite's."""
    codes = all_codes(x)
    if kind == "QUANTIZE":
        made = _convert(x, y, codes)
    elif kind == "LEAKY_RELU":
        made = _leaky(x, y, alpha, codes)
    elif kind in _FLOATS:
        made = _by_float(kind, x, y, codes)
    elif kind == "SQUARE":
        made = _square(x, y, codes)
    else:
        made = None
    return (
        TFLITE.table(kind, x, y, alpha) if made is None else np.clip(made, y.dtype.lo, y.dtype.hi)
    )


def _convert(x: Tensor, y: Tensor, codes: Array) -> Array | None:
    """A multiplier with 8 fraction bits; other types and scales are TFLite's."""
    ratio = x.scale / y.scale
    if x.dtype != y.dtype or x.dtype.bits != 8 or not 2.0**-8 <= ratio <= 128:
        return None
    return _slope(codes - x.zero_point, ratio) + y.zero_point


def _slope(centered: Array, ratio: np.float32) -> Array:
    """Times a ratio rounded to 8 fraction bits, half up (of the negated product, on x86)."""
    factor = int(np.rint(np.float32(256) * ratio))
    return (centered * factor + 128) >> 8


def _leaky(x: Tensor, y: Tensor, alpha: float, codes: Array) -> Array | None:
    rising = x.scale / y.scale
    falling = rising * np.float32(alpha)
    steep = not 2.0**-8 <= rising <= 128 or not -127.99609375 <= falling <= 128
    if steep or abs(falling) < 2.0**-8:
        return None
    centered = codes - x.zero_point
    return (
        np.where(centered > 0, _slope(centered, rising), _slope(centered, falling)) + y.zero_point
    )


def _sigmoid(x: Array) -> Array:
    power = np.exp(x.astype(np.float64))
    return (power / (1 + power)).astype(np.float32)


_FLOATS: dict[str, Callable[[Array], Array]] = {
    "LOGISTIC": _sigmoid,
    "TANH": lambda x: np.tanh(x.astype(np.float64)).astype(np.float32),
}


def _by_float(kind: str, x: Tensor, y: Tensor, codes: Array) -> Array:
    real = (codes - x.zero_point).astype(np.float32) * x.scale
    steps = _FLOATS[kind](np.clip(real, -100, 100)) * (np.float32(1) / y.scale)
    return _rounded(steps + np.float32(y.zero_point))


def _square(x: Tensor, y: Tensor, codes: Array) -> Array | None:
    """A product of a tensor with itself is a function of reals, the zero point added first."""
    if x.dtype.bits != 8 or not np.float32(2.0**-16) <= x.scale * x.scale / y.scale < 256:
        return None
    real = (codes - x.zero_point).astype(np.float32) * x.scale
    return _rounded(real * real * (np.float32(1) / y.scale) + np.float32(y.zero_point))


def bounds(function: int, y: Tensor) -> tuple[int, int]:
    """The zero point is added before rounding, half to even (xnn_qs8_quantize)."""
    kind = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}.get(function)
    ends = (-np.inf, np.inf) if kind is None else RELUS[kind]
    steps = np.array(ends, np.float32) / y.scale + np.float32(y.zero_point)
    lo, hi = np.rint(np.clip(steps, y.dtype.lo, y.dtype.hi)).astype(int).tolist()
    return lo, hi


def softmax(x: Tensor, beta: float, length: int) -> tuple[Array, int]:
    """The optimized kernel's exponentials as float32 numbers, and its reciprocal of their sum."""
    steps = -(x.scale * np.float32(beta)) * np.arange(1 << x.dtype.bits, dtype=np.float32)
    powers = np.exp(steps.astype(np.float64)).astype(np.float32)
    return powers.view(np.int32).astype(np.int64), RECIPROCAL


def interpolate(
    size: int, new: int, corners: bool, half_pixels: bool
) -> tuple[Array, Array, Array]:
    """Places in float32, weights of 11 bits, rounded half to even."""
    less = int(corners and new != 1)
    scale = np.float32(size - less) / np.float32(new - less)
    place = np.arange(new).astype(np.float32) * scale
    if half_pixels and not corners:
        place = np.maximum(place + (np.float32(0.5) * scale - np.float32(0.5)), np.float32(0))
    place = np.minimum(place, np.float32(size - 1))
    first = place.astype(np.int64)
    weight = np.rint((place - first.astype(np.float32)) * np.float32(2048)).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), weight


def resized(total: Array) -> Array:
    """The sum of products of 22 fraction bits, half up."""
    return (total + (1 << 21)) >> 22


XNNPACK = replace(
    TFLITE,
    name="xnnpack",
    linear=linear,
    mean=mean,
    add=add,
    multiply=multiply,
    table=table,
    bounds=bounds,
    softmax=softmax,
    interpolate=interpolate,
    resized=resized,
    weight_bits=11,
)
