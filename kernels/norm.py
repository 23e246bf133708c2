"""layer_norm in the portable tier."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.layout import from_storage
from ..ir.numeric import Array
from ..ir.ops_norm import FRACTION_BITS, LayerNorm
from .kernel import Operands


def layer_norm(op: LayerNorm, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)``, epsilon ``()`` -> units of 2**-16; int64 holds all (LayerNorm.fits)."""
    x, epsilon = from_storage(inputs[0]).astype(np.int64), np.int64(inputs[1].reshape(()))
    count, shift = x.shape[op.axis], FRACTION_BITS + 1 + op.bits
    total = x.sum(axis=op.axis, keepdims=True)
    spread = count * (x * x).sum(axis=op.axis, keepdims=True) - total * total
    root = np.maximum(square_root((spread << (2 * op.bits)) + epsilon), 1)
    from_storage(out)[...] = (((count * x - total) << shift) + root) // (2 * root)


def square_root(square: Array) -> Any:
    """Roots of int64 below 2**62, rounded down: float64's, corrected by what it may be off."""
    root = np.sqrt(square.astype(np.float64)).astype(np.int64)
    root -= root * root > square
    root += (root + 1) * (root + 1) <= square
    return root
