"""What each op is to torch: one table, total over the ops of the float stage."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...errors import UsageError
from ...ir.graph import Node
from ...ir.op import Op
from . import ops_layout, ops_linear, ops_pointwise, ops_quant, ops_reduce
from .function import Function

TABLE: Mapping[type[Op], Function] = {
    **ops_linear.FUNCTIONS,
    **ops_pointwise.FUNCTIONS,
    **ops_layout.FUNCTIONS,
    **ops_reduce.FUNCTIONS,
    **ops_quant.FUNCTIONS,
}


def check_trainable(node: Node) -> None:
    """Raise UsageError when torch has no function for the node's op."""
    if type(node.op) not in TABLE:
        raise UsageError(
            f"Operator '{node.op.name}' cannot be trained.",
            where=node.where,
            fix="Give a float graph: training comes before lowering.",
        )


def apply(op: Op, *operands: Tensor) -> Tensor:
    """The result of ``op``, differentiable."""
    return TABLE[type(op)](op, *operands)
