"""For each dialect: its networks, and all that is compared of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from intaglio.errors import IntaglioError
from intaglio.frontend.onnx_import import import_onnx
from intaglio.frontend.tflite_import import import_tflite
from intaglio.ir.evaluate import walk
from intaglio.ir.graph import Graph
from intaglio.tests.networks import emit_float, emit_qdq, emit_qonnx, emit_qoperator, emit_tflite
from intaglio.tests.networks.build import build
from intaglio.tests.networks.check import (
    SAMPLES,
    Stages,
    Tally,
    check_stages,
    input_codes,
    must_equal,
    staged,
)
from intaglio.tests.networks.executors import litert_codes, onnxruntime_codes
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


def _tflite(network: Network) -> Tally:
    model = emit_tflite.emit_tflite(network)
    stages = staged(import_tflite(model))
    codes = {name: emit_tflite.file_order(array) for name, array in input_codes(network).items()}
    tally = check_stages(stages, codes)
    compare_with(stages, codes, litert_codes(model, codes["v0"]), "LiteRT", tally)
    return tally


def _float(network: Network) -> Tally:
    """Calibrated with bit widths that depend on the network."""
    number = len(network.layers)
    bits = {"weight_bits": (8, 8, 4, 5)[number % 4], "activation_bits": (8, 8, 8, 6, 4)[number % 5]}
    graph = import_onnx(emit_float.emit_float(network))
    stages = staged(graph, emit_float.data_for(network), **bits)
    (slot,) = stages.network.inputs
    lo, hi = slot.type.dtype.lo, slot.type.dtype.hi
    rng = np.random.default_rng(number)
    codes = rng.integers(lo, hi + 1, (SAMPLES, *network.shape)).astype(slot.type.dtype.container)
    return check_stages(stages, {"v0": codes})


def _qonnx(network: Network) -> Tally:
    model = emit_qonnx.emit_qonnx(network, SAMPLES)
    stages = staged(import_onnx(model))
    return check_stages(stages, input_codes(network))


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
                assert name not in ends, f"output '{name}' was not compared"
                continue
            own = found[held]
            if who == "LiteRT" and own.ndim == 4 and held not in graph.outputs:
                own = in_order_of(array, own)
            must_equal(f"'{name}' of the {what} graph against {who}", own, array)
            tally.codes[f"{what} = {who}"] += array.size


def in_order_of(array: Array, own: Array) -> Array:
    """An inner image, of which only the names are known, in the file's order of axes."""
    moved = own.transpose(0, 2, 3, 1)
    return moved if moved.shape == array.shape and np.array_equal(moved, array) else own


def traced(graph: Graph, codes: Mapping[str, Array]) -> dict[str, Array]:
    """Every value of a graph of integers."""
    return dict(codes) | {node.name: array for node, array in walk(graph, codes)}


TRIALS: dict[str, Trial] = {
    trial.dialect.name: trial
    for trial in (
        Trial(emit_qdq.DIALECT, _qdq),
        Trial(emit_qoperator.UNSIGNED, _qoperator),
        Trial(emit_qoperator.SIGNED, _qoperator),
        Trial(emit_tflite.DIALECT, _tflite),
        Trial(emit_float.DIALECT, _float),
        Trial(emit_qonnx.DIALECT, _qonnx),
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
