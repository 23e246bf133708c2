"""Which channels of a float graph are one number, whatever the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node
from ..ir.numeric import Array
from ..ir.ops_layout import Concat, Pad, Reshape, Slice
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Add, Affine, Clip, PRelu, Relu, Unary
from ..ir.ops_pool import AveragePool, MaxPool
from .channels import Constants, width

Known = dict[str, tuple[Array, Array]]


def constant_reals(graph: Graph) -> Constants:
    """The channels that only zero filters, and what follows from them, decide."""
    known: Known = {value.name: _nothing(width(value.type)) for value in graph.inputs}
    for node in graph.nodes:
        rule = RULES.get(type(node.op))
        found = rule(graph, node, known) if rule else None
        known[node.name] = found or _nothing(width(node.type))
    return known


def _nothing(channels: int) -> tuple[Array, Array]:
    return np.zeros(channels, bool), np.zeros(channels, np.float32)


def _of_filters(graph: Graph, node: Node, known: Known) -> tuple[Array, Array] | None:
    """Rows without weights leave the bias."""
    if isinstance(node.op, Dense) and len(node.type.shape) != 2:
        return None
    weight = graph.constants[node.inputs[1]].array
    bias = graph.constants[node.inputs[2]].array if len(node.inputs) > 2 else 0
    zero = (weight.reshape(len(weight), -1) == 0).all(axis=1)
    return np.asarray(zero), np.broadcast_to(np.float32(bias), len(weight))


def _of_elements(graph: Graph, node: Node, known: Known) -> tuple[Array, Array]:
    """Every operand is constant, and the op is applied to each channel's number."""
    operands = [known[name] for name in node.inputs if name in graph.values]
    values = [value[None] for _, value in operands]
    values += [graph.constants[name].array for name in node.inputs if name in graph.constants]
    constant = np.logical_and.reduce([mask for mask, _ in operands])
    with np.errstate(all="ignore"):
        return constant, node.op.reference(*values)[0]


def _of_max(graph: Graph, node: Node, known: Known) -> tuple[Array, Array]:
    """The border never wins."""
    return known[node.inputs[0]]


def _of_border(graph: Graph, node: Node, known: Known) -> tuple[Array, Array]:
    """Where there is a border of zeros, or of a pad's value, only that number stays constant."""
    constant, value = known[node.inputs[0]]
    op: Any = node.op
    around = op.pads if isinstance(op, AveragePool) else (*op.before, *op.after)
    border = 0 if isinstance(op, AveragePool) else op.value
    if isinstance(op, Pad) and (op.before[0] or op.after[0]):
        return _nothing(width(node.type))
    return (constant & (value == np.float32(border)) if any(around) else constant), value


def _of_reshape(graph: Graph, node: Node, known: Known) -> tuple[Array, Array] | None:
    """Flattened channels: each becomes a run of elements."""
    constant, value = known[node.inputs[0]]
    total = width(node.type)
    if total % len(constant):
        return None
    return tuple(np.repeat(each, total // len(constant)) for each in (constant, value))  # type: ignore[return-value]


def _of_slice(graph: Graph, node: Node, known: Known) -> tuple[Array, Array]:
    constant, value = known[node.inputs[0]]
    part = node.op.parts[0]  # type: ignore[attr-defined]
    return constant[part], value[part]


def _of_concat(graph: Graph, node: Node, known: Known) -> tuple[Array, Array] | None:
    parts = [known[name] for name in node.inputs if name in graph.values]
    if not isinstance(node.op, Concat) or node.op.axis != 1 or len(parts) < len(node.inputs):
        return None
    masks, values = zip(*parts, strict=True)
    return np.concatenate(masks), np.concatenate(values)


RULES: dict[type[Any], Callable[[Graph, Node, Known], tuple[Array, Array] | None]] = {
    Conv: _of_filters,
    Dense: _of_filters,
    Relu: _of_elements,
    Clip: _of_elements,
    Unary: _of_elements,
    Affine: _of_elements,
    PRelu: _of_elements,
    Add: _of_elements,
    MaxPool: _of_max,
    AveragePool: _of_border,
    Pad: _of_border,
    Reshape: _of_reshape,
    Slice: _of_slice,
    Concat: _of_concat,
}
