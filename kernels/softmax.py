"""softmax in the portable tier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.fixed_point import softmax_shares
from ..ir.layout import from_storage
from ..ir.numeric import Array
from ..ir.ops_softmax import EXACT, FLOAT, NEWTON, RECIPROCAL, TABLE, Softmax
from ..ir.reciprocal_table import table_shares
from .kernel import Operands


def softmax(op: Softmax, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)``, table ``(entries,)`` -> shares of ``2**op.bits``."""
    x, table = from_storage(inputs[0]), inputs[1].astype(np.int64)
    below = x.max(axis=op.axis, keepdims=True).astype(np.int64) - x
    powers = table[np.minimum(below, table.size - 1)]
    from_storage(out)[...] = DIVISIONS[op.division](powers, op.axis, op.bits)


def _exact(powers: Array, axis: int, bits: int) -> Array:
    total = powers.sum(axis=axis, keepdims=True)
    return ((powers << (bits + 1)) + total) // (2 * total)


def _float(powers: Array, axis: int, bits: int) -> Array:
    """``float_sum.float_shares`` by the float32 adder of the machine.

    The quotient of two float32 numbers that is no tie is at least 2**-25 away from one: float64
    shows on which side.
    """
    reals = powers.astype(np.int32).view(np.float32)
    total = np.add.accumulate(reals, axis=axis, dtype=np.float32)
    last = np.take(total, [-1], axis=axis).astype(np.float64)
    shares: Array = np.rint(reals.astype(np.float64) * (1 << bits) / last)
    return shares


def _reciprocal(powers: Array, axis: int, bits: int) -> Array:
    """``float_sum.reciprocal_shares`` by the float32 arithmetic of the machine."""
    reals = powers.astype(np.int32).view(np.float32)
    total = np.add.accumulate(reals, axis=axis, dtype=np.float32)
    last = np.take(total, [-1], axis=axis) * np.float32(2.0**-bits)
    shares: Array = np.floor((reals * (np.float32(1) / last)).astype(np.float64) + 0.5)
    return shares


DIVISIONS: dict[int, Callable[[Array, int, int], Array]] = {
    EXACT: _exact,
    NEWTON: softmax_shares,
    FLOAT: _float,
    RECIPROCAL: _reciprocal,
    TABLE: lambda powers, axis, _bits: table_shares(powers, axis),
}
