"""Lines 3 and 4 of the imports: QONNX against qonnx's executor, Brevitas against itself.

    python benchmarks/qonnx_brevitas.py [--json] [--line N]

Line 4 imports and exports some 600 modules, which takes minutes.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import onnx
from data import digits, folder
from report import Figure, main

import intaglio

IMAGES = 1000
MODELS = ("TFC_1W1A", "TFC_2W2A")
BITS = range(1, 9)
FLAGS = (True, False)


def line_3() -> list[Figure]:
    """QONNX: published networks at every quantizer, and a grid of single layers."""
    return [each for name in MODELS for each in published(name)] + layers()


def published(name: str) -> list[Figure]:
    """A network on MNIST: codes at every quantizer, accumulators of the logits, classes."""
    images, labels = (each[:IMAGES] for each in digits("mnist", "t10k"))
    model = onnx.load(folder() / "models" / "qonnx" / f"{name}.onnx")
    context = executed(model, images)
    network = intaglio.compile(model)
    trace = network.trace(images)
    by_node = {
        slot.origin: trace[slot.name] for slot in network.program.slots if slot.name in trace
    }
    ones = [node for node in model.graph.node if "Quant" in node.op_type and activates(model, node)]
    compared = unequal = 0
    for node in ones:
        codes = (
            np.asarray(by_node[node.name]) if node.name in by_node else input_codes(network, images)
        )
        expected = np.rint(context[node.output[0]] / context[node.input[1]])
        compared += expected.size
        unequal += int(np.count_nonzero(codes.reshape(expected.shape) != expected))
    logits, out = context[model.graph.output[0].name], network.run(images)
    accumulators = np.rint((logits - out.encoding.offset) / out.encoding.scale)
    classes = out.real.argmax(axis=1)
    return [
        Figure(f"{name}: codes compared at {len(ones)} quantizers, {IMAGES} images", compared),
        Figure(f"{name}: codes that differ from qonnx's executor", unequal, "", "==", 0),
        Figure(
            f"{name}: accumulators of logits that differ",
            int(np.count_nonzero(accumulators != out.codes)),
            "",
            "==",
            0,
        ),
        Figure(
            f"{name}: classes that differ",
            int(np.count_nonzero(classes != logits.argmax(axis=1))),
            "",
            "==",
            0,
        ),
        Figure(f"{name}: accuracy", 100 * float(np.mean(classes == labels)), "%"),
    ]


def activates(model: Any, node: Any) -> bool:
    """Whether a quantizer's operand is not a weight."""
    return node.input[0] not in {tensor.name for tensor in model.graph.initializer}


def input_codes(network: Any, images: Any) -> Any:
    """The codes of the one input: what the first quantizer of the model gives."""
    (codes,) = network.encode(images).values()
    return codes


def executed(model: Any, images: Any) -> dict[str, Any]:
    """Every tensor of a model by qonnx's executor, all images at once."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for value in (copy.graph.input[0], copy.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = len(images)
    wrapped = ModelWrapper(copy).transform(InferShapes())
    name = copy.graph.input[0].name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model states the shapes of one image
        found: dict[str, Any] = execute_onnx(wrapped, {name: images}, return_full_exec_context=True)
    return found


def layers() -> list[Figure]:
    """Single layers over widths, signs, granularity, roundings, operators and scales."""
    from tests.frontend.qonnx_cases import ROUNDINGS, Layer, compare

    totals: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    grid = product(BITS, FLAGS, FLAGS, ROUNDINGS, ("Conv", "MatMul"), FLAGS)
    for bits, signed, per_channel, rounding, operator, powers in grid:
        found = compare(
            Layer(bits, signed, per_channel, rounding, operator=operator, powers=powers)
        )
        totals[powers].update(
            layers=1, codes=found.codes, ours=found.ours, theirs=found.theirs, far=found.far
        )
    exact, any_scale = totals[True], totals[False]
    return [
        Figure("layers with scales that are powers of two", exact["layers"]),
        Figure("their codes", exact["codes"]),
        Figure("differ from qonnx's executor", exact["theirs"] + exact["ours"], "", "==", 0),
        Figure("layers with any scales", any_scale["layers"]),
        Figure("their codes", any_scale["codes"]),
        Figure("differ from the definition in rationals", any_scale["ours"], "", "==", 0),
        Figure("where qonnx's float32 differs from the definition", any_scale["theirs"]),
        Figure("of these, not within 2^-18 of an edge", any_scale["far"], "", "==", 0),
    ]


def line_4() -> list[Figure]:
    """Brevitas: one grid through three routes, and every kind of layer."""
    from tests.frontend.brevitas_cases import ROUTES, compare, expressible

    totals: dict[str, Counter[str]] = {route: Counter() for route in ROUTES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases():
            for route in ROUTES:
                if expressible(case, route):
                    found = compare(case, route)
                    exact = found.differ if case.powers else 0
                    totals[route].update(
                        layers=1, codes=found.codes, differ=found.differ, exact=exact, far=found.far
                    )
    return [each for route, total in totals.items() for each in routed(route, total)]


def routed(route: str, total: Counter[str]) -> list[Figure]:
    """The figures of one route."""
    return [
        Figure(f"{route}: layers", total["layers"]),
        Figure(f"{route}: codes", total["codes"]),
        Figure(f"{route}: differ, scales powers of two", total["exact"], "", "==", 0),
        Figure(f"{route}: differ, any scales", total["differ"] - total["exact"]),
        Figure(f"{route}: of these, not within 2^-18 of an edge", total["far"], "", "==", 0),
    ]


def cases() -> Iterator[Any]:
    """Convolutions over the grid, then every other layer at 4 bits."""
    from tests.frontend.brevitas_cases import LAYERS, ROUNDINGS, Case

    for bits, signed, per_channel, rounding, powers in product(
        BITS, FLAGS, FLAGS, ROUNDINGS, FLAGS
    ):
        if powers or rounding in ("ROUND", "CEIL"):
            yield Case(bits, signed, per_channel, rounding, powers=powers)
    for layer, signed, per_channel, powers in product(LAYERS, FLAGS, FLAGS, FLAGS):
        if layer != "conv2d":
            yield Case(4, signed, per_channel, layer=layer, powers=powers)


LINES = {"3": line_3, "4": line_4}

if __name__ == "__main__":
    main("QONNX and Brevitas", LINES)
