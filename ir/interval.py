"""Integer intervals: what values can occur, per channel. Overflow is decided here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .numeric import Array, NumericType, narrowest
from .tensor import TensorType


@dataclass(frozen=True, slots=True)
class Interval:
    """Least and greatest value: int64 arrays ``()``, ``(1,)`` or ``(channels,)`` (axis 1)."""

    lo: Array
    hi: Array

    @classmethod
    def of(cls, lo: int | Array, hi: int | Array) -> Interval:
        return cls(np.asarray(lo, dtype=np.int64), np.asarray(hi, dtype=np.int64))

    @classmethod
    def of_type(cls, dtype: NumericType) -> Interval:
        return cls.of(dtype.lo, dtype.hi)

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and greatest value over all channels."""
        return int(self.lo.min()), int(self.hi.max())

    @property
    def hull(self) -> Interval:
        """The same interval for every channel."""
        return Interval.of(*self.bounds)

    @property
    def narrowest(self) -> NumericType:
        """The integer type of fewest bits that holds every value."""
        return narrowest(*self.bounds)

    def per_channel(self, channels: int) -> Interval:
        """Both bounds with shape ``(channels,)``."""
        shape = (channels,)
        return Interval(np.broadcast_to(self.lo, shape), np.broadcast_to(self.hi, shape))

    def union(self, other: Interval) -> Interval:
        return Interval(np.minimum(self.lo, other.lo), np.maximum(self.hi, other.hi))

    def contains(self, values: Array) -> bool:
        """Whether every element of ``(n, channels, ...)`` values lies inside."""
        trailing = (1,) * (values.ndim - 2)
        lo = self.lo.reshape(-1, *trailing) if self.lo.ndim else self.lo
        hi = self.hi.reshape(-1, *trailing) if self.hi.ndim else self.hi
        return bool(np.all(values >= lo) and np.all(values <= hi))


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of an integer value at compile time."""

    type: TensorType
    interval: Interval
    constant: Array | None = None
