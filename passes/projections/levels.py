"""Which values weights take: a few levels on both sides of zero, times one scale.

Nonzero levels with pruned zeros are ADMM-NN's (arXiv 1812.11677): a zero that is there stays and
costs no level, and the error of a scale leaves it out. Scales are short (``ir.numeric``), so that
``scale * code`` is exact in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...errors import UsageError
from ...ir.numeric import BIPOLAR, LEAST_SCALE, TERNARY, Array, NumericType, int_type
from ...ir.tensor import Tensor
from .constraint import energy
from .scales import least, mean, search, summary, ternary_scale

Zeros = Literal["pruned", "level", "never"]
"""A weight is zero where it is zero already, or where zero is the nearest level, or nowhere."""
MOST_CODE = 127


@dataclass(frozen=True, kw_only=True)
class Levels(ABC):
    """Weights of the form ``scale * code`` with codes of a fixed set, symmetric to zero.

    The scale is one per layer, or with ``per_channel`` one per output channel. For a given scale
    the projection is the nearest point; without one the scale is that of ``fit``.
    """

    zeros: Zeros = "pruned"
    per_channel: bool = False

    @property
    @abstractmethod
    def most(self) -> int:
        """The greatest code."""

    @abstractmethod
    def nonzero(self, steps: Array) -> Array:
        """The nearest positive codes to magnitudes in units of the scale."""

    @abstractmethod
    def best(self, values: Array, counts: Array) -> Array:
        """The scale of least error for magnitudes, ascending with counts, that are not all 0."""

    def nearest(self, steps: Array) -> Array:
        """The nearest codes to magnitudes in units of the scale, zero where ``zeros`` says so."""
        codes = self.nonzero(steps)
        if self.zeros == "never":
            return codes
        return np.where(steps > (codes / 2 if self.zeros == "level" else 0), codes, 0)

    def fit(self, weight: Array) -> Array:
        """The scale of least squared error: float32 ``(co,)`` or ``(1,)``, always positive."""
        energy(weight)
        rows = weight.reshape(len(weight) if self.per_channel else 1, -1)
        return np.array([self._fit_row(row) for row in rows], np.float32)

    def _fit_row(self, row: Array) -> Array:
        values, counts = summary(row if self.zeros == "never" else row[row != 0])
        if not values.any():
            return np.asarray(LEAST_SCALE if self.zeros == "never" else 1)
        return self.best(values, counts)

    def project(self, weight: Array, scale: Array | None = None) -> Array:
        """The nearest weight on the levels of the scale, float32."""
        scale = self.fit(weight) if scale is None else scale
        return decoded(self._signed(weight, scale), scale)

    def codes(self, weight: Array, scale: Array | None = None) -> tuple[Tensor, Array]:
        """Codes and scale of the projected weight: their product is ``project``, bit for bit."""
        scale = self.fit(weight) if scale is None else scale
        codes = self._signed(weight, scale).astype(np.int8)
        return Tensor(codes, self.type_of(codes)), scale

    def type_of(self, codes: Array) -> NumericType:
        """The numeric type of codes: bipolar or ternary for one level, else an integer."""
        if self.most > 1:
            return int_type(1 + self.most.bit_length())
        return BIPOLAR if self.zeros != "level" and codes.all() else TERNARY

    def _signed(self, weight: Array, scale: Array) -> Array:
        """Codes as float64; a pruned weight's is +0."""
        steps = weight / spread(scale, weight)
        return np.where(steps < 0, -1.0, 1.0) * self.nearest(np.abs(steps)) + 0.0


@dataclass(frozen=True)
class UniformLevels(Levels):
    """The codes 1..top on both sides of zero. The scale of one level is the exact optimum."""

    top: int

    def __post_init__(self) -> None:
        if not 1 <= self.top <= MOST_CODE:
            raise UsageError(
                f"There are {self.top} levels on a side.", fix=f"Choose 1 to {MOST_CODE}."
            )

    @property
    def most(self) -> int:
        return self.top

    def nonzero(self, steps: Array) -> Array:
        return np.clip(np.rint(steps), 1, self.top)

    def best(self, values: Array, counts: Array) -> Array:
        if self.top > 1:
            return search(values, counts, self.nearest, self.top)
        return (ternary_scale if self.zeros == "level" else mean)(values, counts)


@dataclass(frozen=True)
class PowerOfTwoLevels(Levels):
    """The codes 1, 2, 4, .. on both sides, ``count`` of them; the scale is a power of two too.

    A product is then a shift. The scale is the best of all powers of two.
    """

    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_CODE.bit_length():
            raise UsageError(
                f"There are {self.count} levels on a side.",
                fix=f"Choose 1 to {MOST_CODE.bit_length()}.",
            )

    @property
    def most(self) -> int:
        return 1 << (self.count - 1)

    def nonzero(self, steps: Array) -> Array:
        mantissa, exponent = np.frexp(steps)
        return np.ldexp(1.0, np.clip(exponent - (mantissa <= 0.75), 0, self.count - 1))

    def best(self, values: Array, counts: Array) -> Array:
        """Lower, even the top level would be below every weight; higher, the least above all."""
        positive = values[values > 0]
        low, high = np.frexp(positive[[0, -1]])[1] - (self.count, 0)
        powers = np.ldexp(1.0, np.arange(low, high + 2)).astype(np.float32)
        return least(values, counts, self.nearest, np.maximum(powers, np.float32(LEAST_SCALE)))


def bits_top(bits: int) -> int:
    """Levels on a side that fit a signed integer of some bits without its least value."""
    return max(1, (1 << (bits - 1)) - 1)


def binary(*, per_channel: bool = False, zeros: Zeros = "never") -> UniformLevels:
    """``{-a, a}`` with a the mean magnitude; pruned weights stay 0 where ``zeros`` says so.

    XNOR-Net (arXiv 1603.05279), section 3.1.
    """
    return UniformLevels(1, zeros=zeros, per_channel=per_channel)


def spread(scale: Array, weight: Array) -> Array:
    """The scale in float64, shaped to broadcast over the weight."""
    return scale.astype(np.float64).reshape(-1, *(1,) * (weight.ndim - 1))


def decoded(codes: Array, scale: Array) -> Array:
    """Weights of codes, as ``dequantize`` gives them."""
    return (codes * spread(scale, codes)).astype(np.float32)
