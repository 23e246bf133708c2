"""The one table of kernels: (op, isa) -> what makes the kernel for given operand types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from ..ir.op import Op
from ..ir.ops_arg import ArgMax
from ..ir.ops_crop import Crop
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from ..ir.ops_linear import Conv, Dense, GatherConv
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add
from ..ir.ops_pool import MaxPool, SumPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.ops_softmax import Softmax
from .kernel import Kernel, Run, Types

Isa = Literal["portable"]
Maker = Callable[[Any, Types], Kernel]


def _fixed(run: Run) -> Maker:
    """The same kernel for all operand types."""
    return lambda op, types: Kernel(run)


@cache
def table() -> Mapping[tuple[type[Op], Isa], Maker]:
    """Every kernel. The first call imports numba, which is why it is not done on import."""
    from . import arg, crop, layout, linear, norm, pointwise, pool, product, softmax

    return {
        (Conv, "portable"): linear.conv,
        (GatherConv, "portable"): linear.gather_conv,
        (Dense, "portable"): linear.dense,
        (SumPool, "portable"): linear.sum_pool,
        (MaxPool, "portable"): _fixed(pool.max_pool),
        (Add, "portable"): pointwise.add,
        (Multiply, "portable"): _fixed(product.multiply),
        (MatMul, "portable"): product.matmul,
        (Softmax, "portable"): _fixed(softmax.softmax),
        (LayerNorm, "portable"): _fixed(norm.layer_norm),
        (ArgMax, "portable"): _fixed(arg.arg_max),
        (Crop, "portable"): _fixed(crop.crop),
        (Requantize, "portable"): pointwise.requantize,
        (Threshold, "portable"): pointwise.threshold,
        (Lookup, "portable"): pointwise.lookup,
        (Reshape, "portable"): _fixed(layout.reshape),
        (Transpose, "portable"): _fixed(layout.transpose),
        (Slice, "portable"): _fixed(layout.slice_),
        (Take, "portable"): _fixed(layout.take),
        (Pad, "portable"): _fixed(layout.pad),
        (Concat, "portable"): _fixed(layout.concat),
    }


def kernel_for(op: Op, inputs: Types, isa: Isa = "portable") -> Kernel:
    """The kernel of ``op`` for operands of types ``inputs``; KeyError for an op without kernel."""
    return table()[type(op), isa](op, inputs)
