"""max_pool in the portable tier."""

from __future__ import annotations

import numpy as np

from ..ir.numeric import Array
from ..ir.ops_pool import MaxPool
from .compiled import compiled
from .kernel import Operands


def max_pool(op: MaxPool, inputs: Operands, out: Array) -> None:
    """x ``(n, h, w, c)`` -> the greatest of each window; the border never wins."""
    window = (*op.kernel, *op.strides, *op.dilations, *op.pads[:2])
    _max_pool(inputs[0], window, np.iinfo(out.dtype).min, out)


@compiled
def _max_pool(x: Array, window: tuple[int, ...], lowest: int, out: Array) -> None:
    kh, kw, sh, sw, dh, dw, top, left = window
    samples, height, width, channels = out.shape
    for n in range(samples):
        for oy in range(height):
            for ox in range(width):
                best = out[n, oy, ox]
                best[:] = lowest
                for y in range(oy * sh - top, oy * sh - top + kh * dh, dh):
                    for at in range(ox * sw - left, ox * sw - left + kw * dw, dw):
                        if 0 <= y < x.shape[1] and 0 <= at < x.shape[2]:
                            pixel = x[n, y, at]
                            for c in range(channels):
                                best[c] = max(best[c], pixel[c])
