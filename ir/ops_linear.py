"""Ops that multiply and accumulate: conv, gather_conv, dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array, NumericType
from .op import Op, Work
from .tensor import BATCH, TensorType
from .windows import Pads, Pair, output_hw, outside, pad_hw, windows


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
    zero. ``pads`` are top, left, bottom, right. border ``(co, kh, kw)`` is what a place of the
    kernel adds where it lies in the border, besides the pad value times its weights: the weights of
    channels that are constant inside and were removed.
    """

    name: ClassVar[str] = "conv"
    inputs: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?", "border?")
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1
    pad_value: int = 0

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        bias: TensorType | None = None,
        border: TensorType | None = None,
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
        check_border(border, (co, kh, kw))
        return TensorType((BATCH, co, height, width), accumulator_type(x, weight))

    def reference(
        self, x: Array, weight: Array, bias: Array | None = None, border: Array | None = None
    ) -> Array:
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
        if bias is not None:
            result = result + widen(bias).reshape(-1, 1, 1)
        return result if border is None else result + border_sums(self, x.shape[2:], border)

    def interval(
        self, x: Fact, weight: Fact, bias: Fact | None = None, border: Fact | None = None
    ) -> Interval:
        filters = known(weight)
        area = filters.shape[2] * filters.shape[3]
        reach = padded_reach(self, x)
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
        return bordered(self, x, shifted(total, bias), border)

    def work(
        self,
        x: TensorType,
        weight: TensorType,
        bias: TensorType | None = None,
        border: TensorType | None = None,
    ) -> Work:
        out = self.infer(x, weight, bias, border)
        per_output = weight.elements // weight.sample_shape[0]
        return Work(macs=out.elements * per_output, adds=added(self, x, out, bias, border))


@dataclass(frozen=True, slots=True)
class GatherConv(Op):
    """A conv of one group that reads only the places listed in ``columns``, for all filters.

    x ``(n, c, h, w)``, weight ``(co, k)``, columns ``(k,)``, bias ``(co,)``, border ``(co, kh,
    kw)`` -> ``(n, co, h', w')``, integers. Column j multiplies what the window holds in channel
    ``columns[j] % c`` at place ``columns[j] // c`` of the kernel, counted row by row: the position
    within a patch in storage order. Everything else is as in conv.
    """

    name: ClassVar[str] = "gather_conv"
    inputs: ClassVar[tuple[str, ...]] = ("x", "weight", "columns", "bias?", "border?")
    listed: ClassVar[int] = 2  # which operand the list is
    kernel: Pair
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    pad_value: int = 0

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        columns: TensorType,
        bias: TensorType | None = None,
        border: TensorType | None = None,
    ) -> TensorType:
        if len(weight.shape) != 2 or columns.shape != weight.shape[1:]:
            raise ShapeError(f"Weight must be (co, k) and columns (k,), got {weight}, {columns}.")
        co = weight.sample_shape[0]
        height, width = output_hw(x, self.kernel, self.strides, self.dilations, self.pads)
        check_bias(bias, co)
        check_border(border, (co, *self.kernel))
        return TensorType((BATCH, co, height, width), accumulator_type(x, weight))

    def holds(self, x: TensorType, columns: Array) -> bool:
        """Whether every one of ``columns`` lies in a patch of x."""
        places = x.sample_shape[0] * self.kernel[0] * self.kernel[1]
        return bool(np.all((columns >= 0) & (columns < places)))

    def reference(
        self,
        x: Array,
        weight: Array,
        columns: Array,
        bias: Array | None = None,
        border: Array | None = None,
    ) -> Array:
        padded = pad_hw(widen(x), self.pads, self.pad_value)
        view = windows(padded, self.kernel, self.strides, self.dilations)
        n, _, height, width = view.shape[:4]
        patches = view.transpose(0, 2, 3, 4, 5, 1).reshape(n, height, width, -1)
        result: Array = (patches[..., columns] @ widen(weight).T).transpose(0, 3, 1, 2)
        if bias is not None:
            result = result + widen(bias).reshape(-1, 1, 1)
        return result if border is None else result + border_sums(self, x.shape[2:], border)

    def interval(
        self,
        x: Fact,
        weight: Fact,
        columns: Fact,
        bias: Fact | None = None,
        border: Fact | None = None,
    ) -> Interval:
        reach = padded_reach(self, x)
        channels = known(columns).astype(np.int64) % x.type.sample_shape[0]
        total = accumulate_interval(known(weight), reach.lo[channels], reach.hi[channels])
        return bordered(self, x, shifted(total, bias), border)

    def work(
        self,
        x: TensorType,
        weight: TensorType,
        columns: TensorType,
        bias: TensorType | None = None,
        border: TensorType | None = None,
    ) -> Work:
        out = self.infer(x, weight, columns, bias, border)
        macs = out.elements * weight.sample_shape[1]
        return Work(macs=macs, adds=added(self, x, out, bias, border))


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


def check_border(border: TensorType | None, shape: tuple[int, int, int]) -> None:
    """Raise ShapeError unless border is absent or ``(co, kh, kw)``."""
    if border is not None and border.shape != shape:
        raise ShapeError(f"Border must be ({', '.join(map(str, shape))}), got {border}.")


def padded_reach(op: Conv | GatherConv, x: Fact) -> Interval:
    """Where x and its border lie, each ``(c,)``."""
    reach = x.interval
    if any(op.pads):
        reach = reach.union(Interval.of(op.pad_value, op.pad_value))
    return reach.per_channel(x.type.sample_shape[0])


def border_sums(op: Conv | GatherConv, size: tuple[int, ...], border: Array) -> Array:
    """What ``border`` adds at each place of the result, ``(co, h', w')``, for x of size (h, w)."""
    missing = outside(size, border.shape[1:], op.strides, op.dilations, op.pads)
    return np.einsum("okl,hwkl->ohw", widen(border), missing)


def bordered(op: Conv | GatherConv, x: Fact, total: Interval, border: Fact | None) -> Interval:
    """The interval after what the border adds."""
    if border is None:
        return total
    sums = border_sums(op, x.type.sample_shape[1:], known(border))
    return Interval(total.lo + sums.min(axis=(1, 2)), total.hi + sums.max(axis=(1, 2)))


def added(
    op: Conv | GatherConv,
    x: TensorType,
    out: TensorType,
    bias: TensorType | None,
    border: TensorType | None,
) -> int:
    """Additions to the products: the bias everywhere, the border where a kernel overhangs."""
    count = out.elements if bias else 0
    if border is None:
        return count
    co, kh, kw = border.sample_shape
    missing = outside(x.sample_shape[1:], (kh, kw), op.strides, op.dilations, op.pads)
    return count + co * int(missing.sum())


def shifted(total: Interval, bias: Fact | None) -> Interval:
    """The interval after a constant bias is added."""
    if bias is None:
        return total
    offset = known(bias).astype(np.int64)
    return Interval(total.lo + offset, total.hi + offset)
