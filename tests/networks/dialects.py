"""For each dialect: its networks, and all that is compared of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from intaglio.errors import IntaglioError
from intaglio.frontend.onnx_import import import_onnx
from intaglio.ir.evaluate import walk
from intaglio.ir.graph import Graph
from intaglio.tests.networks import emit_qdq, emit_qoperator
from intaglio.tests.networks.build import build
from intaglio.tests.networks.check import (
    Stages,
    Tally,
    check_stages,
    input_codes,
    must_equal,
    staged,
)
from intaglio.tests.networks.executors import onnxruntime_codes
from intaglio.tests.networks.rational import Array
from intaglio.tests.networks.spec import Dialect, Network, Wishes


@dataclass(frozen=True)
class Trial:
    """A dialect and the check of its networks."""

    dialect: Dialect
    check: Callable[[Network], Tally]


REFUSALS = ("adds the", "No integers reproduce this addition of wide codes")
"""What the compiler says it cannot do, and does not do."""


def _qdq(network: Network) -> Tally:
    stages = staged(import_onnx(emit_qdq.emit_qdq(network)))
    return check_stages(stages, input_codes(network))


def _qoperator(network: Network) -> Tally:
    model = emit_qoperator.emit_qoperator(network)
    stages = staged(import_onnx(model))
    codes = input_codes(network)
    tally = check_stages(stages, codes)
    compare_with(stages, codes, onnxruntime_codes(model, codes), "onnxruntime", tally)
    return tally


def compare_with(
    stages: Stages,
    codes: Mapping[str, Array],
    expected: Mapping[str, Array],
    who: str,
    tally: Tally,
) -> None:
    """Every value that an executor, the imported graph and its integers have in common."""
    for what, graph in (("imported", stages.quantized), ("integer", stages.integers)):
        found = traced(graph, codes)
        ends = dict(zip(stages.quantized.outputs, graph.outputs, strict=True))
        for name, array in expected.items():
            held = ends.get(name, name)
            if held not in found:
                continue
            must_equal(f"'{name}' of the {what} graph against {who}", found[held], array)
            tally.codes[f"{what} = {who}"] += array.size


def traced(graph: Graph, codes: Mapping[str, Array]) -> dict[str, Array]:
    """Every value of a graph of integers."""
    return dict(codes) | {node.name: array for node, array in walk(graph, codes)}


TRIALS: dict[str, Trial] = {
    trial.dialect.name: trial
    for trial in (
        Trial(emit_qdq.DIALECT, _qdq),
        Trial(emit_qoperator.UNSIGNED, _qoperator),
        Trial(emit_qoperator.SIGNED, _qoperator),
    )
}


def check(name: str, wishes: Wishes) -> Tally | None:
    """All comparisons for the network of these wishes; None if the compiler refuses it.

    Raises AssertionError or MismatchError at a difference.
    """
    trial = TRIALS[name]
    network = build(wishes, trial.dialect)
    try:
        return trial.check(network)
    except IntaglioError as error:
        if any(text in error.what for text in REFUSALS):
            return None
        raise
