"""Single operators of TFLite: every code equal to LiteRT's, by reference kernels and by default."""

import numpy as np
import pytest

pytest.importorskip("tflite", reason="the reader of TFLite files")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the oracle")

from intaglio.api import compile as compile_
from intaglio.errors import ImportModelError
from intaglio.frontend.tflite.importer import TRANSLATORS, import_tflite

from .tflite_cases import CASES, codes, scale, wide_bias
from .tflite_compare import codes_of, codes_that_agree
from .tflite_models import SAME, Written, litert

SEEDS = 4
RUNTIMES = ("tflite", "xnnpack")


@pytest.mark.parametrize("semantics", RUNTIMES)
@pytest.mark.parametrize("name", CASES)
def test_codes_are_those_of_litert(name, semantics):
    assert len(codes_that_agree(CASES[name], semantics, SEEDS)) > 8


def test_every_operator_is_tried():
    from intaglio.frontend.tflite.read import read_model

    tried = {
        operator.kind
        for draw in CASES.values()
        for operator in read_model(draw(np.random.default_rng(0))[0]).operators
    }
    assert set(TRANSLATORS) - tried == {"DEQUANTIZE"}


def test_a_kernel_smaller_than_its_strides_is_not_xnnpacks():
    w = Written()
    x = w.tensor((1, 3, 3, 2), "int8", 0.1, 3)
    weight = w.tensor((2, 1, 1, 2), "int8", 0.01, 0, np.ones((2, 1, 1, 2)))
    y = w.tensor((1, 6, 6, 2), "int8", 0.1, 3)
    operands = [w.ints([1, 6, 6, 2]), weight, x]
    w.operator("TRANSPOSE_CONV", operands, [y], padding=SAME, strideH=2, strideW=2)
    model = w.model([x], [y])
    inputs = [np.arange(18).astype(np.int8).reshape(1, 3, 3, 2)]
    assert np.array_equal(codes_of(model, "tflite", inputs)[1], litert(model, "tflite", *inputs))
    with pytest.raises(ImportModelError) as caught:
        import_tflite(model, semantics="xnnpack")
    assert str(caught.value) == (
        "Operator 0 (TRANSPOSE_CONV): Its kernel (1, 1) is smaller than its strides (2, 2): XNNPACK "
        "leaves it to a kernel that is not reproduced. Use semantics 'tflite'."
    )


def ends(dtype):
    """Reals that are quantized, flattened, multiplied and dequantized."""
    rng = np.random.default_rng(5)
    w = Written()
    step, zero, out = (0.0375, 7, -3) if dtype == "int8" else (0.0003, 0, 0)
    x = w.tensor((1, 3, 4, 2), "float32")
    q = w.tensor((1, 3, 4, 2), dtype, step, zero)
    flat = w.tensor((1, 24), dtype, step, zero)
    weight = w.tensor((5, 24), "int8", 0.0125, 0, rng.integers(-127, 128, (5, 24)))
    bias = w.tensor((5,), wide_bias(dtype), step * 0.0125, 0, rng.integers(-900, 900, 5))
    y = w.tensor((1, 5), dtype, scale(rng, 0.2, 0.3, dtype), out)
    z = w.tensor((1, 5), "float32")
    w.operator("QUANTIZE", [x], [q])
    w.operator("RESHAPE", [q, w.ints([-1, 24])], [flat])
    w.operator("FULLY_CONNECTED", [flat, weight, bias], [y])
    w.operator("DEQUANTIZE", [y], [z])
    return w.model([x], [z]), rng.normal(0, 3, (50, 3, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("semantics", RUNTIMES)
def test_reals_at_the_ends_become_codes_at_the_ends(semantics, dtype):
    model, reals = ends(dtype)
    graph = import_tflite(model, semantics=semantics)
    net = compile_(graph)
    found = net.run(reals)
    assert np.array_equal(found.real.astype(np.float32), litert(model, semantics, reals)[0])


def test_shapes_that_are_computed_are_those_of_the_file():
    """Keras flattens by shape, strided_slice and pack: only the result's shape matters."""
    w = Written()
    x = w.tensor((1, 2, 3, 4), "int8", 0.1, 0)
    shape, first = w.tensor((4,), "int32"), w.tensor((), "int32")
    packed = w.tensor((2,), "int32")
    y = w.tensor((1, 24), "int8", 0.1, 0)
    w.operator("SHAPE", [x], [shape], outType=2)
    bounds = [w.ints([0]), w.ints([1]), w.ints([1])]
    w.operator("STRIDED_SLICE", [shape, *bounds], [first], shrinkAxisMask=1)
    w.operator("PACK", [first, w.ints(24)], [packed], valuesCount=2)
    w.operator("RESHAPE", [x, packed], [y])
    model = w.model([x], [y])
    inputs = [np.arange(48).astype(np.int8).reshape(2, 2, 3, 4)]
    assert np.array_equal(codes_of(model, "tflite", inputs)[1], litert(model, "tflite", *inputs))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("semantics", RUNTIMES)
@pytest.mark.parametrize(("shape", "axes"), [((1, 4, 5, 3), [1, 2, 3]), ((1, 7), [1])])
def test_a_mean_may_leave_one_number_of_each_sample(semantics, shape, axes, dtype):
    w = Written()
    x, y = w.tensor(shape, dtype, 0.01), w.tensor((1,), dtype, 0.005)
    w.operator("MEAN", [x, w.ints(axes)], [y], keepDims=False)
    model = w.model([x], [y])
    inputs = [codes(np.random.default_rng(0), shape, dtype, 40)]
    graph, found = codes_of(model, semantics, inputs)
    assert graph.type_of(graph.outputs[0]).sample_shape == ()
    assert np.array_equal(found, litert(model, semantics, *inputs))
