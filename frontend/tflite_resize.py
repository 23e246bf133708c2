"""RESIZE_BILINEAR: integer weights along one axis, then along the other, rounded once."""

from __future__ import annotations

from math import gcd

import numpy as np

from ..ir.interval import Interval
from ..ir.numeric import Array
from ..ir.ops_linear import Conv
from .emit import Site
from .emit_layout import reshape, transpose
from .tflite_call import Call, Result, Translator
from .tflite_codes import accumulate, threshold
from .tflite_pair import check_codes
from .tflite_wide_resize import wide_codes

MOST_BITS = 16
"""Of the weights of 16-bit codes whose sums fit 32 bits."""


def _bilinear(call: Call) -> Result:
    check_codes(call, 0)
    x = call.tensor(0)
    if len(x.shape) != 4:
        raise call.site.fail(f"It resizes {len(x.shape)} axes.", "Only images are supported.")
    corners, half = call.options["align_corners"], call.options["half_pixel_centers"]
    new = call.ints(1)
    matrices = [
        _matrix(call, size, wanted, corners, half)
        for size, wanted in zip(x.shape[1:3], new, strict=True)
    ]
    factor = 1
    for _, shared in matrices:
        factor *= shared
    f = call.dialect.resized
    channels = x.shape[3]
    rows, lies = _along(call.site.step("rows"), call.codes(0), matrices[0][0])
    site = call.site.step("columns")
    turned = transpose(site.step("turned"), rows, (0, 3, 2, 1))  # (w, c, h) after the batch
    flat = reshape(site.step("flat"), turned, (x.shape[2], channels * new[0], 1))
    weight = matrices[1][0][:, :, None, None]
    bounds = call.y.dtype.lo, call.y.dtype.hi
    bits = 2 * call.dialect.weight_bits - (factor.bit_length() - 1)
    if call.is_wide and bits > MOST_BITS:
        codes = wide_codes(call, flat, weight, lies, bits)
    else:
        acc, reach = accumulate(site.step("sum"), Conv(), flat, weight, within=lies)
        codes = threshold(call, site, acc, reach.hull, lambda total: f(total * factor), bounds)
    image = reshape(call.site.step("image"), codes, (new[1], channels, new[0]))
    return Result(transpose(call.site, image, (0, 2, 3, 1)), "planes")


def _along(site: Site, x: str, matrix: Array) -> tuple[str, Interval]:
    """``matrix`` applied along the rows of (c, h, w): (h', c, w), and where that lies."""
    turned = transpose(site.step("turned"), x, (0, 2, 1, 3))
    height, channels, width = site.type_of(turned).sample_shape
    flat = reshape(site.step("flat"), turned, (height, channels * width, 1))
    acc, reach = accumulate(site.step("sum"), Conv(), flat, matrix[:, :, None, None])
    return reshape(site.step("split"), acc, (len(matrix), channels, width)), reach.hull


def _matrix(call: Call, size: int, new: int, corners: bool, half: bool) -> tuple[Array, int]:
    """Weights ``(new, size)`` without the factor that all share, and that factor."""
    first, second, weight = call.dialect.interpolate(size, new, corners, half)
    matrix = np.zeros((new, size), np.int64)
    rows = np.arange(new)
    np.add.at(matrix, (rows, first), (1 << call.dialect.weight_bits) - weight)
    np.add.at(matrix, (rows, second), weight)
    shared = 0
    for each in np.unique(matrix).tolist():
        shared = gcd(shared, each)
    return matrix // shared, shared


TRANSLATORS: dict[str, Translator] = {"RESIZE_BILINEAR": _bilinear}
