"""softmax in the portable tier."""

from __future__ import annotations

import numpy as np

from ..ir.layout import from_storage
from ..ir.numeric import Array
from ..ir.ops_softmax import FRACTION_BITS, Softmax
from .kernel import Operands


def softmax(op: Softmax, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)``, table ``(entries,)`` -> shares of 2**16."""
    x, table = from_storage(inputs[0]), inputs[1].astype(np.int64)
    below = x.max(axis=op.axis, keepdims=True).astype(np.int64) - x
    powers = table[np.minimum(below, table.size - 1)]
    total = powers.sum(axis=op.axis, keepdims=True)
    from_storage(out)[...] = ((powers << (FRACTION_BITS + 1)) + total) // (2 * total)
