"""Pruning by magnitude beside ADMM, in as many epochs: what ``compile --baselines`` compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..api import Network
from ..errors import UsageError
from ..ir.graph import Graph
from ..ir.numeric import Array
from ..ir.ops_linear import Conv, Dense, GatherConv
from ..passes.admm import Admm
from ..passes.base import Pass
from ..passes.coded import decodes
from ..passes.magnitude import Magnitude
from ..passes.pipeline import PassRun, Pipeline
from ..passes.target import Target
from .learning import Score
from .terminal import Column, table

COLUMNS: tuple[Column, ...] = (
    ("method", "text"),
    ("rate", "right"),
    ("epochs", "right"),
    ("accuracy", "right"),
    ("bytes", "right"),
)
LINEAR = (Conv, Dense, GatherConv)
METHODS = ("one-shot magnitude", "gradual magnitude")


@dataclass(frozen=True, slots=True)
class Result:
    """One method: one weight in ``rate`` is left; ``accuracy`` is of the blob, in percent."""

    method: str
    rate: float
    epochs: int
    accuracy: float
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


Compile = Callable[[Pipeline, str], tuple[Network, Sequence[PassRun], Score]]
"""Compiles by a recipe, the second argument saying which in the progress."""


def baselines(recipe: Pipeline, compile_: Compile) -> Iterator[Result]:
    """What pruning by magnitude gives in place of each admm pass."""
    for method, gradual in zip(METHODS, (False, True), strict=True):
        other = by_magnitude(recipe, gradual=gradual)
        yield result(method, other, *compile_(other, method.split()[0]))


def result(
    method: str, recipe: Pipeline, network: Network, runs: Sequence[PassRun], score: Score
) -> Result:
    """The figures of one run."""
    epochs = sum(each.total_epochs for each in recipe.passes)
    return Result(method, rate(runs), epochs, score.percent, len(network.blob))


def check(recipe: Pipeline) -> None:
    """Raise UsageError for a recipe that has nothing to compare."""
    if not any(isinstance(each, Admm) and each.prunes for each in recipe.passes):
        raise UsageError(
            "Baselines take the place of admm passes that prune, and the recipe has none.",
            fix="Add one to the recipe, or leave out --baselines.",
        )


def by_magnitude(recipe: Pipeline, *, gradual: bool) -> Pipeline:
    """The recipe with magnitude in place of each admm pass; admm still codes where it did."""
    return Pipeline(tuple(new for each in recipe.passes for new in _instead(each, gradual)))


def _instead(each: Pass, gradual: bool) -> Iterator[Pass]:
    if not isinstance(each, Admm) or not each.prunes:
        yield each
        return
    coding = each.coding.total_epochs
    epochs = each.total_epochs - coding
    first = epochs // 2 if gradual else 0
    yield Magnitude(each.target, first, epochs - first, each.batch_norm, each.optimizer)
    if coding:
        yield replace(
            each, target=Target(rate=1.0), via=(), coding=replace(each.coding, joint=False)
        )


def rate(runs: Sequence[PassRun]) -> float:
    """All weights before training, divided by those that are not zero after it."""
    trained = [run for run in runs if run.pass_.needs_training]
    if not trained:
        return 1.0
    before = sum(codes.size for codes in _weights(trained[0].before))
    left = sum(int(np.count_nonzero(codes)) for codes in _weights(trained[-1].after))
    return before / max(left, 1)


def _weights(graph: Graph) -> Iterator[Array]:
    """The weights of linear layers, as reals or codes; zeros are 0 in both."""
    for node in graph.nodes:
        if isinstance(node.op, LINEAR):
            name = node.inputs[1]
            maker = graph.producers.get(name)
            if maker is not None and decodes(graph, maker):
                name = maker.inputs[0]
            if name in graph.constants:
                yield graph.constants[name].array


def show(results: Sequence[Result]) -> None:
    """Print the comparison."""
    rows = (
        (
            each.method,
            f"{each.rate:.1f}x",
            each.epochs,
            f"{each.accuracy:.2f} %",
            f"{each.bytes:,}",
        )
        for each in results
    )
    table(COLUMNS, rows)
