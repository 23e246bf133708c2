"""Comparing an imported graph with the executor that its source format trusts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MismatchError
from ..ir.evaluate import evaluate
from ..ir.graph import Graph
from ..ir.numeric import Array, NumericType
from .executor import NoExecutorError

Inputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output is from the executor's: at most, and as a part of its range."""

    output: str
    absolute: float
    relative: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The graph against ``executor``, output by output."""

    executor: str
    outputs: tuple[Difference, ...]

    @property
    def worst(self) -> Difference:
        """The output that differs most, relative to its range."""
        return max(self.outputs, key=lambda difference: difference.relative)

    def __str__(self) -> str:
        worst = self.worst
        return (
            f"{self.executor}: greatest difference {worst.absolute:.2g}, {worst.relative:.2g} of "
            f"the range, in output '{worst.output}'"
        )


def random_inputs(graph: Graph, batch: int, seed: int = 0) -> dict[str, Array]:
    """Inputs by name, ``batch`` samples of each: standard normal reals, or any codes."""
    rng = np.random.default_rng(seed)
    return {
        value.name: _random(rng, value.type.dtype, (batch, *value.type.sample_shape))
        for value in graph.inputs
    }


def _random(rng: np.random.Generator, dtype: NumericType, shape: tuple[int, ...]) -> Array:
    if not dtype.is_integer:
        return rng.standard_normal(shape, dtype=np.float32)
    return rng.integers(dtype.lo, dtype.hi, shape, endpoint=True).astype(dtype.container)


def compare_onnx(
    source: str | Path | Any, graph: Graph, inputs: Inputs | None = None, *, seed: int = 0
) -> Comparison:
    """Run ``graph`` and the ONNX model it was imported from, on random inputs if none are given.

    The executor is onnxruntime where installed, else onnx.reference, and qonnx of QONNX models;
    tensors are matched by name, so a graph that stops at inner tensors is compared there. Raises
    MismatchError when the shapes of an output differ, NoExecutorError when the executor refuses.
    """
    from .onnx.execute import Session

    session = Session.open(source, graph.outputs)
    given = random_inputs(graph, 2 * (session.batch or 1), seed) if inputs is None else inputs
    return compare(session.name, graph, given, session.run(given))


def compare_tflite(
    path: Path, graph: Graph, semantics: str, inputs: Inputs | None = None, *, seed: int = 0
) -> Comparison:
    """Run ``graph`` and the TFLite model it was imported from with LiteRT.

    Outputs are matched by their order. Raises MismatchError when their shapes differ,
    NoExecutorError without LiteRT.
    """
    from .tflite.execute import execute, litert_is_there

    if not litert_is_there():
        raise NoExecutorError("install ai-edge-litert to compare it with LiteRT")
    given = random_inputs(graph, 2, seed) if inputs is None else inputs
    name, results = execute(path, semantics, {each.name: given[each.name] for each in graph.inputs})
    return compare(name, graph, given, dict(zip(graph.outputs, results, strict=True)))


def compare_torch(
    module: Any, graph: Graph, inputs: Inputs | None = None, *, seed: int = 0
) -> Comparison:
    """Run ``graph`` and the torch module it was imported from, on random inputs if none are given.

    Outputs are matched by their order. Raises MismatchError when their shapes differ.
    """
    from .torch.execute import execute

    given = random_inputs(graph, 2, seed) if inputs is None else inputs
    name, results = execute(module, [given[value.name] for value in graph.inputs])
    return compare(name, graph, given, dict(zip(graph.outputs, results, strict=True)))


def compare(
    executor: str, graph: Graph, inputs: Inputs, expected: Mapping[str, Array]
) -> Comparison:
    """The differences between ``graph`` on ``inputs`` and what ``executor`` gave."""
    found = evaluate(graph, inputs)
    outputs = tuple(_difference(name, expected[name], found[name]) for name in graph.outputs)
    return Comparison(executor, outputs)


def _difference(name: str, expected: Array, found: Array) -> Difference:
    if expected.shape != found.shape:
        raise MismatchError(
            f"The executor gives the shape {expected.shape} and the graph {found.shape}.",
            where=f"Output '{name}'",
            fix="Please report this with the model: the import is wrong.",
        )
    wide, same = (
        expected.astype(np.float64),
        (expected == found) | np.isnan(expected) & np.isnan(found),
    )
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(wide - found))
    absolute = float(np.max(distance, initial=0.0))
    finite = wide[np.isfinite(wide)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    span = span or float(np.max(np.abs(finite), initial=0.0))
    return Difference(name, absolute, absolute / span if span else absolute)
