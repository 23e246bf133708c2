"""Geometry of sliding windows, shared by convolution and pooling."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from .numeric import Array
from .tensor import TensorType

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def output_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Windows along one axis; raises ShapeError when not even one fits."""
    span = dilation * (kernel - 1) + 1
    count = (size + before + after - span) // stride + 1
    if count < 1:
        raise ShapeError(f"A window of {span} does not fit into {size} + {before} + {after}.")
    return count


def output_hw(x: TensorType, kernel: Pair, strides: Pair, dilations: Pair, pads: Pads) -> Pair:
    """Height and width of the result for x ``(n, c, h, w)``; pads are top, left, bottom, right."""
    if len(x.shape) != 4:
        raise ShapeError(f"Expected (n, c, h, w), got {x}.")
    _, h, w = x.sample_shape
    top, left, bottom, right = pads
    return (
        output_size(h, kernel[0], strides[0], dilations[0], top, bottom),
        output_size(w, kernel[1], strides[1], dilations[1], left, right),
    )


def check_inside(x: TensorType, kernel: Pair, strides: Pair, dilations: Pair, pads: Pads) -> None:
    """Raise ShapeError when a window of x ``(n, c, h, w)`` holds nothing but border."""
    for axis, size in enumerate(x.sample_shape[1:]):
        step, reach = dilations[axis], dilations[axis] * (kernel[axis] - 1)
        starts = range(-pads[axis], size + pads[axis + 2] - reach, strides[axis])
        inside = starts[0] + reach >= 0 and starts[-1] < size
        if step > size:  # the window may step over x
            early = range(starts.start, min(starts.stop, 0), starts.step)
            inside = inside and all(start % step < size for start in early)
        if not inside:
            raise ShapeError(f"A window of {kernel} lies entirely in the border {pads} of {x}.")


def pad_hw(x: Array, pads: Pads, value: float) -> Array:
    """x ``(n, c, h, w)`` with a border of ``value``."""
    top, left, bottom, right = pads
    if not any(pads):
        return x
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def windows(x: Array, kernel: Pair, strides: Pair, dilations: Pair) -> Array:
    """View ``(n, c, h', w', kh, kw)`` of every window of x ``(n, c, h, w)``, already padded."""
    span = (dilations[0] * (kernel[0] - 1) + 1, dilations[1] * (kernel[1] - 1) + 1)
    every = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return every[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def outside(
    size: tuple[int, ...], kernel: tuple[int, ...], strides: Pair, dilations: Pair, pads: Pads
) -> Array:
    """``(h', w', kh, kw)``: 1 where a place of the kernel lies in the border, else 0."""
    image = pad_hw(np.zeros((1, 1, *size), np.int64), pads, 1)
    return windows(image, (kernel[0], kernel[1]), strides, dilations)[0, 0]
