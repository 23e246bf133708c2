"""arg_max in the portable tier."""

from __future__ import annotations

import numpy as np

from ..ir.layout import from_storage
from ..ir.numeric import Array
from ..ir.ops_arg import ArgMax
from .kernel import Operands


def arg_max(op: ArgMax, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)`` -> the index of the first or last greatest element, the axis kept as 1."""
    x = from_storage(inputs[0])
    turned = np.flip(x, op.axis) if op.last else x
    found = turned.argmax(axis=op.axis, keepdims=True)
    from_storage(out)[...] = x.shape[op.axis] - 1 - found if op.last else found
