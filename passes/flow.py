"""Where codes go unchanged: through ops that only choose among the values they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node
from ..ir.op import Op
from ..ir.ops_arg import ArgMax
from ..ir.ops_crop import Crop
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add, Affine, Clip, Relu, ScaleGradient
from ..ir.ops_pool import AveragePool, MaxPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_quant import Dequantize

PASS_THROUGH = (MaxPool, Reshape, Transpose, Slice, Pad, ScaleGradient)
"""Ops that only choose among the values they are given: they run on codes as they are."""
FUSES_ACTIVATION: tuple[type[Op], ...] = (
    *(Conv, Dense, Add, Affine, AveragePool, Multiply, MatMul, LayerNorm, Relu, Clip),
)
"""Ops whose sole following relu or clip becomes the range of their codes."""
FUSES_AFFINE: tuple[Any, ...] = (Conv, Dense, AveragePool, Multiply, MatMul, LayerNorm)
"""Ops whose sole following affine is folded into the rescaling of their accumulators."""


@dataclass(frozen=True)
class Flow:
    """The values of a float graph by where their codes will come from."""

    graph: Graph

    @cached_property
    def carriers(self) -> Mapping[str, str]:
        """The value whose elements each value holds, in another order or fewer of them.

        A concat only chooses if one value carries all its operands. What computes carries itself.
        """
        found = {value.name: value.name for value in self.graph.inputs}
        for node in self.graph.nodes:
            found[node.name] = node.name
            if isinstance(node.op, (*PASS_THROUGH, Concat)):
                sources = {found[name] for name in node.inputs if name in found}
                found[node.name] = sources.pop() if len(sources) == 1 else node.name
        return found

    def passes_on(self, node: Node) -> bool:
        """Whether a node runs on the codes of its operands as they are."""
        return self.carriers[node.name] != node.name

    @cached_property
    def read_by_layer(self) -> Mapping[str, bool]:
        """Whether an op that computes reals reads the value, or the index of its greatest element.

        Directly, or through ops that pass codes on.
        """
        found: dict[str, bool] = {}
        for name in reversed(tuple(self.graph.values)):
            found[name] = any(
                not (self.passes_on(user) or isinstance(user.op, ArgMax)) or found[user.name]
                for user in self.graph.users[name]
            )
        return found

    @cached_property
    def points(self) -> tuple[str, ...]:
        """The values that need a quantize point: inputs, and results that are not already codes."""
        inputs = [value.name for value in self.graph.inputs]
        return (*inputs, *(node.name for node in self.graph.nodes if self._needs_point(node)))

    def _needs_point(self, node: Node) -> bool:
        if self.passes_on(node) or isinstance(node.op, Dequantize):
            return False  # What a dequantize makes is codes already: of a weight.
        if isinstance(node.op, ArgMax) and not self.read_by_layer[node.name]:
            return False  # Indices are integers already.
        users = self.graph.users[node.name]
        if len(users) != 1 or node.name in self.graph.outputs:
            return True
        if isinstance(node.op, FUSES_AFFINE) and isinstance(users[0].op, Affine):
            return False
        return not (isinstance(users[0].op, Relu | Clip) and isinstance(node.op, FUSES_ACTIVATION))

    @cached_property
    def outputs(self) -> frozenset[str]:
        """The points that become outputs: directly, through ops that pass codes on, or as an index.

        What a layer reads as well keeps the bits of activations: wide codes would be carried into
        it.
        """
        found = set()
        for output in self.graph.outputs:
            name = self.carriers[output]
            node = self.graph.producers.get(name)
            if node is not None and isinstance(node.op, ArgMax):
                name = self.carriers[node.inputs[0]]
            if name in self.graph.producers and not self.read_by_layer[name]:
                found.add(name)
        return frozenset(found)

    @cached_property
    def crops(self) -> Mapping[str, str]:
        """Crops that are points, each with the value whose codes it blends to codes."""
        return {
            node.name: self.carriers[node.inputs[0]]
            for node in self.graph.nodes
            if isinstance(node.op, Crop)
        }

    @cached_property
    def tells(self) -> Mapping[str, int]:
        """The values that tell crops where to look, with the bits of their codes."""
        return {
            self.carriers[node.inputs[1]]: node.op.bits
            for node in self.graph.nodes
            if isinstance(node.op, Crop) and len(node.inputs) > 1
        }

    def borders(self, name: str) -> tuple[float, ...]:
        """The finite values that pads put around a value before its next point; 0 at least."""
        return (0.0, *self._borders.get(name, ()))

    @cached_property
    def _borders(self) -> Mapping[str, list[float]]:
        found: dict[str, list[float]] = {}
        for node in self.graph.nodes:
            if isinstance(node.op, Pad) and np.isfinite(node.op.value):
                found.setdefault(self.carriers[node.name], []).append(node.op.value)
        return found
