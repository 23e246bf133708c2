"""The index of the greatest element: arg_max."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array
from .op import Op, Work
from .tensor import TensorType


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """The index of the first greatest element along ``axis``, of the last one when ``last``.

    The axis stays, with size 1. Indices of reals are reals, those of integers int32.
    """

    name: ClassVar[str] = "arg_max"
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    axis: int
    last: int = 0

    def infer(self, x: TensorType) -> TensorType:
        if not 1 <= self.axis < len(x.shape):
            raise ShapeError(f"Axis {self.axis} is not one of {x} after the batch.")
        if self.last not in (0, 1):
            raise ShapeError(f"last is 0 or 1, not {self.last}.")
        shape = (*x.shape[: self.axis], 1, *x.shape[self.axis + 1 :])
        return TensorType(shape, INT32 if x.dtype.is_integer else FLOAT32)

    def reference(self, x: Array) -> Array:
        turned = np.flip(x, self.axis) if self.last else x
        found = turned.argmax(axis=self.axis, keepdims=True)
        indices = x.shape[self.axis] - 1 - found if self.last else found
        return indices.astype(np.int64 if x.dtype.kind in "iu" else np.float32)

    def interval(self, x: Fact) -> Interval:
        return Interval.of(0, x.type.sample_shape[self.axis - 1] - 1)

    def work(self, x: TensorType) -> Work:
        return Work(compares=x.elements)
