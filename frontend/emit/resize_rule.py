"""Resizing along one axis, as the ONNX operator Resize defines it: which elements, in which shares.

Source: the text of Resize in opset 19; where it leaves a choice, onnx's own node cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

from ...ir.numeric import Array

HALF = Fraction(1, 2)
WHOLE = (Fraction(0), Fraction(1))


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of ``size`` elements resized to ``result``; ``crop`` is a part of it, from 0 to 1.

    ``factor`` is what the model states, of which ``result`` is the whole part.
    """

    size: int
    result: int
    factor: Fraction
    crop: tuple[Fraction, Fraction] = WHOLE

    @property
    def length(self) -> Fraction:
        """The size of the result before it was rounded down."""
        return self.factor * self.size


@dataclass(frozen=True, slots=True)
class Rule:
    """How to resize; names are those of the attributes of Resize."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    outside: float = 0.0


def _pytorch(axis: Axis, place: int) -> Fraction:
    return (place + HALF) / axis.factor - HALF if axis.result > 1 else Fraction(0)


def _corners(axis: Axis, place: int) -> Fraction:
    return place * (axis.size - 1) / (axis.length - 1) if axis.result > 1 else Fraction(0)


def _symmetric(axis: Axis, place: int) -> Fraction:
    shift = axis.size * HALF * (1 - axis.result / axis.length)
    return shift + (place + HALF) / axis.factor - HALF


def _cropped(axis: Axis, place: int) -> Fraction:
    first, last = axis.crop
    if axis.result == 1:
        return HALF * (first + last) * (axis.size - 1)
    return (first + place * (last - first) / (axis.result - 1)) * (axis.size - 1)


COORDINATES: dict[str, Callable[[Axis, int], Fraction]] = {
    "half_pixel": lambda axis, place: (place + HALF) / axis.factor - HALF,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": _pytorch,
    "align_corners": _corners,
    "asymmetric": lambda axis, place: Fraction(place) / axis.factor,
    "tf_crop_and_resize": _cropped,
}
"""Where an element of the result lies in the operand."""
NEAREST: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda x: ceil(x - HALF),
    "round_prefer_ceil": lambda x: floor(x + HALF),
    "floor": floor,
    "ceil": ceil,
}
MODES = ("nearest", "linear", "cubic")


def nearest_places(axis: Axis, rule: Rule) -> list[int]:
    """The element that each element of the result is."""
    found = (COORDINATES[rule.coordinates](axis, place) for place in range(axis.result))
    return [min(max(NEAREST[rule.nearest](x), 0), axis.size - 1) for x in found]


def shares(axis: Axis, rule: Rule) -> tuple[Array, Array]:
    """``matrix @ x + constant`` resizes x: float64 ``(result, size)`` and ``(result,)``."""
    matrix, constant = np.zeros((axis.result, axis.size)), np.zeros(axis.result)
    for place in range(axis.result):
        x = COORDINATES[rule.coordinates](axis, place)
        if rule.coordinates == "tf_crop_and_resize" and not 0 <= x <= axis.size - 1:
            constant[place] = rule.outside
            continue
        base = ceil(x) - 1  # so that 0 < x - base <= 1
        first, weights = _kernel(float(x - base), float(axis.factor), rule)
        places = base + first + np.arange(len(weights))
        if rule.exclude_outside:
            weights = np.where((places >= 0) & (places < axis.size), weights, 0)
            weights = weights / weights.sum()
        np.add.at(matrix[place], np.clip(places, 0, axis.size - 1), weights)
    return matrix, constant


def _kernel(ratio: float, factor: float, rule: Rule) -> tuple[int, Array]:
    """The weights of neighbors, and the place of the first of them, counted from the base."""
    reach = 1 if rule.mode == "linear" else 2
    shrink = min(factor, 1.0) if rule.antialias else 1.0
    first = floor(-reach / shrink) + 1
    distance = np.abs((np.arange(first, 2 - first) - ratio) * shrink)
    linear = np.clip(1 - distance, 0, 1)
    weights = linear if rule.mode == "linear" else _cubic(distance, rule.cubic)
    return first, weights / weights.sum() if rule.antialias else weights


def _cubic(d: Array, a: float) -> Array:
    """The cubic convolution kernel at distances d. Source: R. Keys, IEEE ASSP-29 (1981)."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
