"""Ops between reals and codes, and between codes and codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import FLOAT32, Array, NumericType, Rounding, round_real
from .op import Op, Work
from .ops_linear import known, widen
from .ops_pointwise import channel_shape, check_channels
from .tensor import TensorType
from .windows import Pair


@dataclass(frozen=True, slots=True)
class Quantize(Op):
    """Reals to codes: ``clip(round(x / scale) + zero_point)`` (2).

    With ``zero_first`` the zero point is added before rounding, as in QONNX; ``narrow`` leaves out
    the least code of a signed type and the greatest of an unsigned one. Bipolar codes are +1 where
    ``x >= 0``, else -1. Parameters are scalar or per ``axis``. The division is exact and rounded
    once; ``reference`` computes it in float64.
    """

    name: ClassVar[str] = "quantize"
    inputs: ClassVar[tuple[str, ...]] = ("x", "scale", "zero_point")
    dtype: NumericType
    axis: int = 1
    rounding: Rounding = "half_even"
    zero_first: int = 0
    narrow: int = 0

    @property
    def lo(self) -> int:
        """The least code."""
        return self.dtype.lo + (self.narrow and self.dtype.lo < 0)

    @property
    def hi(self) -> int:
        """The greatest code."""
        return self.dtype.hi - (self.narrow and self.dtype.lo == 0)

    def infer(self, x: TensorType, scale: TensorType, zero_point: TensorType) -> TensorType:
        check_parameters(x, self.axis, scale, zero_point)
        return x.with_dtype(self.dtype)

    def reference(self, x: Array, scale: Array, zero_point: Array) -> Array:
        if self.dtype.kind == "bipolar":
            return np.where(x >= 0, 1, -1).astype(self.dtype.container)
        steps = x.astype(np.float64) / channel_shape(scale, x.ndim, self.axis)
        zero = channel_shape(zero_point, x.ndim, self.axis)
        before, after = (zero, 0) if self.zero_first else (0, zero)
        codes = round_real(steps + before, self.rounding) + after
        return np.clip(codes, self.lo, self.hi).astype(self.dtype.container)

    def interval(self, x: Fact, scale: Fact, zero_point: Fact) -> Interval:
        return Interval.of(self.lo, self.hi)

    def work(self, x: TensorType, scale: TensorType, zero_point: TensorType) -> Work:
        return Work(multiplies=x.elements, compares=2 * x.elements)


@dataclass(frozen=True, slots=True)
class Dequantize(Op):
    """Codes to reals: ``scale * (x - zero_point)`` (1); parameters scalar or per ``axis``."""

    name: ClassVar[str] = "dequantize"
    inputs: ClassVar[tuple[str, ...]] = ("x", "scale", "zero_point")
    axis: int = 1

    def infer(self, x: TensorType, scale: TensorType, zero_point: TensorType) -> TensorType:
        check_parameters(x, self.axis, scale, zero_point)
        return x.with_dtype(FLOAT32)

    def reference(self, x: Array, scale: Array, zero_point: Array) -> Array:
        steps = widen(x) - channel_shape(widen(zero_point), x.ndim, self.axis)
        return (steps * channel_shape(scale, x.ndim, self.axis)).astype(scale.dtype)

    def work(self, x: TensorType, scale: TensorType, zero_point: TensorType) -> Work:
        return Work(adds=x.elements, multiplies=x.elements)


@dataclass(frozen=True, slots=True)
class Requantize(Op):
    """Accumulator to codes: ``clip((x * multiplier + addend) >> shift, lo, hi)`` (5).

    Parameters are integers, scalar or per channel (axis 1); bias, zero points and rounding are all
    in ``addend``. lo and hi lie within dtype; a ReLU raises lo.
    """

    name: ClassVar[str] = "requantize"
    inputs: ClassVar[tuple[str, ...]] = ("x", "multiplier", "addend", "shift")
    dtype: NumericType
    lo: int
    hi: int

    def infer(
        self, x: TensorType, multiplier: TensorType, addend: TensorType, shift: TensorType
    ) -> TensorType:
        for what, parameter in (("Multiplier", multiplier), ("Addend", addend), ("Shift", shift)):
            check_channels(x, parameter, what)
        check_range(self.dtype, self.lo, self.hi)
        return x.with_dtype(self.dtype)

    def reference(self, x: Array, multiplier: Array, addend: Array, shift: Array) -> Array:
        factor, offset, bits = (
            channel_shape(widen(p), x.ndim) for p in (multiplier, addend, shift)
        )
        codes = (widen(x) * factor + offset) >> bits
        return np.clip(codes, self.lo, self.hi).astype(self.dtype.container)

    def interval(self, x: Fact, multiplier: Fact, addend: Fact, shift: Fact) -> Interval:
        factor, offset, bits = (
            known(p).astype(np.int64).reshape(-1) for p in (multiplier, addend, shift)
        )
        ends = [(end * factor + offset) >> bits for end in (x.interval.lo, x.interval.hi)]
        return Interval(
            np.clip(np.minimum(*ends), self.lo, self.hi),
            np.clip(np.maximum(*ends), self.lo, self.hi),
        )

    def work(
        self, x: TensorType, multiplier: TensorType, addend: TensorType, shift: TensorType
    ) -> Work:
        return Work(macs=x.elements, compares=2 * x.elements)


@dataclass(frozen=True, slots=True)
class Threshold(Op):
    """Accumulator to codes: ``base + sum_k (x >= thresholds[c, k])`` (6); any monotone f.

    In the quantized stage x and thresholds may both be real.
    """

    name: ClassVar[str] = "threshold"
    inputs: ClassVar[tuple[str, ...]] = ("x", "thresholds")
    dtype: NumericType
    base: int

    def infer(self, x: TensorType, thresholds: TensorType) -> TensorType:
        channels = (*x.sample_shape, 1)[0]
        if len(thresholds.shape) != 2 or thresholds.shape[0] not in (1, channels):
            raise ShapeError(f"Thresholds must be ({channels}, levels), got {thresholds}.")
        if x.dtype.is_integer != thresholds.dtype.is_integer:
            raise ShapeError(f"Thresholds {thresholds} and operand {x} differ.")
        check_range(self.dtype, self.base, self.base + thresholds.sample_shape[1])
        return x.with_dtype(self.dtype)

    def reference(self, x: Array, thresholds: Array) -> Array:
        rows, values = np.sort(_exact(thresholds), axis=1), _exact(x)
        if len(rows) == 1:
            return self._codes(rows[0], values)
        parts = (values[:, channel] for channel in range(len(rows)))
        found = [self._codes(row, part) for row, part in zip(rows, parts, strict=True)]
        return np.stack(found, axis=1)

    def _codes(self, row: Array, x: Array) -> Array:
        """The base and how many of ``row``, which ascends, are at most x."""
        passed = np.searchsorted(row, x, side="right")
        return (self.base + passed).astype(self.dtype.container)

    def interval(self, x: Fact, thresholds: Fact) -> Interval:
        steps = known(thresholds).astype(np.int64)
        lo, hi = (np.asarray(end).reshape(-1, 1) for end in (x.interval.lo, x.interval.hi))
        return Interval(
            self.base + (lo >= steps).sum(axis=1), self.base + (hi >= steps).sum(axis=1)
        )

    def work(self, x: TensorType, thresholds: TensorType) -> Work:
        return Work(compares=x.elements * thresholds.sample_shape[1])


@dataclass(frozen=True, slots=True)
class Lookup(Op):
    """Codes to codes: ``table[x - x.dtype.lo]`` (7), any function.

    One table ``(entries,)`` for all channels, or ``(c, entries)`` with one per channel (axis 1).
    """

    name: ClassVar[str] = "lookup"
    inputs: ClassVar[tuple[str, ...]] = ("x", "table")
    dtype: NumericType
    base: int

    def infer(self, x: TensorType, table: TensorType) -> TensorType:
        entries = x.dtype.hi - x.dtype.lo + 1 if x.dtype.is_integer else 0
        channels = (*x.sample_shape, 1)[0]
        if table.shape not in ((entries,), (channels, entries)) or self.base != x.dtype.lo:
            raise ShapeError(f"A table for {x.dtype} has {entries} entries, got {table}.")
        return x.with_dtype(self.dtype)

    def reference(self, x: Array, table: Array) -> Array:
        places = widen(x) - self.base
        if table.ndim == 1:
            return table[places].astype(self.dtype.container)
        channels = np.arange(len(table)).reshape(-1, *(1,) * (x.ndim - 2))
        return table[channels, places].astype(self.dtype.container)

    def interval(self, x: Fact, table: Fact) -> Interval:
        entries = known(table).astype(np.int64)
        if entries.ndim == 1:
            lo, hi = x.interval.bounds
            reached = entries[lo - self.base : hi - self.base + 1]
            return Interval.of(int(reached.min()), int(reached.max()))
        reach = x.interval.per_channel(len(entries))
        parts = [
            row[lo - self.base : hi - self.base + 1]
            for row, lo, hi in zip(entries, reach.lo, reach.hi, strict=True)
        ]
        return Interval.of(
            np.array([part.min() for part in parts]), np.array([part.max() for part in parts])
        )

    def work(self, x: TensorType, table: TensorType) -> Work:
        return Work(lookups=x.elements)


@dataclass(frozen=True, slots=True)
class PairLookup(Op):
    """Two tensors of codes to codes: ``table[x - bases[0], y - bases[1]]``; any function of two.

    How an importer states an executor's addition; lowering finds integers that equal it. About
    ``x_slope * x + y_slope * y`` before rounding and clipping, where the search begins; zeros say
    that it is no sum.
    """

    name: ClassVar[str] = "pair_lookup"
    inputs: ClassVar[tuple[str, ...]] = ("x", "y", "table")
    dtype: NumericType
    bases: Pair
    x_slope: float = 0.0
    y_slope: float = 0.0

    def infer(self, x: TensorType, y: TensorType, table: TensorType) -> TensorType:
        if x.shape != y.shape or not (x.dtype.is_integer and y.dtype.is_integer):
            raise ShapeError(f"Operands {x} and {y} are not codes of one shape.")
        entries = tuple(each.dtype.hi - each.dtype.lo + 1 for each in (x, y))
        if table.shape != entries or self.bases != (x.dtype.lo, y.dtype.lo):
            raise ShapeError(f"A table for {x.dtype} and {y.dtype} is {entries}, got {table}.")
        return x.with_dtype(self.dtype)

    def reference(self, x: Array, y: Array, table: Array) -> Array:
        row, column = self.bases
        return table[widen(x) - row, widen(y) - column].astype(self.dtype.container)

    def interval(self, x: Fact, y: Fact, table: Fact) -> Interval:
        (a, b), (c, d) = x.interval.bounds, y.interval.bounds
        row, column = self.bases
        reached = known(table)[a - row : b - row + 1, c - column : d - column + 1]
        return Interval.of(int(reached.min()), int(reached.max()))

    def work(self, x: TensorType, y: TensorType, table: TensorType) -> Work:
        return Work(lookups=x.elements)


def _exact(values: Array) -> Array:
    """Integers as int64, reals as float64."""
    return values.astype(np.float64) if values.dtype.kind == "f" else widen(values)


def check_parameters(x: TensorType, axis: int, *parameters: TensorType) -> None:
    """Raise ShapeError unless each parameter is a scalar or has x's size along ``axis``."""
    for parameter in parameters:
        if parameter.shape not in ((), (1,)) and parameter.shape != (x.shape[axis],):
            raise ShapeError(f"Parameter {parameter} fits neither a scalar nor axis {axis} of {x}.")


def check_range(dtype: NumericType, lo: int, hi: int) -> None:
    """Raise ShapeError unless dtype.lo <= lo <= hi <= dtype.hi."""
    if not dtype.lo <= lo <= hi <= dtype.hi:
        raise ShapeError(f"{lo}..{hi} is not a range of {dtype}.")
