"""The ``onnx`` semantics of TFLite: every code equal to exact arithmetic on rationals."""

import numpy as np
import pytest

pytest.importorskip("tflite", reason="the reader of TFLite files")
pytest.importorskip("ai_edge_litert", reason="LiteRT's schema writes the files")

from intaglio.errors import PassError
from intaglio.frontend.tflite.importer import import_tflite
from intaglio.ir.ops_quant import Dequantize, Quantize

from ..networks.check import check_stages, staged
from . import tflite_cases, tflite_wide_cases
from .tflite_models import Written, litert

SAMPLES = 6
SEEDS = {"int8": 2, "int16": 1}
TWO_COMPUTED = ("add", "sub")
CASES = [
    *(("int8", name, draw) for name, draw in tflite_cases.CASES.items()),
    *(
        ("int16", name, draw)
        for name, draw in tflite_wide_cases.CASES.items()
        if name not in TWO_COMPUTED
    ),
]
DISTANCES = {("int16", "bilinear"): 128, ("int16", "tanh"): 3}
"""How many codes LiteRT may be away where its own approximation is coarser than its codes."""


@pytest.mark.parametrize(("dtype", "name", "draw"), CASES, ids=[f"{d} {n}" for d, n, _ in CASES])
def test_codes_are_those_of_exact_arithmetic(dtype, name, draw):
    for seed in range(SEEDS[dtype]):
        model, inputs = draw(np.random.default_rng(seed))
        inputs = [array[:SAMPLES] for array in inputs]
        graph = import_tflite(model, semantics="onnx")
        codes = dict(zip([value.name for value in graph.inputs], inputs, strict=True))
        stages = staged(graph)
        tally = check_stages(stages, codes)
        if dtype == "int8":
            assert set(tally.verdicts) <= {"exact", "certified", "table"}
            assert tally.codes["program = meaning"] > 0
        found = stages.network.simulate(codes).values()
        for got, near in zip(found, litert(model, "tflite", *inputs), strict=True):
            distance = np.abs(np.asarray(got, np.int64) - near).max()
            assert distance <= DISTANCES.get((dtype, name), 1)


@pytest.mark.parametrize("name", TWO_COMPUTED)
def test_sums_of_two_tensors_of_16_bits_are_refused_unless_their_scales_fit(name):
    model, _ = tflite_wide_cases.CASES[name](np.random.default_rng(0))
    with pytest.raises(PassError) as caught:
        staged(import_tflite(model, semantics="onnx"))
    assert str(caught.value) == (
        f"Node '{name.upper()}:0' (quantize): No integers reproduce this addition of wide codes "
        "exactly. (in pass 'lower'; passes done: canonicalize) Use activations of at most 8 bits, or "
        "scales that are powers of two."
    )


def test_a_bias_is_the_number_that_the_file_states():
    """Its codes with its own scale, as those of a QDQ model; not with the product of two others."""
    w = Written()
    x, y = w.tensor((1, 2), "int8", 0.1), w.tensor((1, 1), "int8", 0.3)
    weight = w.tensor((1, 2), "int8", 0.01, 0, [[1, 2]])
    bias = w.tensor((1,), "int32", 0.002, 0, [7])
    w.operator("FULLY_CONNECTED", [x, weight, bias], [y])
    graph = import_tflite(w.model([x], [y]), semantics="onnx")
    scales = [
        float(graph.constants[node.inputs[1]].array)
        for node in graph.nodes
        if isinstance(node.op, Dequantize | Quantize)
    ]
    assert np.float32(0.002) in scales


def test_a_prelu_may_fall():
    """Negative slopes: per channel no threshold says so, but a table does."""
    w = Written()
    x, y = w.tensor((1, 2, 2, 3), "int8", 0.1, 3), w.tensor((1, 2, 2, 3), "int8", 0.1, -9)
    slope = w.tensor((1, 1, 3), "int8", 0.01, 0, [50, -50, -120])
    w.operator("PRELU", [x, slope], [y])
    model = w.model([x], [y])
    codes = tflite_cases.codes(np.random.default_rng(0), (1, 2, 2, 3), count=400)
    for semantics in ("tflite", "xnnpack", "onnx"):
        stages = staged(import_tflite(model, semantics=semantics))
        (found,) = stages.network.simulate({"tensor0": codes}).values()
        wanted = litert(model, "xnnpack" if semantics == "xnnpack" else "tflite", codes)[0]
        assert np.abs(found.astype(int) - wanted).max() <= (semantics == "onnx")
