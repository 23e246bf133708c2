"""Constants as instructions want them."""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array


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
