"""A look at part of an image, where another activation says: crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from .interval import Fact, Interval
from .numeric import Array
from .op import Op, Work
from .tensor import BATCH, TensorType
from .windows import Pair

FRACTION_BITS = 16
ONE = 1 << FRACTION_BITS
"""Positions are in units of 2**-16 pixels, shares of a side in units of 2**-16."""
WEIGHT_BITS = 8
"""Fraction bits of a bilinear weight."""
MOST_BITS = 16
"""Of the codes that say where, and of those of the image."""
MOST_PIXELS = 1 << 12
"""Of a side: positions then stay below 2**28, products with codes that say where below 2**44."""


@dataclass(frozen=True, slots=True)
class Crop(Op):
    """``size`` samples, rows and columns, of a window of each image: bilinear, its edges included.

    x ``(n, c, h, w)`` -> ``(n, c, *size)``. y ``(n, 3)`` says how large the window is and how far
    right and how far down it lies, each from 0 to 1; without y it is as large as it can be, in the
    middle. A window spans ``least`` to ``most`` (units of 2**-16) of both sides, and y tells which
    share of the room left lies before it: no window leaves the image.

    Of reals: sample i of m along a side of N pixels lies at ``(N - 1) ((1 - s) y + s i / (m - 1))``
    for a window of share s: ``affine_grid`` and ``grid_sample`` of torch with align_corners. Of
    integers, y in codes q of ``bits`` bits, a code being ``q / 2**bits``, all rounded down:

        s     = least + (((most - least) q0 + 2**(bits - 1)) >> bits)
        step  = s (N - 1) // (m - 1)
        start = ((((N - 1) << 16) - step (m - 1)) q) >> bits          without y: ... >> 1

    and sample i lies at ``start + step i``, in units of 2**-16 pixels. Bits 8 to 15 of that are the
    weight f of the pixel behind, ``256 - f`` that of the pixel before, and the four products of
    weights and pixels, ``2**15`` added, lose 16 bits.
    Source of the geometry: Tan et al., "Multi-Glimpse Network", BMVC 2021.
    """

    name: ClassVar[str] = "crop"
    inputs: ClassVar[tuple[str, ...]] = ("x", "y?")
    size: Pair
    least: int = ONE
    most: int = ONE
    bits: int = 8

    def infer(self, x: TensorType, y: TensorType | None = None) -> TensorType:
        sides = (*x.sample_shape[1:], *self.size)
        if len(x.shape) != 4 or not all(2 <= side <= MOST_PIXELS for side in sides):
            raise ShapeError(
                f"A crop of {self.size} is of (n, c, h, w), all of 2 to {MOST_PIXELS}; got {x}."
            )
        if not 1 <= self.least <= self.most <= ONE or not 1 <= self.bits <= MOST_BITS:
            raise ShapeError(
                f"Windows of {self.least} to {self.most} in units of 2**-16, by codes of "
                f"{self.bits} bits, cannot be taken."
            )
        if x.dtype.is_integer and (x.dtype.bits > MOST_BITS or x.dtype.kind == "bipolar"):
            raise ShapeError(f"A crop blends codes of {MOST_BITS} bits at most, not {x}.")
        if y is not None and (y.shape != (BATCH, 3) or not self._tells(x, y)):
            raise ShapeError(f"Where to look are 3 unsigned codes of {self.bits} bits, not {y}.")
        return TensorType((BATCH, x.sample_shape[0], *self.size), x.dtype)

    def _tells(self, x: TensorType, y: TensorType) -> bool:
        if not x.dtype.is_integer:
            return not y.dtype.is_integer
        return y.dtype.kind == "uint" and y.dtype.bits == self.bits

    def reference(self, x: Array, y: Array | None = None) -> Array:
        if x.dtype.kind == "f":
            return self._real(x, y)
        found = np.empty((len(x), x.shape[1], *self.size), np.int64)
        for n, image in enumerate(x.astype(np.int64)):
            rows, columns = self.positions(image.shape[1:], None if y is None else y[n])
            for i, row in enumerate(rows.tolist()):
                for j, column in enumerate(columns.tolist()):
                    found[n, :, i, j] = _blended(image, row, column)
        return found

    def positions(self, image: Any, where: Array | None) -> tuple[Array, Array]:
        """Where rows and columns of samples lie in an image ``(h, w)``, in units of 2**-16 pixels.

        ``where`` are the three codes of y; None stands for its absence.
        """
        size, right, down = (0, 0, 0) if where is None else map(int, where)
        half = 1 << self.bits >> 1
        share = self.least + (((self.most - self.least) * size + half) >> self.bits)
        share = self.most if where is None else share
        axes = []
        for pixels, samples, place in zip(image, self.size, (down, right), strict=True):
            step = share * (pixels - 1) // (samples - 1)
            room = ((pixels - 1) << FRACTION_BITS) - step * (samples - 1)
            start = room >> 1 if where is None else room * place >> self.bits
            axes.append(start + step * np.arange(samples, dtype=np.int64))
        return axes[0], axes[1]

    def _real(self, x: Array, y: Array | None) -> Array:
        where = np.full((len(x), 3), 0.5) if y is None else y.astype(np.float64)
        share = np.full(len(x), self.most / ONE)
        if y is not None:
            share = (self.least + (self.most - self.least) * where[:, 0]) / ONE
        found = x.astype(np.float64)
        for axis, place in ((2, where[:, 2]), (3, where[:, 1])):
            last, steps = x.shape[axis] - 1, np.linspace(0, 1, self.size[axis - 2])
            at = last * ((1 - share) * place)[:, None] + last * share[:, None] * steps
            found = _interpolated(found, np.clip(at, 0, last), axis)
        return found.astype(x.dtype)

    def interval(self, x: Fact, y: Fact | None = None) -> Interval:
        """Weights are positive and add up to 1."""
        return x.interval

    def work(self, x: TensorType, y: TensorType | None = None) -> Work:
        return Work(macs=4 * x.sample_shape[0] * self.size[0] * self.size[1])


def _blended(image: Array, row: int, column: int) -> Array:
    """Each channel of ``(c, h, w)`` between four pixels."""
    total = np.full(len(image), 1 << (2 * WEIGHT_BITS - 1), np.int64)
    for y, down in _pixels(row, image.shape[1]):
        for x, across in _pixels(column, image.shape[2]):
            total += down * across * image[:, y, x]
    return total >> 2 * WEIGHT_BITS


def _pixels(position: int, pixels: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The pixels before and behind a position, each with its weight."""
    before = position >> FRACTION_BITS
    behind = (position >> FRACTION_BITS - WEIGHT_BITS) & ((1 << WEIGHT_BITS) - 1)
    return (before, (1 << WEIGHT_BITS) - behind), (min(before + 1, pixels - 1), behind)


def _interpolated(x: Array, at: Array, axis: int) -> Array:
    """x ``(n, c, h, w)`` at the positions ``(n, m)`` along an axis, linearly."""
    before = np.floor(at).astype(np.int64)
    shape = (len(x), *(-1 if each == axis else 1 for each in (1, 2, 3)))
    share = (at - before).reshape(shape)
    first = np.take_along_axis(x, before.reshape(shape), axis)
    second = np.take_along_axis(x, np.minimum(before + 1, x.shape[axis] - 1).reshape(shape), axis)
    return first * (1 - share) + second * share
