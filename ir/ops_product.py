"""Ops that multiply two activations: multiply, matmul."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import Array
from .op import Op, Work
from .ops_linear import accumulator_type, widen
from .tensor import BATCH, TensorType
from .windows import Pair


def centered(array: Array, zero_point: int) -> Array:
    """Integers less their zero point; reals as they are."""
    return widen(array) - zero_point if zero_point else widen(array)


def product_interval(x: Interval, y: Interval, zero_points: Pair) -> Interval:
    """Where ``(x - zero_points[0]) * (y - zero_points[1])`` lies."""
    left, right = zero_points
    corners = [(a - left) * (b - right) for a in (x.lo, x.hi) for b in (y.lo, y.hi)]
    return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))


@dataclass(frozen=True, slots=True)
class Multiply(Op):
    """``(x - zero_points[0]) * (y - zero_points[1])``; integers give an accumulator.

    Shapes are equal, but an axis of y after the batch may be 1: it is repeated.
    """

    name: ClassVar[str] = "multiply"
    inputs: ClassVar[tuple[str, ...]] = ("x", "y")
    zero_points: Pair = (0, 0)

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        dtype = accumulator_type(x, y)
        pairs = zip(x.shape, y.shape, strict=False)
        repeats = all(b == a or (b == 1 and a != BATCH) for a, b in pairs)
        if len(x.shape) != len(y.shape) or not repeats:
            raise ShapeError(f"{y} cannot be repeated to {x}.")
        return x.with_dtype(dtype)

    def reference(self, x: Array, y: Array) -> Array:
        left, right = self.zero_points
        return centered(x, left) * centered(y, right)

    def interval(self, x: Fact, y: Fact) -> Interval:
        return product_interval(x.interval, y.interval, self.zero_points)

    def work(self, x: TensorType, y: TensorType) -> Work:
        return Work(multiplies=x.elements)


@dataclass(frozen=True, slots=True)
class MatMul(Op):
    """Matrix products of two activations; integers are taken less their zero points.

    x ``(n, ..., m, k)``, y ``(n, ..., k, p)`` -> ``(n, ..., m, p)``; accumulators for integers.
    """

    name: ClassVar[str] = "matmul"
    inputs: ClassVar[tuple[str, ...]] = ("x", "y")
    zero_points: Pair = (0, 0)

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        dtype = accumulator_type(x, y)
        fits = len(x.shape) == len(y.shape) >= 3 and x.shape[:-2] == y.shape[:-2]
        if not fits or x.shape[-1] != y.shape[-2]:
            raise ShapeError(f"{x} and {y} are not (n, ..., m, k) and (n, ..., k, p).")
        return TensorType((*x.shape[:-1], y.shape[-1]), dtype)

    def reference(self, x: Array, y: Array) -> Array:
        left, right = self.zero_points
        result: Array = centered(x, left) @ centered(y, right)
        return result

    def interval(self, x: Fact, y: Fact) -> Interval:
        depth = x.type.sample_shape[-1]
        each = product_interval(x.interval.hull, y.interval.hull, self.zero_points)
        return Interval(depth * each.lo, depth * each.hi)

    def work(self, x: TensorType, y: TensorType) -> Work:
        return Work(macs=self.infer(x, y).elements * x.sample_shape[-1])
