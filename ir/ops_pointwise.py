"""Ops that treat every element by itself: add, affine, relu, clip, unary, prelu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array
from .op import Op, Work
from .ops_linear import widen
from .tensor import TensorType
from .windows import Pair


def channel_shape(array: Array, rank: int, axis: int = 1) -> Array:
    """A per-channel ``(c,)`` or scalar array, shaped to broadcast along ``axis``."""
    if array.ndim == 0 or array.shape == (1,):
        return array.reshape(())
    return array.reshape([-1 if i == axis else 1 for i in range(rank)])


def check_channels(x: TensorType, parameter: TensorType, what: str) -> None:
    """Raise ShapeError unless parameter is a scalar, ``(1,)`` or ``(channels,)``."""
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if parameter.shape not in ((), (1,), (channels,)):
        raise ShapeError(f"{what} must be a scalar or ({channels},), got {parameter}.")


@dataclass(frozen=True, slots=True)
class Add(Op):
    """``multipliers[0] * x + multipliers[1] * y``, equal shapes; integers give an accumulator."""

    name: ClassVar[str] = "add"
    inputs: ClassVar[tuple[str, ...]] = ("x", "y")
    multipliers: Pair = (1, 1)

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        if x.shape != y.shape or x.dtype.is_integer != y.dtype.is_integer:
            raise ShapeError(f"Operands {x} and {y} differ.")
        return x.with_dtype(INT32 if x.dtype.is_integer else FLOAT32)

    def reference(self, x: Array, y: Array) -> Array:
        left, right = self.multipliers
        if x.dtype.kind == "f":
            return (x * x.dtype.type(left) + y * y.dtype.type(right)).astype(x.dtype)
        return left * widen(x) + right * widen(y)

    def interval(self, x: Fact, y: Fact) -> Interval:
        left = scaled(x.interval, self.multipliers[0])
        right = scaled(y.interval, self.multipliers[1])
        return Interval(left.lo + right.lo, left.hi + right.hi)

    def work(self, x: TensorType, y: TensorType) -> Work:
        products = sum(abs(m) != 1 for m in self.multipliers)
        return Work(adds=x.elements, multiplies=products * x.elements)


@dataclass(frozen=True, slots=True)
class Affine(Op):
    """``scale * x + shift`` per channel (axis 1), reals: BatchNorm, arithmetic with constants."""

    name: ClassVar[str] = "affine"
    inputs: ClassVar[tuple[str, ...]] = ("x", "scale", "shift")

    def infer(self, x: TensorType, scale: TensorType, shift: TensorType) -> TensorType:
        check_channels(x, scale, "Scale")
        check_channels(x, shift, "Shift")
        return x.with_dtype(FLOAT32)

    def reference(self, x: Array, scale: Array, shift: Array) -> Array:
        return x * channel_shape(scale, x.ndim) + channel_shape(shift, x.ndim)

    def work(self, x: TensorType, scale: TensorType, shift: TensorType) -> Work:
        return Work(macs=x.elements)


@dataclass(frozen=True, slots=True)
class Relu(Op):
    """``max(x, 0)``, reals."""

    name: ClassVar[str] = "relu"
    inputs: ClassVar[tuple[str, ...]] = ("x",)

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def work(self, x: TensorType) -> Work:
        return Work(compares=x.elements)


@dataclass(frozen=True, slots=True)
class Clip(Op):
    """``min(max(x, lo), hi)``, reals: ReLU6 is clip{0, 6}."""

    name: ClassVar[str] = "clip"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    lo: float = 0.0
    hi: float = 6.0

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Array) -> Array:
        return np.clip(x, np.float32(self.lo), np.float32(self.hi))

    def work(self, x: TensorType) -> Work:
        return Work(compares=2 * x.elements)


def _sigmoid(x: Array, alpha: float) -> Array:
    small = np.exp(-np.abs(x))  # never overflows
    result: Array = np.where(x >= 0, 1, small) / (1 + small)
    return result


def _hard_sigmoid(x: Array, alpha: float) -> Array:
    return np.clip(x * alpha + 0.5, 0, 1)


UNARY: dict[str, Callable[[Array, float], Array]] = {
    "sigmoid": _sigmoid,
    "tanh": lambda x, alpha: np.tanh(x),
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "elu": lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x, alpha: x * np.clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x, alpha: x * _sigmoid(x, alpha),
    "abs": lambda x, alpha: np.abs(x),
    "exp": lambda x, alpha: np.exp(x),
    "sqrt": lambda x, alpha: np.sqrt(x),
    "rsqrt": lambda x, alpha: 1 / np.sqrt(x + alpha),
    "neg": lambda x, alpha: -x,
}


@dataclass(frozen=True, slots=True)
class Unary(Op):
    """A real function of one real: sigmoid, tanh, leaky_relu(alpha), ... (see UNARY)."""

    name: ClassVar[str] = "unary"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    function: str = "sigmoid"
    alpha: float = 0.0

    def infer(self, x: TensorType) -> TensorType:
        if self.function not in UNARY:
            raise ShapeError(f"'{self.function}' is not one of {', '.join(sorted(UNARY))}.")
        return x

    def reference(self, x: Array) -> Array:
        return UNARY[self.function](x, self.alpha).astype(x.dtype)

    def work(self, x: TensorType) -> Work:
        return Work(lookups=x.elements)


@dataclass(frozen=True, slots=True)
class PRelu(Op):
    """``x`` where it is positive, else ``slope * x``; a slope for all or per channel; reals."""

    name: ClassVar[str] = "prelu"
    inputs: ClassVar[tuple[str, ...]] = ("x", "slope")

    def infer(self, x: TensorType, slope: TensorType) -> TensorType:
        check_channels(x, slope, "Slope")
        return x.with_dtype(FLOAT32)

    def reference(self, x: Array, slope: Array) -> Array:
        return np.where(x < 0, x * channel_shape(slope, x.ndim), x)

    def work(self, x: TensorType, slope: TensorType) -> Work:
        return Work(lookups=x.elements)


@dataclass(frozen=True, slots=True)
class ScaleGradient(Op):
    """x, whose gradient is multiplied by ``factor`` in training: 0 stops it; reals."""

    name: ClassVar[str] = "scale_gradient"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    factor: float = 0.0

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Array) -> Array:
        return x


def scaled(interval: Interval, factor: int) -> Interval:
    """The interval of ``factor * x``."""
    ends = (interval.lo * factor, interval.hi * factor)
    return Interval(np.minimum(*ends), np.maximum(*ends))
