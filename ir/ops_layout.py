"""Ops that move elements and compute nothing: reshape, transpose, slice, take, pad, concat."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import Array
from .op import Op
from .tensor import BATCH, TensorType

Ints = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """The same elements of each sample in row-major order, with sample shape ``shape``."""

    name: ClassVar[str] = "reshape"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    shape: Ints

    def infer(self, x: TensorType) -> TensorType:
        if prod(self.shape) != x.elements:
            raise ShapeError(f"{x} cannot take the shape {self.shape} per sample.")
        return TensorType((BATCH, *self.shape), x.dtype)

    def reference(self, x: Array) -> Array:
        return x.reshape(x.shape[0], *self.shape)

    def interval(self, x: Fact) -> Interval:
        return x.interval.hull


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """Axes in the order ``axes``; axis 0, the batch, stays first."""

    name: ClassVar[str] = "transpose"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    axes: Ints

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.axes) != list(range(len(x.shape))) or self.axes[0] != 0:
            raise ShapeError(f"Axes {self.axes} do not permute {x} with the batch first.")
        return TensorType(tuple(x.shape[axis] for axis in self.axes), x.dtype)

    def reference(self, x: Array) -> Array:
        return np.ascontiguousarray(x.transpose(self.axes))

    def interval(self, x: Fact) -> Interval:
        return x.interval.hull


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """``x[:, start:stop:step, ...]``: one start, stop and step > 0 per axis after the batch."""

    name: ClassVar[str] = "slice"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    starts: Ints
    stops: Ints
    steps: Ints

    def infer(self, x: TensorType) -> TensorType:
        rank = len(x.shape) - 1
        if not len(self.starts) == len(self.stops) == len(self.steps) == rank:
            raise ShapeError(f"slice needs {rank} starts, stops and steps for {x}.")
        sizes = []
        for size, part in zip(x.sample_shape, self.parts, strict=True):
            if not 0 <= part.start < part.stop <= size or part.step < 1:
                raise ShapeError(f"{part.start}:{part.stop}:{part.step} is not within {size}.")
            sizes.append(len(range(part.start, part.stop, part.step)))
        return TensorType((BATCH, *sizes), x.dtype)

    @property
    def parts(self) -> tuple[slice, ...]:
        return tuple(map(slice, self.starts, self.stops, self.steps))

    def reference(self, x: Array) -> Array:
        return np.ascontiguousarray(x[(slice(None), *self.parts)])

    def interval(self, x: Fact) -> Interval:
        channels = self.parts[0]
        if x.interval.lo.size == 1:
            return x.interval
        return Interval(x.interval.lo[channels], x.interval.hi[channels])


@dataclass(frozen=True, slots=True)
class Take(Op):
    """The listed channels in order: x ``(n, c, ...)``, channels ``(k,)`` -> ``(n, k, ...)``."""

    name: ClassVar[str] = "take"
    inputs: ClassVar[tuple[str, ...]] = ("x", "channels")
    listed: ClassVar[int] = 1  # which operand the list is

    def infer(self, x: TensorType, channels: TensorType) -> TensorType:
        if len(x.shape) < 2 or len(channels.shape) != 1:
            raise ShapeError(f"Expected (n, c, ...) and channels (k,), got {x} and {channels}.")
        return TensorType((BATCH, *channels.sample_shape, *x.sample_shape[1:]), x.dtype)

    def holds(self, x: TensorType, channels: Array) -> bool:
        """Whether every one of ``channels`` is one of x."""
        return bool(np.all((channels >= 0) & (channels < x.sample_shape[0])))

    def reference(self, x: Array, channels: Array) -> Array:
        return np.ascontiguousarray(x[:, channels])

    def interval(self, x: Fact, channels: Fact) -> Interval:
        if channels.constant is None:
            raise ShapeError("The channels of take must be a constant.")
        reach = x.interval.per_channel(x.type.sample_shape[0])
        return Interval(reach.lo[channels.constant], reach.hi[channels.constant])


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """A border of ``value`` around the axes after the batch."""

    name: ClassVar[str] = "pad"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    before: Ints
    after: Ints
    value: float = 0

    def infer(self, x: TensorType) -> TensorType:
        rank = len(x.shape) - 1
        if not len(self.before) == len(self.after) == rank or min(*self.before, *self.after) < 0:
            raise ShapeError(f"pad needs {rank} sizes >= 0 before and after for {x}.")
        grown = (sum(dims) for dims in zip(self.before, x.sample_shape, self.after, strict=True))
        return TensorType((BATCH, *grown), x.dtype)

    def reference(self, x: Array) -> Array:
        widths = ((0, 0), *zip(self.before, self.after, strict=True))
        return np.pad(x, widths, constant_values=self.value)

    def interval(self, x: Fact) -> Interval:
        return x.interval.hull.union(Interval.of(int(self.value), int(self.value)))


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """The operands one after the other along ``axis`` >= 1."""

    name: ClassVar[str] = "concat"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    variadic: ClassVar[bool] = True
    axis: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        if not 1 <= self.axis < len(first.shape):
            raise ShapeError(f"Axis {self.axis} is not an axis of {first} after the batch.")
        total = 0
        for x in inputs:
            if self._others(x) != self._others(first) or x.dtype != first.dtype:
                raise ShapeError(f"{x} does not fit {first} along axis {self.axis}.")
            total += x.sample_shape[self.axis - 1]
        shape = (*first.shape[: self.axis], total, *first.shape[self.axis + 1 :])
        return TensorType(shape, first.dtype)

    def _others(self, x: TensorType) -> tuple[object, ...]:
        return (*x.shape[: self.axis], *x.shape[self.axis + 1 :])

    def reference(self, *inputs: Array) -> Array:
        return np.concatenate(inputs, axis=self.axis)

    def interval(self, *inputs: Fact) -> Interval:
        if self.axis != 1:
            hull = inputs[0].interval.hull
            for x in inputs[1:]:
                hull = hull.union(x.interval.hull)
            return hull
        parts = [x.interval.per_channel(x.type.sample_shape[0]) for x in inputs]
        return Interval(
            np.concatenate([part.lo for part in parts]), np.concatenate([part.hi for part in parts])
        )
