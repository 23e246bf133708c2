"""Exits at the stages of a network, for training alone or to stay.

Where the network goes on at a lower resolution an exit branches off: separable convs with a stride
of 2 down to the resolution of the last stage, a mean, a dense of class scores. Source of the form:
Zhang et al., "Be Your Own Teacher", ICCV 2019, of the same group as CORSD (arXiv 2305.00918).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import networkx as nx
import numpy as np

from ..errors import UsageError
from ..ir.graph import Builder, Graph, Node, prune_unused
from ..ir.ops_layout import Reshape
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Relu
from ..ir.ops_pool import AveragePool
from ..ir.tensor import real
from ..ir.verify import Stage
from .base import Context, Pass


@dataclass(frozen=True)
class Branch(Pass):
    """Add exits ``side1``, ``side2`` ... before the answer, one at each stage but the last.

    Stages end where all that follows goes through one value at a lower resolution. ``feature1`` ...
    are the means that exits classify, and the last what the answer classifies: with ``features``
    they are outputs as well, to be compared by relations. ``seed`` decides what new weights begin
    with (He et al., 2015). Raises UsageError for a network without stages.
    """

    name: ClassVar[str] = "branch"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float"}
    features: bool = False
    seed: int = 0

    def run(self, graph: Graph, context: Context) -> Graph:
        answer = _answer(graph)
        ends = stage_ends(graph)
        if not ends:
            raise UsageError(
                "The network has no stages to branch off from: its resolution never falls.",
                where=f"Network '{graph.name}'",
                fix="Leave the pass out, or give a convolutional network of several resolutions.",
            )
        last = list(_images(graph))[-1].type.sample_shape
        maker = _Maker(Builder(graph.name), np.random.default_rng(self.seed), last)
        _copy(graph, maker.b)
        classes = answer.type.sample_shape[0]
        sides, features = zip(
            *(maker.exit(number, end, classes) for number, end in enumerate(ends, 1)), strict=True
        )
        if not self.features:
            return prune_unused(maker.b.build((*sides, *graph.outputs)))
        same = Reshape(graph.type_of(answer.inputs[0]).sample_shape)
        deepest = maker.b.node(f"feature{len(ends) + 1}", same, answer.inputs[0])
        return maker.b.build((*features, deepest, *sides, *graph.outputs))


def _answer(graph: Graph) -> Node:
    """The dense of class scores that makes the one output; raises UsageError."""
    node = graph.producers.get(graph.outputs[0]) if len(graph.outputs) == 1 else None
    if node is None or not isinstance(node.op, Dense) or len(node.type.shape) != 2:
        raise UsageError(
            "Its output is not the class scores of a dense (fully connected) layer.",
            where=f"Network '{graph.name}'",
            fix="Cut it behind its last such layer, without a softmax.",
        )
    return node


def stage_ends(graph: Graph) -> tuple[Node, ...]:
    """The last node of each resolution but the lowest that all that follows depends on alone."""
    found: dict[tuple[int, ...], Node] = {}
    for node in _images(graph):
        found[node.type.sample_shape[1:]] = node
    ordered = sorted(found.items(), key=lambda each: -each[0][0] * each[0][1])
    return tuple(node for _, node in ordered[:-1])


def _images(graph: Graph) -> Iterator[Node]:
    """Nodes of rank 4 and more than one position through which every path to the output goes."""
    through = _dominators(graph)
    for node in graph.nodes:
        shape = node.type.sample_shape
        if node.name in through and len(shape) == 3 and shape[1] * shape[2] > 1:
            yield node


def _dominators(graph: Graph) -> set[str]:
    """Values on every path from the input to the answer, made by a conv or after one."""
    edges = graph.digraph()
    first, end = graph.inputs[0].name, graph.outputs[-1]
    above = nx.immediate_dominators(edges, first)
    found, name = set(), end
    while name != first:
        found.add(name)
        name = above[name]
    convs = [node.name for node in graph.nodes if isinstance(node.op, Conv)]
    after = set(convs[:1]) | (nx.descendants(edges, convs[0]) if convs else set())
    return found & after


def _copy(graph: Graph, b: Builder) -> None:
    """Everything of a graph, under its names."""
    for value in graph.inputs:
        b.input(value)
    for name, tensor in graph.constants.items():
        b.constant(name, tensor)
    for node in graph.nodes:
        value = node.value
        b.node(node.name, node.op, *node.inputs, origin=value.origin, encoding=value.encoding)


@dataclass
class _Maker:
    """New layers on a graph; ``last`` is the shape ``(c, h, w)`` of the last stage."""

    b: Builder
    random: np.random.Generator
    last: tuple[int, ...]

    def exit(self, number: int, end: Node, classes: int) -> tuple[str, str]:
        """The names of the scores and of the features of an exit."""
        value, prefix = end.name, f"side{number}"
        steps = 0
        while self._area(value) > self.last[1] * self.last[2] or not steps:
            value = self._halved(value, f"{prefix}.{steps}")
            steps += 1
        channels, height, width = self.b.type_of(value).sample_shape
        mean = self.b.node(f"{prefix}.mean", AveragePool((height, width)), value, origin=prefix)
        feature = self.b.node(f"feature{number}", Reshape((channels,)), mean, origin=prefix)
        weight = self._weight(f"{prefix}.weight", classes, channels)
        bias = self._constant(f"{prefix}.bias", np.zeros(classes))
        return self.b.node(prefix, Dense(), feature, weight, bias, origin=prefix), feature

    def _area(self, value: str) -> int:
        _, height, width = self.b.type_of(value).sample_shape
        return height * width

    def _halved(self, value: str, name: str) -> str:
        """A conv of 3x3 for each channel, with a stride of 2 where there is room, one of 1x1."""
        channels, height, width = self.b.type_of(value).sample_shape
        wide = min(2 * channels, max(self.last[0], channels))
        smaller = height * width > self.last[1] * self.last[2]
        each = Conv((2, 2) if smaller else (1, 1), (1, 1, 1, 1), groups=channels)
        spread = self._layer(f"{name}.each", each, value, channels, 1, 3, 3)
        return self._layer(f"{name}.mix", Conv(), spread, wide, channels, 1, 1)

    def _layer(self, name: str, op: Conv, x: str, *shape: int) -> str:
        weight = self._weight(f"{name}.weight", *shape)
        bias = self._constant(f"{name}.bias", np.zeros(shape[0]))
        conv = self.b.node(name, op, x, weight, bias, origin=name)
        return self.b.node(f"{name}.relu", Relu(), conv, origin=name)

    def _weight(self, name: str, *shape: int) -> str:
        drawn = self.random.standard_normal(shape) * sqrt(2 / np.prod(shape[1:]))
        return self._constant(name, drawn)

    def _constant(self, name: str, array: Any) -> str:
        return self.b.constant(name, real(np.asarray(array, np.float32)))
