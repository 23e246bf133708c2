"""Coded weights: constant codes behind a ``dequantize``, in a graph whose values are all real.

A training pass leaves the weights that it has put on a grid in this form, and so does an importer
of a model whose owner quantized nothing but weights. ``quantize`` keeps such a grid as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import InternalError
from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import INT32, Array
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_quant import Dequantize
from ..ir.tensor import Tensor
from .weights import scale_tensor


def code_weights(graph: Graph, codes: Mapping[str, tuple[Tensor, Array]]) -> Graph:
    """The float graph with weights as ``scale * codes``, by the name of their constant.

    Each scale is a float32 array, of one element or one per row (axis 0). The reals keep the
    constant's name.
    """
    for name, (tensor, scale) in codes.items():
        if tensor.array.shape != graph.constants[name].array.shape:
            raise InternalError(f"Weight '{name}' was given codes {tensor.type}.")
        if scale.size not in (1, len(tensor.array)):
            raise InternalError(f"Weight '{name}' was given {scale.size} scales.")

    def rule(r: Rewriter, node: Node) -> None:
        for name in node.inputs:
            if name in codes and name not in r.renamed:
                r.renamed[name] = _decoded(r, name, *codes[name], node.value.origin)

    return rewrite(graph, rule)


def _decoded(r: Rewriter, name: str, codes: Tensor, scale: Array, origin: str) -> str:
    zero = Tensor(np.asarray(0), INT32)
    operands = (
        r.new.constant(f"{name}.codes", codes),
        r.new.constant(f"{name}.scale", scale_tensor(scale.astype(np.float32))),
        r.new.constant(f"{name}.zero_point", zero),
    )
    return r.new.node(name, Dequantize(axis=0), *operands, origin=origin)


def decodes(graph: Graph, node: Node | None) -> bool:
    """Whether a node is a dequantize of constant codes."""
    if node is None or not isinstance(node.op, Dequantize):
        return False
    codes = graph.constants.get(node.inputs[0])
    return codes is not None and codes.dtype.is_integer


def is_coded_weight(graph: Graph, node: Node) -> bool:
    """Whether a node makes a weight that integers can hold: with one scale, or one per row."""
    if not decodes(graph, node):
        return False
    shared = all(graph.constants[name].array.size == 1 for name in node.inputs[1:])
    by_row = isinstance(node.op, Dequantize) and node.op.axis == 0
    return (shared or by_row) and any(
        isinstance(user.op, Conv | Dense) and user.inputs[1] == node.name
        for user in graph.users[node.name]
    )
