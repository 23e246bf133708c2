"""Tensor types and constants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final, Literal

import numpy as np

from ..errors import NumericError
from .numeric import FLOAT32, Array, NumericType

Batch = Literal["n"]
BATCH: Final = "n"
Dim = int | Batch
Shape = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and numeric type. Activations start with the symbolic batch ``"n"``, constants not."""

    shape: Shape
    dtype: NumericType = FLOAT32

    @property
    def batched(self) -> bool:
        return bool(self.shape) and self.shape[0] == BATCH

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: without the batch."""
        return tuple(dim for dim in self.shape if dim != BATCH)

    @property
    def elements(self) -> int:
        """Elements of one sample."""
        return prod(self.sample_shape)

    def with_dtype(self, dtype: NumericType) -> TensorType:
        return TensorType(self.shape, dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Tensor:
    """A constant: a read-only array whose elements are values of ``dtype``."""

    array: Array
    dtype: NumericType

    def __post_init__(self) -> None:
        if not self.dtype.contains(np.asarray(self.array)):
            raise NumericError(f"A constant has elements that are not values of {self.dtype}.")
        array = np.array(self.array, dtype=self.dtype.container, order="C")
        array.setflags(write=False)
        object.__setattr__(self, "array", array)

    @property
    def type(self) -> TensorType:
        return TensorType(self.array.shape, self.dtype)

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of SHA-256 over type and elements."""
        head = str(self.type).encode()
        return hashlib.sha256(head + self.array.tobytes()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def real(array: Array) -> Tensor:
    """A float32 constant."""
    return Tensor(np.asarray(array, dtype=np.float32), FLOAT32)
