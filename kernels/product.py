"""multiply and matmul in the portable tier."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.layout import from_storage
from ..ir.numeric import Array, NumericType
from ..ir.ops_product import MatMul, Multiply
from .kernel import Kernel, Operands, Types

_EXACT = 1 << 24
"""float32 holds every integer up to here."""


def multiply(op: Multiply, inputs: Operands, out: Array) -> None:
    """x ``(n, ...)``, y of the same rank -> accumulators; modulo 2**32, exact as all fit int32."""
    left, right = (
        x.astype(np.int32) - np.int32(zero) for x, zero in zip(inputs, op.zero_points, strict=True)
    )
    np.multiply(left, right, out=out)


def matmul(op: MatMul, types: Types) -> Kernel:
    """x ``(n, ..., m, k)``, y ``(n, ..., k, p)`` -> accumulators.

    Floats compute it exactly, in any order of adding up: no partial sum exceeds the depth times the
    greatest product, for which the type is chosen; float64 holds all that fits int32.
    """
    left, right = (_reach(t.dtype, z) for t, z in zip(types, op.zero_points, strict=True))
    small = types[0].sample_shape[-1] * left * right <= _EXACT
    real: type[Any] = np.float32 if small else np.float64

    def run(op: MatMul, inputs: Operands, out: Array) -> None:
        x, y = (
            np.ascontiguousarray(from_storage(codes)).astype(real) - real(zero)
            for codes, zero in zip(inputs, op.zero_points, strict=True)
        )
        with np.errstate(invalid="ignore"):  # only sums that overflow, which compiling refuses
            from_storage(out)[...] = x @ y

    return Kernel(run)


def _reach(dtype: NumericType, zero_point: int) -> int:
    """The greatest magnitude of a code less the zero point."""
    return max(abs(dtype.lo - zero_point), abs(dtype.hi - zero_point))
