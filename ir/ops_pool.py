"""Ops over windows without weights: max_pool, average_pool, sum_pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array
from .op import Op, Work
from .ops_linear import widen
from .tensor import BATCH, TensorType
from .windows import Pads, Pair, check_inside, output_hw, pad_hw, windows

_ONE: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """Greatest value of each window of x ``(n, c, h, w)``; the border never wins."""

    name: ClassVar[str] = "max_pool"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    kernel: Pair
    strides: Pair = _ONE
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = _ONE

    def infer(self, x: TensorType) -> TensorType:
        height, width = output_hw(x, self.kernel, self.strides, self.dilations, self.pads)
        check_inside(x, self.kernel, self.strides, self.dilations, self.pads)
        return TensorType((BATCH, x.shape[1], height, width), x.dtype)

    def reference(self, x: Array) -> Array:
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        padded = pad_hw(x, self.pads, lowest)
        return windows(padded, self.kernel, self.strides, self.dilations).max(axis=(4, 5))

    def interval(self, x: Fact) -> Interval:
        return x.interval

    def work(self, x: TensorType) -> Work:
        return Work(compares=self.infer(x).elements * (self.kernel[0] * self.kernel[1] - 1))


@dataclass(frozen=True, slots=True)
class AveragePool(Op):
    """Mean of each window of x ``(n, c, h, w)``, reals; the border counts when ``count_border``."""

    name: ClassVar[str] = "average_pool"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    kernel: Pair
    strides: Pair = _ONE
    pads: Pads = (0, 0, 0, 0)
    count_border: int = 1

    def infer(self, x: TensorType) -> TensorType:
        height, width = output_hw(x, self.kernel, self.strides, _ONE, self.pads)
        if not self.count_border:
            check_inside(x, self.kernel, self.strides, _ONE, self.pads)
        return TensorType((BATCH, x.shape[1], height, width), FLOAT32)

    def reference(self, x: Array) -> Array:
        sums = windows(pad_hw(x, self.pads, 0), self.kernel, self.strides, _ONE).sum(axis=(4, 5))
        return (sums / self.counts(x.shape[2], x.shape[3])).astype(x.dtype)

    def counts(self, height: int, width: int) -> Array:
        """Elements that each window averages, ``(h', w')`` or one number for all."""
        if self.count_border or not any(self.pads):
            return np.asarray(self.kernel[0] * self.kernel[1])
        ones = np.ones((1, 1, height, width), dtype=np.int64)
        view = windows(pad_hw(ones, self.pads, 0), self.kernel, self.strides, _ONE)
        return view.sum(axis=(4, 5))[0, 0]

    def work(self, x: TensorType) -> Work:
        out = self.infer(x).elements
        return Work(adds=out * (self.kernel[0] * self.kernel[1] - 1), multiplies=out)


@dataclass(frozen=True, slots=True)
class SumPool(Op):
    """Sum of each window of integer x ``(n, c, h, w)``: an accumulator; border of ``pad_value``."""

    name: ClassVar[str] = "sum_pool"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    kernel: Pair
    strides: Pair = _ONE
    pads: Pads = (0, 0, 0, 0)
    pad_value: int = 0

    def infer(self, x: TensorType) -> TensorType:
        if not x.dtype.is_integer:
            raise ShapeError(f"sum_pool adds integers, got {x}.")
        height, width = output_hw(x, self.kernel, self.strides, _ONE, self.pads)
        return TensorType((BATCH, x.shape[1], height, width), INT32)

    def reference(self, x: Array) -> Array:
        padded = pad_hw(widen(x), self.pads, self.pad_value)
        return windows(padded, self.kernel, self.strides, _ONE).sum(axis=(4, 5))

    def interval(self, x: Fact) -> Interval:
        reach = x.interval
        if any(self.pads):
            reach = reach.union(Interval.of(self.pad_value, self.pad_value))
        area = self.kernel[0] * self.kernel[1]
        return Interval(reach.lo * area, reach.hi * area)

    def work(self, x: TensorType) -> Work:
        return Work(adds=self.infer(x).elements * (self.kernel[0] * self.kernel[1] - 1))
