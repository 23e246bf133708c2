"""RESIZE_BILINEAR: integer weights along one axis, then along the other, rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from ...ir.interval import Interval
from ...ir.numeric import Array
from ...ir.ops_linear import Conv
from ..emit.layout import reshape, transpose
from ..emit.site import Site
from .arithmetic import half_even
from .call import Call, Result, Translator
from .codes import accumulate, threshold
from .dialect import Codes
from .move import same_codes
from .pair import check_codes
from .wide_resize import wide_codes

MOST_BITS = 16
"""Of the weights of 16-bit codes whose sums fit 32 bits."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights ``(new, size)`` along height and width, and the code of a sum of products.

    ``bits``: the weights of a sum add up to 2**bits, and halves are rounded away from 0.
    """

    rows: Array
    columns: Array
    code: Codes
    bits: int | None = None


def _bilinear(call: Call) -> Result:
    """The runtime's weights."""
    (rows, first), (columns, second) = (
        _without_factor(_matrix(call, size, new)) for size, new in _sizes(call)
    )
    factor, resized = first * second, call.dialect.resized
    bits = 2 * call.dialect.weight_bits - (factor.bit_length() - 1)
    return _mixed(call, Mix(rows, columns, lambda total: resized(total * factor), bits))


def exact_bilinear(call: Call) -> Result:
    """The exact weights, halves to even; codes of one scale are mixed as their reals are."""
    same_codes(call)
    rows, columns = (_exact_matrix(call, size, new) for size, new in _sizes(call))
    below = int(rows[0].sum()) * int(columns[0].sum())
    return _mixed(call, Mix(rows, columns, lambda total: half_even(total, below)))


def _sizes(call: Call) -> list[tuple[int, int]]:
    """Old and new height and width."""
    check_codes(call, 0)
    shape, new = call.tensor(0).shape, call.ints(1)
    if len(shape) != 4 or len(new) != 2 or min(new) < 1:
        raise call.site.fail(
            f"It resizes {len(shape)} axes to {new}.", "Only images are supported."
        )
    return list(zip(shape[1:3], new, strict=True))


def _mixed(call: Call, mix: Mix) -> Result:
    channels, height, width = call.y.shape[3], len(mix.rows), len(mix.columns)
    rows, lies = _along(call.site.step("rows"), call.codes(0), mix.rows)
    site = call.site.step("columns")
    turned = transpose(site.step("turned"), rows, (0, 3, 2, 1))  # (w, c, h) after the batch
    flat = reshape(site.step("flat"), turned, (call.tensor(0).shape[2], channels * height, 1))
    weight = mix.columns[:, :, None, None]
    if call.is_wide and mix.bits is not None and mix.bits > MOST_BITS:
        codes = wide_codes(call, flat, weight, lies, mix.bits)
    else:
        acc, reach = accumulate(site.step("sum"), Conv(), flat, weight, within=lies)
        bounds = call.y.dtype.lo, call.y.dtype.hi
        codes = threshold(call, site, acc, reach.hull, mix.code, bounds)
    image = reshape(call.site.step("image"), codes, (width, channels, height))
    return Result(transpose(call.site, image, (0, 2, 3, 1)), "planes")


def _along(site: Site, x: str, matrix: Array) -> tuple[str, Interval]:
    """``matrix`` applied along the rows of (c, h, w): (h', c, w), and where that lies."""
    turned = transpose(site.step("turned"), x, (0, 2, 1, 3))
    height, channels, width = site.type_of(turned).sample_shape
    flat = reshape(site.step("flat"), turned, (height, channels * width, 1))
    acc, reach = accumulate(site.step("sum"), Conv(), flat, matrix[:, :, None, None])
    return reshape(site.step("split"), acc, (len(matrix), channels, width)), reach.hull


def _matrix(call: Call, size: int, new: int) -> Array:
    """The weights along one axis, ``(new, size)``."""
    corners, half = call.options["align_corners"], call.options["half_pixel_centers"]
    first, second, weight = call.dialect.interpolate(size, new, corners, half)
    matrix = np.zeros((new, size), np.int64)
    rows = np.arange(new)
    np.add.at(matrix, (rows, first), (1 << call.dialect.weight_bits) - weight)
    np.add.at(matrix, (rows, second), weight)
    return matrix


def _exact_matrix(call: Call, size: int, new: int) -> Array:
    """Whole weights ``(new, size)`` of equal sums, in the exact shares of two neighbors."""
    corners, half = call.options["align_corners"], call.options["half_pixel_centers"]
    pace = Fraction(size - 1, new - 1) if corners and new > 1 else Fraction(size, new)
    start = (pace - 1) / 2 if half else Fraction(0)
    places = [max(place * pace + start, Fraction(0)) for place in range(new)]
    below = lcm(*(place.denominator for place in places))
    matrix = np.zeros((new, size), np.int64)
    for row, place in zip(matrix, places, strict=True):
        first = min(int(place), size - 1)
        share = int((place - first) * below)
        row[first] += below - share
        row[min(first + 1, size - 1)] += share
    return matrix


def _without_factor(matrix: Array) -> tuple[Array, int]:
    """Weights without the factor that all share, and that factor."""
    shared = gcd(*np.unique(matrix).tolist())
    return matrix // shared, shared


TRANSLATORS: dict[str, Translator] = {"RESIZE_BILINEAR": _bilinear}
