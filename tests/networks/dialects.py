"""For each dialect: its networks, and all that is compared of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from intaglio.errors import IntaglioError
from intaglio.ir.evaluate import walk
from intaglio.ir.graph import Graph

from .build import build
from .check import (
    SAMPLES,
    Stages,
    Tally,
    check_stages,
    input_codes,
    input_value,
    must_equal,
    staged,
)
from .executors import litert_codes, onnxruntime_codes, qonnx_values
from .float_check import compare_floats
from .rational import Array
from .spec import Dialect, Network, Wishes

REFUSALS = (
    "onnxruntime adds the",
    "No integers reproduce this addition of wide codes",
    "none of which stands for 0",
    "XNNPACK leaves it to a kernel that is not reproduced",
    "which TFLite cannot add by shifts",
    "so far apart that TFLite refuses to add them",
    "beyond 32 bits",
    "overflow TFLite's 32 bits",
    "overflows TFLite's 32 bits",
    "out of the range of its multipliers",
)
"""What the compiler says it cannot do, and does not do."""
UNFIT = ("parameter out of computation range", "failed to prepare")
"""What executors say of scales: onnxruntime of an average's, LiteRT of a sum's of 16-bit codes."""


def _qdq(network: Network) -> Tally:
    from intaglio.frontend.onnx.importer import import_onnx

    from .emit_qdq import emit_qdq

    stages = staged(import_onnx(emit_qdq(network)))
    return check_stages(stages, input_codes(network))


def _float(network: Network) -> Tally:
    """Calibrated with bit widths that depend on the network."""
    from intaglio.frontend.onnx.importer import import_onnx

    from .emit_float import data_for, emit_float

    number = len(network.layers)
    bits = {"weight_bits": (8, 8, 4, 5)[number % 4], "activation_bits": (8, 8, 8, 6, 4)[number % 5]}
    stages = staged(import_onnx(emit_float(network)), data_for(network), **bits)
    (slot,) = stages.network.inputs
    lo, hi = slot.type.dtype.lo, slot.type.dtype.hi
    rng = np.random.default_rng(number)
    codes = rng.integers(lo, hi + 1, (SAMPLES, *network.shape)).astype(slot.type.dtype.container)
    return check_stages(stages, {"v0": codes})


def _qoperator(network: Network) -> Tally:
    from intaglio.frontend.onnx.importer import import_onnx

    from .emit_qoperator import emit_qoperator

    model = emit_qoperator(network)
    stages = staged(import_onnx(model))
    codes = input_codes(network)
    tally = check_stages(stages, codes)
    compare_codes(stages, codes, onnxruntime_codes(model, codes), "onnxruntime", tally)
    return tally


def _tflite(network: Network) -> Tally:
    from intaglio.frontend.tflite.importer import import_tflite

    from .emit_tflite import emit_tflite, file_order

    model = emit_tflite(network)
    stages = staged(import_tflite(model))
    codes = {name: file_order(array) for name, array in input_codes(network).items()}
    tally = check_stages(stages, codes)
    compare_codes(stages, codes, litert_codes(model, codes["v0"]), "LiteRT", tally)
    return tally


def _xnnpack(network: Network) -> Tally:
    """The outputs only: the runtime keeps nothing else."""
    from intaglio.frontend.tflite.importer import import_tflite

    from ..frontend.tflite_models import litert
    from .emit_tflite import emit_tflite, file_order

    model = emit_tflite(network)
    stages = staged(import_tflite(model, semantics="xnnpack"))
    codes = {name: file_order(array) for name, array in input_codes(network).items()}
    tally = check_stages(stages, codes)
    found = litert(model, "xnnpack", codes["v0"])
    expected = dict(zip((f"v{each}" for each in network.outputs), found, strict=True))
    compare_codes(stages, codes, expected, "LiteRT", tally)
    return tally


def _qonnx(network: Network) -> Tally:
    from intaglio.frontend.onnx.importer import import_onnx

    from .emit_qonnx import emit_qonnx

    model = emit_qonnx(network, SAMPLES)
    stages = staged(import_onnx(model))
    codes = input_codes(network)
    tally = check_stages(stages, codes)
    given = {"v0": input_value(stages.quantized, stages.integers, "v0", codes)}
    found = qonnx_values(model, real_input(network, codes["v0"]))
    compare_floats(stages.quantized, given, found, tally, "qonnx")
    return tally


def _brevitas(network: Network) -> Tally:
    """Points of the graph and quantizers of the module follow one another in the same order."""
    import torch

    from intaglio.frontend.torch.importer import import_torch

    from .emit_brevitas import emit_brevitas, observed

    module, (first,) = emit_brevitas(network), input_codes(network).values()
    x = real_input(network, first)
    graph = import_torch(module, (torch.from_numpy(x),))
    codes = {graph.inputs[0].name: first}
    stages = staged(graph)
    tally = check_stages(stages, codes)
    backs = {node.inputs[0]: node for node in graph.nodes if node.op.name == "dequantize"}
    points = [node for node in graph.nodes if node.op.name == "quantize"]
    reals = {}
    for point, before, after in zip(points, *observed(module, x), strict=True):
        reals[point.inputs[0]] = before
        reals[backs[point.name].name] = after
    given = {name: input_value(graph, stages.integers, name, codes) for name in codes}
    compare_floats(graph, given, reals, tally, "brevitas")
    return tally


def real_input(network: Network, codes: Array) -> Array:
    """What codes of the input stand for, float32."""
    return network.grid.decode(codes.astype(np.float64)).astype(np.float32)


def compare_codes(
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


@dataclass(frozen=True)
class Trial:
    """Where the dialect is described, the check of a network, and the package it needs."""

    emitter: str
    constant: str
    check: Callable[[Network], Tally]
    package: str = "onnx"

    @property
    def dialect(self) -> Dialect:
        module = import_module(f".{self.emitter}", __package__)
        found: Dialect = getattr(module, self.constant)
        return found


TRIALS = {
    "qdq": Trial("emit_qdq", "DIALECT", _qdq),
    "qdq 16 bits": Trial("emit_qdq", "WIDE", _qdq),
    "qoperator uint8": Trial("emit_qoperator", "UNSIGNED", _qoperator, "onnxruntime"),
    "qoperator int8": Trial("emit_qoperator", "SIGNED", _qoperator, "onnxruntime"),
    "qonnx": Trial("emit_qonnx", "DIALECT", _qonnx, "qonnx"),
    "tflite": Trial("emit_tflite", "DIALECT", _tflite, "ai_edge_litert"),
    "tflite xnnpack": Trial("emit_tflite", "DIALECT", _xnnpack, "ai_edge_litert"),
    "tflite 16 bits": Trial("emit_tflite", "WIDE", _tflite, "ai_edge_litert"),
    "brevitas": Trial("emit_brevitas", "DIALECT", _brevitas, "brevitas"),
    "float": Trial("emit_float", "DIALECT", _float),
}


def check(name: str, wishes: Wishes) -> Tally | None:
    """All comparisons for the network of these wishes; None if compiler or executor refuse it.

    Raises AssertionError or MismatchError at a difference.
    """
    trial = TRIALS[name]
    network = build(wishes, trial.dialect)
    try:
        tally = trial.check(network)
        tally.kinds.update(layer.kind for layer in network.layers)
        return tally
    except IntaglioError as error:
        if any(text in error.what for text in REFUSALS):
            return None
        raise
    except Exception as error:
        if any(text in str(error) for text in UNFIT):
            return None
        raise
