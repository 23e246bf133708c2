"""Running a graph with every op's reference: the slow truth, and the float network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .graph import Graph, Node
from .interval import Fact, Interval
from .numeric import Array


def walk(
    graph: Graph, inputs: Mapping[str, Array], real: type[np.floating[Any]] = np.float32
) -> Iterator[tuple[Node, Array]]:
    """Yield each node with its result, in order; results are freed after their last use.

    Reals are computed in ``real``; float64 for inputs that are float64 as well.
    """
    live: dict[str, Array] = dict(inputs)
    for index, node in enumerate(graph.nodes):
        operands = [
            live[name] if name in live else _constant(graph, name, real) for name in node.inputs
        ]
        result = node.op.reference(*operands)
        live[node.name] = result
        yield node, result
        for name in node.inputs:
            if graph.last_use[name] <= index:
                live.pop(name, None)
        if node.name not in graph.last_use:
            del live[node.name]


def _constant(graph: Graph, name: str, real: type[np.floating[Any]]) -> Array:
    array = graph.constants[name].array
    return array.astype(real) if array.dtype.kind == "f" else array


def evaluate(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs by name, for one batch of inputs by name."""
    results = dict(inputs)
    for node, result in walk(graph, inputs):
        if node.name in graph.outputs:
            results[node.name] = result
    for name in graph.outputs:
        if name in graph.constants:
            results[name] = graph.constants[name].array
    return {name: results[name] for name in graph.outputs}


def evaluate_batches(
    graph: Graph, inputs: Mapping[str, Array], batch: int = 32
) -> dict[str, Array]:
    """``evaluate`` in slices of ``batch`` samples, so that memory stays bounded."""
    count = len(next(iter(inputs.values())))
    parts = [
        evaluate(graph, {name: array[start : start + batch] for name, array in inputs.items()})
        for start in range(0, max(count, 1), batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def facts(graph: Graph) -> dict[str, Fact]:
    """What is known of every integer value and constant: type, interval (3), elements."""
    known: dict[str, Fact] = {}
    for name, tensor in graph.constants.items():
        if tensor.dtype.is_integer:
            array = tensor.array
            ends = (int(array.min()), int(array.max())) if array.size else (0, 0)
            known[name] = Fact(tensor.type, Interval.of(*ends), array)
    for value in graph.inputs:
        if value.type.dtype.is_integer:
            known[value.name] = Fact(value.type, Interval.of_type(value.type.dtype))
    for node in graph.nodes:
        if node.type.dtype.is_integer and all(name in known for name in node.inputs):
            interval = node.op.interval(*(known[name] for name in node.inputs))
            known[node.name] = Fact(node.type, interval)
        elif node.type.dtype.is_integer:
            known[node.name] = Fact(node.type, Interval.of_type(node.type.dtype))
    return known
