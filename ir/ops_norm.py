"""Normalization to mean 0 and variance 1, for reals and in integers: layer_norm."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array
from .op import Op, Work
from .tensor import TensorType

FRACTION_BITS = 16
"""Integer results are in units of 2**-16."""
MOST = 1 << 62
"""What the sums of the integer form stay below, so that int64 holds them and twice them."""


@dataclass(frozen=True, slots=True)
class LayerNorm(Op):
    """``(x - mean) / sqrt(variance + epsilon)`` along ``axis``, counted from the batch.

    Of N integers along the axis, with ``S = sum(x)``, ``d = N x - S``, ``W = N sum(x * x) - S * S``
    and the integer ``epsilon``: ``r = max(1, isqrt((W << 2 * bits) + epsilon))``, isqrt rounding
    down, and the result is ``2**16 * (d << bits) / r`` rounded once, half up:
    ``((d << 17 + bits) + r) // (2 * r)``. N * N * variance is W, so that ``epsilon`` is
    ``N * N * 4**bits`` times the real one in units of x. Zero points cancel in d.
    """

    name: ClassVar[str] = "layer_norm"
    inputs: ClassVar[tuple[str, ...]] = ("x", "epsilon")
    axis: int
    bits: int = 0

    def infer(self, x: TensorType, epsilon: TensorType) -> TensorType:
        if not 1 <= self.axis < len(x.shape):
            raise ShapeError(f"Axis {self.axis} is not one of {x} after the batch.")
        if epsilon.shape != () or epsilon.dtype.is_integer != x.dtype.is_integer:
            raise ShapeError(f"Epsilon must be one number of the kind of {x}, got {epsilon}.")
        if not 0 <= self.bits <= 31:
            raise ShapeError(f"bits is 0 to 31, not {self.bits}.")
        return x.with_dtype(INT32 if x.dtype.is_integer else FLOAT32)

    def reference(self, x: Array, epsilon: Array) -> Array:
        if x.dtype.kind == "f":
            wide = x.astype(np.float64)
            centered = wide - wide.mean(axis=self.axis, keepdims=True)
            variance = (centered**2).mean(axis=self.axis, keepdims=True)
            return (centered / np.sqrt(variance + float(epsilon))).astype(x.dtype)
        rows = np.moveaxis(x, self.axis, -1)
        flat = [self._row(row, int(epsilon)) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
        result = np.array(flat, dtype=np.int64).reshape(rows.shape)
        return np.ascontiguousarray(np.moveaxis(result, -1, self.axis))

    def _row(self, row: list[int], epsilon: int) -> list[int]:
        """The result of one row, in unbounded integers."""
        count, total = len(row), sum(row)
        spread = count * sum(each * each for each in row) - total * total
        root = max(1, isqrt((spread << 2 * self.bits) + epsilon))
        shift = FRACTION_BITS + 1 + self.bits
        return [(((count * each - total) << shift) + root) // (2 * root) for each in row]

    def interval(self, x: Fact, epsilon: Fact) -> Interval:
        """|d| <= sqrt(N - 1) sqrt(W), and r falls short of the root by less than 1."""
        count = x.type.sample_shape[self.axis - 1]
        most = (isqrt(max(count - 2, 0)) + 1) << FRACTION_BITS if count > 1 else 0
        reach = 2 * most if self.bits == 0 else (most << self.bits) // ((1 << self.bits) - 1) + 1
        return Interval.of(-reach, reach)

    def fits(self, x: TensorType, epsilon: int) -> bool:
        """Whether no step of the integer form leaves int64, nor the result int32."""
        count, width = x.sample_shape[self.axis - 1], x.dtype.hi - x.dtype.lo
        spread = ((count * width) ** 2 // 4 << 2 * self.bits) + epsilon
        shifted = count * width << FRACTION_BITS + 1 + self.bits
        sums = (count * max(abs(x.dtype.lo), abs(x.dtype.hi))) ** 2
        small = count < 1 << 26  # then the result is at most 2 * 2**16 * 2**13
        return epsilon >= 0 and small and max(spread, shifted, sums) < MOST

    def work(self, x: TensorType, epsilon: TensorType) -> Work:
        every = x.elements
        return Work(macs=every, adds=3 * every, multiplies=2 * every)
