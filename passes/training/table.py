"""What each op is to torch: one table, total over the ops of the float stage.

It holds quantize as well: graphs that train with quantization.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...errors import UsageError
from ...ir.graph import Node
from ...ir.op import Op
from ...ir.ops_arg import ArgMax
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from ...ir.ops_pool import MaxPool
from ...ir.ops_quant import Quantize
from . import ops_layout, ops_linear, ops_pointwise, ops_quant, ops_reduce
from .function import Function

TABLE: Mapping[type[Op], Function] = {
    **ops_linear.FUNCTIONS,
    **ops_pointwise.FUNCTIONS,
    **ops_layout.FUNCTIONS,
    **ops_reduce.FUNCTIONS,
    **ops_quant.FUNCTIONS,
}


CHOOSES: tuple[type[Op], ...] = (MaxPool, Reshape, Transpose, Slice, Pad, Concat, ArgMax)
"""Ops that compute the same of codes as of the reals that stand for them."""


def check_trainable(node: Node) -> None:
    """Raise UsageError when torch has no function for the node's op, or none on codes."""
    on_codes = node.type.dtype.is_integer and not isinstance(node.op, (Quantize, *CHOOSES))
    if type(node.op) not in TABLE or on_codes:
        raise UsageError(
            f"Operator '{node.op.name}'{' on codes' if on_codes else ''} cannot be trained.",
            where=node.where,
            fix="Give a float graph, or one in which reals are quantized and dequantized.",
        )


def apply(op: Op, *operands: Tensor) -> Tensor:
    """The result of ``op``, differentiable; codes are integral reals."""
    return TABLE[type(op)](op, *operands)
