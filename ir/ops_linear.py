"""Ops that multiply and accumulate: conv, dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array, NumericType
from .op import Op, Work
from .tensor import BATCH, TensorType
from .windows import Pads, Pair, output_hw, pad_hw, windows


def accumulator_type(x: TensorType, weight: TensorType) -> NumericType:
    """float32 for reals, int32 for integers; ShapeError for a mixture."""
    if x.dtype.is_integer != weight.dtype.is_integer:
        raise ShapeError(f"Input is {x.dtype} but weight is {weight.dtype}.")
    return INT32 if x.dtype.is_integer else FLOAT32


def widen(array: Array) -> Array:
    """int64 for integers, unchanged for reals."""
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def accumulate_interval(weight: Array, lo: Array, hi: Array) -> Interval:
    """Interval of ``sum(weight * x)`` for weight ``(co, k)`` and lo <= x <= hi, each ``(k,)``."""
    weight = weight.astype(np.int64)
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    return Interval(positive @ lo + negative @ hi, positive @ hi + negative @ lo)


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """2-D cross-correlation.

    x ``(n, c, h, w)``, weight ``(co, c / groups, kh, kw)``, bias ``(co,)`` -> ``(n, co, h', w')``;
    reals or exact integers (accumulator). The border holds ``pad_value``: a code that stands for
    zero. ``pads`` are top, left, bottom, right.
    """

    name: ClassVar[str] = "conv"
    inputs: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1
    pad_value: int = 0

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType | None = None
    ) -> TensorType:
        if len(weight.shape) != 4:
            raise ShapeError(f"Weight must be (co, c / groups, kh, kw), got {weight}.")
        co, per_group, kh, kw = weight.sample_shape
        height, width = output_hw(x, (kh, kw), self.strides, self.dilations, self.pads)
        channels = x.sample_shape[0]
        if per_group * self.groups != channels or co % self.groups:
            raise ShapeError(
                f"{channels} input channels in {self.groups} groups do not fit weight {weight}."
            )
        check_bias(bias, co)
        return TensorType((BATCH, co, height, width), accumulator_type(x, weight))

    def reference(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        x, weight = widen(x), widen(weight)
        co, per_group, kh, kw = weight.shape
        padded = pad_hw(x, self.pads, self.pad_value)
        view = windows(padded, (kh, kw), self.strides, self.dilations)
        n, _, height, width = view.shape[:4]
        columns = view.transpose(0, 1, 4, 5, 2, 3).reshape(
            n, self.groups, per_group * kh * kw, height * width
        )
        filters = weight.reshape(self.groups, co // self.groups, per_group * kh * kw)
        result: Array = (filters @ columns).reshape(n, co, height, width)
        return result if bias is None else result + widen(bias).reshape(-1, 1, 1)

    def interval(self, x: Fact, weight: Fact, bias: Fact | None = None) -> Interval:
        filters = known(weight)
        channels = x.type.sample_shape[0]
        area = filters.shape[2] * filters.shape[3]
        reach = x.interval
        if any(self.pads):
            reach = reach.union(Interval.of(self.pad_value, self.pad_value))
        reach = reach.per_channel(channels)
        lows = np.split(reach.lo, self.groups)
        highs = np.split(reach.hi, self.groups)
        parts = [
            accumulate_interval(
                rows.reshape(rows.shape[0], -1), np.repeat(lo, area), np.repeat(hi, area)
            )
            for rows, lo, hi in zip(np.split(filters, self.groups), lows, highs, strict=True)
        ]
        total = Interval(
            np.concatenate([part.lo for part in parts]), np.concatenate([part.hi for part in parts])
        )
        return shifted(total, bias)

    def work(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> Work:
        out = self.infer(x, weight, bias)
        per_output = weight.elements // weight.sample_shape[0]
        return Work(macs=out.elements * per_output, adds=out.elements if bias else 0)


@dataclass(frozen=True, slots=True)
class Dense(Op):
    """Matrix product with constants: x ``(n, ..., k)``, weight ``(co, k)`` -> ``(n, ..., co)``."""

    name: ClassVar[str] = "dense"
    inputs: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType | None = None
    ) -> TensorType:
        if len(weight.shape) != 2 or len(x.shape) < 2 or x.shape[-1] != weight.shape[1]:
            raise ShapeError(f"Input {x} does not fit weight {weight}, expected (co, k).")
        check_bias(bias, weight.sample_shape[0])
        return TensorType((*x.shape[:-1], weight.shape[0]), accumulator_type(x, weight))

    def reference(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        result: Array = widen(x) @ widen(weight).T
        return result if bias is None else result + widen(bias)

    def interval(self, x: Fact, weight: Fact, bias: Fact | None = None) -> Interval:
        matrix = known(weight)
        flat = len(x.type.shape) == 2
        reach = (x.interval if flat else x.interval.hull).per_channel(matrix.shape[1])
        total = shifted(accumulate_interval(matrix, reach.lo, reach.hi), bias)
        return total if flat else total.hull

    def work(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> Work:
        out = self.infer(x, weight, bias)
        return Work(macs=out.elements * weight.sample_shape[1], adds=out.elements if bias else 0)


def known(weight: Fact) -> Array:
    """The constant behind a Fact; ShapeError when there is none."""
    if weight.constant is None:
        raise ShapeError("The weight of an integer op must be a constant.")
    return weight.constant


def check_bias(bias: TensorType | None, channels: int) -> None:
    """Raise ShapeError unless bias is absent or ``(channels,)``."""
    if bias is not None and bias.shape != (channels,):
        raise ShapeError(f"Bias must be ({channels},), got {bias}.")


def shifted(total: Interval, bias: Fact | None) -> Interval:
    """The interval after a constant bias is added."""
    if bias is None:
        return total
    offset = known(bias).astype(np.int64)
    return Interval(total.lo + offset, total.hi + offset)
