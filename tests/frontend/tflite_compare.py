"""Comparing single operators with LiteRT: the imported graph, and the compiled network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from intaglio.api import compile as compile_
from intaglio.frontend.tflite.importer import import_tflite
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Graph

from .tflite_cases import Case, Rng
from .tflite_models import litert


def codes_of(model: bytes, semantics: str, inputs: list[Any]) -> tuple[Graph, list[Any]]:
    """The graph and the outputs of the compiled model, in the file's order."""
    graph = import_tflite(model, semantics=semantics)
    names = [value.name for value in graph.inputs]
    found = compile_(graph).simulate(dict(zip(names, inputs, strict=True)))
    return graph, list(found.values())


def codes_that_agree(draw: Callable[[Rng], Case], semantics: str, seeds: int) -> set[int]:
    """The codes that occur in what is drawn, all of which must be LiteRT's."""
    seen: set[int] = set()
    for seed in range(seeds):
        model, inputs = draw(np.random.default_rng(seed))
        graph, found = codes_of(model, semantics, inputs)
        given = {v.name: x for v, x in zip(graph.inputs, inputs, strict=True)}
        values = evaluate(graph, given)
        expected = litert(model, semantics, *inputs)
        for output, codes, wanted in zip(graph.outputs, found, expected, strict=True):
            assert np.array_equal(codes, wanted)
            assert np.array_equal(values[output], wanted)
            seen.update(np.unique(wanted).tolist())
    return seen
