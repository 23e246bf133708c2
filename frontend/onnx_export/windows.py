"""Borders and sliding windows as ONNX nodes."""

from __future__ import annotations

from math import prod

import numpy as np

from ...ir.numeric import Array
from ...ir.windows import Pads, Pair, windows
from .emitter import INT32, INT64, Emitter, Operand, Ref

NATIVE = ("int8", "uint8", "int32", "int64", "uint32")
"""What onnxruntime's Pad takes."""


def bordered(e: Emitter, x: Ref, before: tuple[int, ...], after: tuple[int, ...], code: int) -> Ref:
    """x with so many places of ``code`` around the axes after the batch."""
    if not any(before) and not any(after):
        return x
    native = x if str(x.dtype) in NATIVE else e.wide(x)
    sizes = e.ints(0, *before, 0, *after)
    padded = e.node("Pad", native, sizes, e.scalar(code, native.dtype))
    return e.cast(padded, x.dtype)


def padded(e: Emitter, x: Operand, pads: Pads, code: int) -> Ref:
    """x ``(n, c, h, w)`` with a border; pads are top, left, bottom, right."""
    top, left, bottom, right = pads
    return bordered(e, x.value, (0, top, left), (0, bottom, right), code)


def places(x: Operand, pads: Pads, kernel: Pair, strides: Pair, dilations: Pair) -> Array:
    """``(c, h', w', kh, kw)``: where each place of each window lies in a flat padded sample."""
    size = _padded_shape(x, pads)
    grid = np.arange(prod(size), dtype=INT64).reshape(1, *size)
    return windows(grid, kernel, strides, dilations)[0]


def _padded_shape(x: Operand, pads: Pads) -> tuple[int, int, int]:
    channels, height, width = x.type.sample_shape
    return channels, height + pads[0] + pads[2], width + pads[1] + pads[3]


def picked(e: Emitter, x: Operand, pads: Pads, image: Ref, where: Array) -> Ref:
    """Elements of each sample of ``image``, x with a border, by their flat places.

    ``(n, *where.shape)``.
    """
    flat = e.reshape(image, prod(_padded_shape(x, pads)))
    return e.node("Gather", flat, e.constant(where.astype(INT32), "places"), axis=1)
