"""max_pool, sum_pool and arg_max as ONNX nodes."""

from __future__ import annotations

import numpy as np

from ...ir.ops_arg import ArgMax
from ...ir.ops_pool import MaxPool, SumPool
from .emitter import INT64, Emitter, Operand, Ref
from .windows import padded, picked, places


def max_pool(e: Emitter, op: MaxPool, x: Operand) -> Ref:
    """max_pool (5): MaxPool for 8 bits; it takes no others, nor a border as wide as the kernel."""
    kernel = (*op.kernel, *op.kernel)
    if x.value.dtype.itemsize == 1 and all(p < k for p, k in zip(op.pads, kernel, strict=True)):
        return e.node(
            *("MaxPool", x.value),
            kernel_shape=op.kernel,
            strides=op.strides,
            pads=op.pads,
            dilations=op.dilations,
        )
    image = padded(e, x, op.pads, int(np.iinfo(x.value.dtype).min))
    where = places(x, op.pads, op.kernel, op.strides, op.dilations)
    found = picked(e, x, op.pads, e.wide(image), where.reshape(-1, op.kernel[0] * op.kernel[1]))
    best = e.node("ReduceMax", found, e.ints(2), keepdims=0)
    return e.reshape(best, *where.shape[:3])


def sum_pool(e: Emitter, op: SumPool, x: Operand) -> Ref:
    """sum_pool (4)."""
    image = padded(e, x, op.pads, op.pad_value)
    where = places(x, op.pads, op.kernel, op.strides, (1, 1))
    found = picked(e, x, op.pads, e.wide(image), where.reshape(-1, op.kernel[0] * op.kernel[1]))
    total = e.node("ReduceSum", found, e.ints(2), keepdims=0)
    return e.reshape(total, *where.shape[:3])


def arg_max(e: Emitter, op: ArgMax, x: Operand) -> Ref:
    """arg_max (17)."""
    return e.node(
        *("ArgMax", e.wide(x.value)),
        dtype=INT64,
        axis=op.axis,
        keepdims=1,
        select_last_index=op.last,
    )
