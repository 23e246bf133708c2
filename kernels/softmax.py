"""softmax in the portable tier."""

from __future__ import annotations

import numpy as np

from ..ir.fixed_point import softmax_shares
from ..ir.layout import from_storage
from ..ir.numeric import Array
from ..ir.ops_softmax import NEWTON, Softmax
from .kernel import Operands


def softmax(op: Softmax, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)``, table ``(entries,)`` -> shares of ``2**op.bits``."""
    x, table = from_storage(inputs[0]), inputs[1].astype(np.int64)
    below = x.max(axis=op.axis, keepdims=True).astype(np.int64) - x
    powers = table[np.minimum(below, table.size - 1)]
    divide = softmax_shares if op.division == NEWTON else _exact
    from_storage(out)[...] = divide(powers, op.axis, op.bits)


def _exact(powers: Array, axis: int, bits: int) -> Array:
    total = powers.sum(axis=axis, keepdims=True)
    return ((powers << (bits + 1)) + total) // (2 * total)
