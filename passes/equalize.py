"""Cross-layer equalisation: move scale between two layers so that channels use the codes evenly.

``relu(s x) = s relu(x)`` for s > 0, so channel c of a layer may be divided by s[c] if the next
layer's weights for it are multiplied by s[c]. With s = sqrt(r1 / r2), where r1 and r2 are the
ranges of the channel's weights in both layers, both become sqrt(r1 r2).
Source: Nagel et al., ICCV 2019, equation 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import Array
from ..ir.ops_layout import Reshape
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Relu
from ..ir.ops_pool import AveragePool, MaxPool
from ..ir.tensor import real
from .base import Context, Pass
from .canonicalize import sole_producer

KEEPS_SCALE = (Relu, MaxPool, AveragePool)
"""Ops with ``f(s x) = s f(x)`` for every channel by itself and s > 0."""


@dataclass(frozen=True)
class Equalize(Pass):
    """Equalise weight ranges of consecutive conv and dense layers; the function stays the same."""

    name: ClassVar[str] = "equalize"
    rounds: int = 4

    def run(self, graph: Graph, context: Context) -> Graph:
        pairs = [pair for node in graph.nodes if (pair := _pair(graph, node)) is not None]
        weights = {
            name: graph.constants[name].array.astype(np.float64)
            for pair in pairs
            for node in pair
            for name in node.inputs[1:]
        }
        for _ in range(self.rounds):
            for first, second in pairs:
                _equalize(weights, first, second)

        def rule(r: Rewriter, node: Node) -> str | None:
            if not any(node in pair for pair in pairs):
                return None
            changed = (r.new.constant(name, real(weights[name])) for name in node.inputs[1:])
            return r.copy(node, inputs=(r[node.inputs[0]], *changed))

        return rewrite(graph, rule)


def _pair(graph: Graph, second: Node) -> tuple[Node, Node] | None:
    """The layer before ``second`` when only scale-keeping ops lie between, else None."""
    if not _is_plain_layer(graph, second):
        return None
    node = sole_producer(graph, second.inputs[0])
    while node is not None and (isinstance(node.op, KEEPS_SCALE) or _is_flat(graph, node)):
        node = sole_producer(graph, node.inputs[0])
    if node is None or not _is_plain_layer(graph, node):
        return None
    return node, second


def _is_plain_layer(graph: Graph, node: Node) -> bool:
    """A conv without groups or a dense, whose constants nothing else reads."""
    plain = isinstance(node.op, Dense) or (isinstance(node.op, Conv) and node.op.groups == 1)
    if not plain or (isinstance(node.op, Dense) and len(node.type.shape) != 2):
        return False
    return all(name in graph.constants and len(graph.users[name]) == 1 for name in node.inputs[1:])


def _is_flat(graph: Graph, node: Node) -> bool:
    """A reshape that keeps one element per channel."""
    return (
        isinstance(node.op, Reshape)
        and node.type.sample_shape[0] == node.type.elements
        and (graph.type_of(node.inputs[0]).sample_shape[0] == node.type.elements)
    )


def _equalize(weights: dict[str, Array], first: Node, second: Node) -> None:
    one, two = weights[first.inputs[1]], weights[second.inputs[1]]
    range_one = np.abs(one.reshape(len(one), -1)).max(axis=1)
    range_two = np.abs(np.moveaxis(two, 1, 0).reshape(two.shape[1], -1)).max(axis=1)
    live = (range_one > 0) & (range_two > 0)
    ratio = np.sqrt(range_one / np.where(live, range_two, 1))
    scale = np.where(live, ratio, 1.0)
    weights[first.inputs[1]] = one / scale.reshape(-1, *(1,) * (one.ndim - 1))
    weights[second.inputs[1]] = two * scale.reshape(1, -1, *(1,) * (two.ndim - 2))
    if len(first.inputs) > 2:
        weights[first.inputs[2]] = weights[first.inputs[2]] / scale
