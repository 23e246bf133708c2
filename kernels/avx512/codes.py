"""Codes of a byte and how they lie, and constants as instructions want them."""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from ...ir.tensor import TensorType

FLIP = 128
"""What is added to signed codes of a byte: the instruction multiplies unsigned with signed."""


def is_byte(type_: TensorType) -> bool:
    """Whether a code of the type is a byte."""
    return type_.dtype.container.itemsize == 1


def flips(type_: TensorType) -> bool:
    """Whether routines want codes of the type 128 higher."""
    return is_byte(type_) and type_.dtype.lo < 0


def wrapped(values: Array) -> Array:
    """int32, modulo 2**32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def aligned(array: Array) -> Array:
    """A copy that begins at a multiple of 64 bytes."""
    raw = np.zeros(array.nbytes + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    found = raw[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def channels_of(type_: TensorType) -> int:
    """What lies innermost."""
    sample = type_.sample_shape or (1,)
    return sample[0] if len(sample) == 3 else sample[-1]
