"""Storage order: a rank-4 tensor is stored with axis 1 innermost, every other row-major.

So activations ``(n, c, h, w)`` lie as ``(n, h, w, c)`` and weights ``(co, ci, kh, kw)`` as
``(co, kh, kw, ci)``: what a multiply-accumulate reads is contiguous.
"""

from __future__ import annotations

import numpy as np

from .numeric import Array
from .tensor import Shape


def to_storage(array: Array) -> Array:
    """A contiguous copy or view in storage order."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1) if array.ndim == 4 else array)


def from_storage(array: Array) -> Array:
    """The inverse of ``to_storage``, as a view."""
    return np.moveaxis(array, -1, 1) if array.ndim == 4 else array


def storage_shape(shape: Shape) -> Shape:
    """The shape of the stored array."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape
