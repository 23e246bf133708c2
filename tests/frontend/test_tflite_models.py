"""The int8 models of MLPerf Tiny, whole: every code at every tensor equal to LiteRT's."""

import numpy as np
import pytest

pytest.importorskip("tflite", reason="the reader of TFLite files")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the oracle")

from intaglio.api import compile as compile_
from intaglio.api import import_model
from intaglio.errors import UsageError
from intaglio.ir.evaluate import walk

from .tflite_models import litert, traced

MODELS = ("pretrainedResnet_quant", "kws_ref_model")


@pytest.fixture(params=MODELS)
def model(request, data):
    return data / "models" / "mlperf_tiny" / f"{request.param}.tflite"


def samples(path, count):
    return np.load(path.with_suffix(".ref.npz"))["x"][:count]


def test_every_tensor_is_that_of_the_reference_kernels(model):
    """The graph's values, before any pass, in the file's order of axes."""
    graph = import_model(model)
    inputs = samples(model, 10)
    values = {node.name: x for node, x in walk(graph, {graph.inputs[0].name: inputs})}
    expected = traced(model.read_bytes(), inputs)
    compared = 0
    for name, wanted in expected.items():
        if name in values:
            found = values[name]
            moved = np.moveaxis(found, 1, -1) if wanted.ndim == 4 else found
            assert np.array_equal(found if found.shape == wanted.shape else moved, wanted), name
            compared += 1
    assert compared == len(expected)


@pytest.mark.parametrize("semantics", ["tflite", "xnnpack"])
def test_the_compiled_network_is_litert(model, semantics):
    net = compile_(model, semantics=semantics)
    inputs = samples(model, 200)
    stored = np.load(model.with_suffix(".ref.npz"))[
        f"y_{'ref' if semantics == 'tflite' else semantics}"
    ]
    assert np.array_equal(np.asarray(net.run(inputs)), stored)
    first = litert(model.read_bytes(), semantics, inputs[:20])[0]
    assert np.array_equal(np.asarray(net.run(inputs[:20])), first)
    verdicts = {each.verdict for each in net.certificates.values()}
    assert verdicts <= {"exact", "certified", "table"}


def test_exact_arithmetic_is_near_both(model):
    net = compile_(model, semantics="onnx")
    inputs = samples(model, 100)
    found = np.asarray(net.run(inputs)).argmax(1)
    stored = np.load(model.with_suffix(".ref.npz"))["y_xnnpack"][:100].argmax(1)
    assert np.mean(found == stored) >= 0.98


def test_unknown_semantics_are_refused(model):
    with pytest.raises(UsageError) as caught:
        import_model(model, semantics="neon")
    assert str(caught.value) == (
        "semantics: There are no semantics 'neon'. Choose one of tflite, xnnpack, onnx."
    )
