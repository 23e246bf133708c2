"""An executor in float32 against exact arithmetic, quantizer by quantizer.

The executor's own codes are taken as the input of the next layer, so that each quantizer is judged by
itself. Where its code is not the exact one, float32 must have moved what it rounds across an edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from intaglio.ir.graph import Graph, Node

from .check import Tally
from .exact import Value, walk_exactly
from .rational import Array, Rational

NEAR = 2.0**-9
"""Of a code: what sums of float32 products of codes are off by at most, as far as seen and proved
for none; the codes that differ are decided by the exact sums and the executor's own."""


def compare_floats(
    graph: Graph, inputs: Mapping[str, Value], reals: Mapping[str, Array], tally: Tally, who: str
) -> None:
    """Compare each quantizer of a graph with the executor's ``reals``, by tensor name.

    Raises AssertionError where float32 does not explain a difference.
    """
    points = {n.inputs[0]: n for n in graph.nodes if n.op.name == "dequantize"}
    given: dict[str, Array] = {}
    for node in graph.nodes:
        back = points.get(node.name)
        if node.op.name == "quantize" and back is not None and back.name in reals:
            given[node.name] = codes_of(graph, back, reals[back.name])
    exact: dict[str, Value] = dict(inputs)
    for node, value in walk_exactly(graph, inputs, given):
        exact[node.name] = value
        if node.name in given and not _after_softmax(graph, node):
            source = exact[node.inputs[0]]
            assert isinstance(source, Rational)
            _judge(graph, node, value, given[node.name], source, reals, tally, who)


def _after_softmax(graph: Graph, node: Node) -> bool:
    source = graph.producers.get(node.inputs[0])
    return source is not None and source.op.name == "softmax"


def codes_of(graph: Graph, back: Node, reals: Array) -> Array:
    """The codes that were dequantized to these floats."""
    scale, zero = _parameters(graph, back)
    steps = reals.astype(np.float64) / scale + zero
    codes = np.rint(steps)
    assert np.abs(steps - codes).max() < 1e-3, f"'{back.name}' does not hold codes"
    return codes.astype(np.int64)


def _parameters(graph: Graph, node: Node) -> tuple[Any, Any]:
    arrays = (graph.constants[name].array.astype(np.float64) for name in node.inputs[1:])
    scale, zero = (each.reshape(()) if each.size == 1 else each for each in arrays)
    return scale, zero


def _judge(
    graph: Graph,
    node: Node,
    exact: Value,
    theirs: Array,
    source: Rational,
    reals: Mapping[str, Array],
    tally: Tally,
    who: str,
) -> None:
    assert not isinstance(exact, Rational)
    wrong = exact.astype(np.int64) != theirs
    tally.codes[f"meaning = {who}"] += int((~wrong).sum())
    if not wrong.any():
        return
    name = node.inputs[0]
    scale, zero = _parameters(graph, node)
    true = Rational(source.num[wrong], source.unit).floats() / scale + zero
    held = reals.get(name)
    seen = true if held is None else held[wrong].astype(np.float64) / scale + zero
    step = 2 if node.op.dtype.kind == "bipolar" else 1
    apart = np.abs(exact.astype(np.int64) - theirs)[wrong].max()
    moved = np.abs(seen - true).max()
    if apart > step or moved > NEAR:
        raise AssertionError(
            f"{wrong.sum()} codes of '{name}' are not {who}'s: up to {apart} apart, and float32 is "
            f"off by up to {moved:.3g} codes there"
        )
    edges = np.abs(true * 2 - np.rint(true * 2)) / 2
    if edges.max() > NEAR:
        raise AssertionError(
            f"{wrong.sum()} codes of '{name}' are not {who}'s, {edges.max():.3g} from an edge"
        )
    tally.codes[f"float32 of {who} across an edge"] += int(wrong.sum())
