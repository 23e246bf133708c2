"""crop in the portable tier."""

from __future__ import annotations

import numpy as np

from ..ir.numeric import Array
from ..ir.ops_crop import FRACTION_BITS, WEIGHT_BITS, Crop
from .compiled import compiled
from .kernel import Operands


def crop(op: Crop, inputs: Operands, out: Array) -> None:
    """x ``(n, h, w, c)``, y ``(n, 3)`` or nothing -> the samples of each window."""
    x, *told = inputs
    for n, image in enumerate(x):
        rows, columns = op.positions(image.shape[:2], told[0][n] if told else None)
        _crop(image, rows, columns, out[n])


@compiled
def _crop(image: Array, rows: Array, columns: Array, out: Array) -> None:
    fraction, bits = FRACTION_BITS, WEIGHT_BITS
    full, half = 1 << bits, 1 << (2 * bits - 1)
    for i in range(rows.size):
        top = rows[i] >> fraction
        below = min(top + 1, image.shape[0] - 1)
        down = (rows[i] >> (fraction - bits)) & (full - 1)
        for j in range(columns.size):
            left = columns[j] >> fraction
            right = min(left + 1, image.shape[1] - 1)
            across = (columns[j] >> (fraction - bits)) & (full - 1)
            for c in range(image.shape[2]):
                first = (full - across) * np.int64(image[top, left, c])
                first += across * np.int64(image[top, right, c])
                second = (full - across) * np.int64(image[below, left, c])
                second += across * np.int64(image[below, right, c])
                out[i, j, c] = ((full - down) * first + down * second + half) >> (2 * bits)
