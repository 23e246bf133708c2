"""Softmax, for reals and in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .fixed_point import ONE, SUM_BITS, softmax_shares
from .float_sum import LARGEST, ONE_PATTERN, float_shares, reciprocal_shares
from .interval import Fact, Interval
from .numeric import FLOAT32, INT32, Array
from .op import Op, Work
from .ops_linear import widen
from .reciprocal_table import LARGEST as LARGEST_SHARE
from .reciprocal_table import SHARE_BITS, table_shares
from .tensor import TensorType

FRACTION_BITS = 16
"""Integer results are shares of 2**16 unless the op says otherwise."""
EXACT, NEWTON, FLOAT, TABLE, RECIPROCAL = 0, 1, 2, 3, 4
"""Rules of division: rounded once; TFLite's fixed-point reciprocal; onnxruntime's float32 sum;
TFLite's table of reciprocals for 16 bits; its float32 reciprocal of a sum.
"""
MAX_BITS = 30
_BITS = {
    EXACT: (1, MAX_BITS),
    NEWTON: (1, MAX_BITS),
    FLOAT: (1, FRACTION_BITS),
    TABLE: (SHARE_BITS, SHARE_BITS),
    RECIPROCAL: (1, FRACTION_BITS),
}
"""The least and greatest number of bits of each rule."""


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """``exp(x) / sum(exp(x))`` along ``axis``, counted from the batch.

    Integers read the exponentials from ``table`` ``(entries,)``, at ``max(x) - x`` or at its end:
    ``e = table[min(max(x) - x, entries - 1)]``, and the results are shares of ``2**bits``.
    ``division`` 0: ``2**bits * e / sum(e)``, rounded once, half up. ``division`` 1: e is Q0.31 and
    the quotient TFLite's (``fixed_point.softmax_shares``). ``division`` 2: entries are the bits of
    float32 numbers, added in order (``float_sum.float_shares``). ``division`` 3: e is Q0.15, the
    quotient TFLite's for 15 bits (``reciprocal_table.table_shares``). ``division`` 4: bits of
    float32 numbers from 1 down, multiplied by the float32 reciprocal of their sum
    (``float_sum.reciprocal_shares``). Entries are not negative, the first is positive.
    """

    name: ClassVar[str] = "softmax"
    inputs: ClassVar[tuple[str, ...]] = ("x", "table?")
    axis: int
    bits: int = FRACTION_BITS
    division: int = EXACT

    def infer(self, x: TensorType, table: TensorType | None = None) -> TensorType:
        if not 1 <= self.axis < len(x.shape):
            raise ShapeError(f"Axis {self.axis} is not one of {x} after the batch.")
        if (table is not None) != x.dtype.is_integer:
            raise ShapeError(f"{x} {'needs a' if table is None else 'has no'} table.")
        if table is not None and (len(table.shape) != 1 or not table.sample_shape[0]):
            raise ShapeError(f"The table must be (entries,), got {table}.")
        least, most = _BITS.get(self.division, (1, 0))
        if not least <= self.bits <= most:
            raise ShapeError(f"There are no {self.bits} bits by division {self.division}.")
        return x.with_dtype(FLOAT32 if table is None else INT32)

    def reference(self, x: Array, table: Array | None = None) -> Array:
        below = x.max(axis=self.axis, keepdims=True) - widen(x)
        if table is None:
            powers = np.exp(-below)
            return powers / powers.sum(axis=self.axis, keepdims=True)
        powers = table.astype(np.int64)[np.minimum(below, len(table) - 1)]
        if self.division == NEWTON:
            return softmax_shares(powers, self.axis, self.bits)
        if self.division == FLOAT:
            return float_shares(powers, self.axis, self.bits)
        if self.division == TABLE:
            return table_shares(powers, self.axis)
        if self.division == RECIPROCAL:
            return reciprocal_shares(powers, self.axis, self.bits)
        total = powers.sum(axis=self.axis, keepdims=True)
        return ((powers << (self.bits + 1)) + total) // (2 * total)

    def interval(self, x: Fact, table: Fact | None = None) -> Interval:
        return Interval.of(0, 1 << self.bits)

    def sums_fit(self, x: TensorType, table: Array) -> bool:
        """Whether every sum of entries is positive and fits int32; by TFLite's at least 1/2.

        Of float32 numbers: whether it is positive and finite; of those with a reciprocal, whether
        they begin with 1, the greatest.
        """
        longest = x.sample_shape[self.axis - 1]
        if self.division == FLOAT:
            legal = 0 <= table.min() <= table.max() <= LARGEST and table[0] > 0
            reals = np.asarray(table.max(initial=0), np.int32).view(np.float32)
            return bool(legal and float(reals) * longest < 2.0**127)
        if self.division == RECIPROCAL:
            return bool(table.min() >= 0 and table.max() == table[0] == ONE_PATTERN)
        most, least = int(table.max()), 0
        if self.division == NEWTON:
            most, least = (most + (1 << (SUM_BITS - 1))) >> SUM_BITS, ONE >> 1
        if self.division == TABLE:
            least = LARGEST_SHARE >> 1
        limit = LARGEST_SHARE if self.division == TABLE else ONE
        fits = int(table.max()) <= limit and most * longest <= INT32.hi
        return bool(fits and table.min() >= 0 and int(table[0]) > least)

    def work(self, x: TensorType, table: TensorType | None = None) -> Work:
        every = x.elements
        return Work(adds=2 * every, multiplies=every, compares=every, lookups=every)
