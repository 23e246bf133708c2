"""QOperator models: every code of the imported graph equals onnxruntime's."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.evaluate import evaluate
from intaglio.passes.base import Context
from intaglio.passes.pipeline import default_pipeline

ort = pytest.importorskip("onnxruntime", reason="the arithmetic is onnxruntime's")

MICROSOFT = "com.microsoft"
F32 = np.float32
TYPES = pytest.mark.parametrize("codes", [np.uint8, np.int8], ids=["uint8", "int8"])


def model_of(node, inputs, weights, opset=17):
    """A model of one node whose inputs are codes; ``inputs`` gives their arrays."""
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), ["n", *array.shape[1:]]
        )
        for name, array in inputs.items()
    ]
    stored = [numpy_helper.from_array(np.asarray(a), name) for name, a in weights.items()]
    outputs = [ValueInfoProto(name=node.output[0])]
    graph = helper.make_graph([node], "one", values, outputs, stored)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def executed(model, inputs):
    """What onnxruntime gives, without its optimizations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


def check(operator, inputs, weights, order, domain=MICROSOFT, **attributes):
    """The imported graph, after its codes equalled onnxruntime's."""
    node = helper.make_node(operator, order, ["result"], "node", domain=domain, **attributes)
    model = model_of(node, inputs, weights)
    graph = import_onnx(model)
    expected = executed(model, inputs)
    (found,) = evaluate(graph, inputs).values()
    assert found.shape == expected.shape
    assert (found == expected).all(), f"{np.sum(found != expected)} of {found.size} differ"
    integers = default_pipeline("quantized").run(graph, Context())
    (output,) = integers.outputs
    (lowered,) = evaluate(integers, inputs).values()
    encoding = integers.values[output].encoding
    if expected.dtype == F32 and encoding is not None:
        lowered = encoding.decode(lowered).astype(F32)
    assert (lowered == expected).all(), f"{np.sum(lowered != expected)} differ after lowering"
    return graph


class Draw:
    """Random codes and their parameters."""

    def __init__(self, seed, codes):
        self.rng = np.random.default_rng(seed)
        self.codes = codes
        self.ends = np.iinfo(codes)

    def tensor(self, *shape):
        return self.rng.integers(self.ends.min, self.ends.max + 1, shape).astype(self.codes)

    def scale(self, lo=0.002, hi=0.05):
        return F32(self.rng.uniform(lo, hi))

    def zero(self):
        return self.tensor().reshape(())


def parameters(draw, names, **scales):
    """Scales and zero points: ``x`` gives ``x_s`` and ``x_z``."""
    found = {}
    for name in names:
        found[f"{name}_s"] = np.asarray(scales.get(name, draw.scale()))
        found[f"{name}_z"] = draw.zero()
    return found


@TYPES
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize(
    ("shape", "kernel", "attributes"),
    [
        ((3, 9, 8), (6, 3, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ((6, 7, 7), (6, 1, 3, 3), {"group": 6, "auto_pad": "SAME_UPPER"}),
        ((4, 9, 9), (8, 2, 2, 3), {"group": 2, "dilations": [2, 2]}),
        ((5, 12), (7, 5, 3), {"pads": [1, 2]}),
    ],
)
def test_convolutions(codes, per_channel, shape, kernel, attributes):
    draw = Draw(len(shape) + kernel[0], codes)
    x, count = draw.tensor(2, *shape), kernel[0] if per_channel else 1
    weights = {
        **parameters(draw, "xy", y=draw.scale(0.05, 0.4)),
        "w": draw.rng.integers(-128, 128, kernel).astype(np.int8),
        "w_s": draw.rng.uniform(0.001, 0.02, count).astype(F32),
        "w_z": draw.rng.integers(-2, 3, count).astype(np.int8) * (not per_channel),
        "b": draw.rng.integers(-5000, 5000, kernel[0]).astype(np.int32),
    }
    order = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z", "b"]
    check("QLinearConv", {"x": x}, weights, order, "", **attributes)


def test_a_convolution_with_unsigned_weights_and_without_bias():
    draw = Draw(8, np.uint8)
    weights = {**parameters(draw, "xwy", y=draw.scale(0.05, 0.4)), "w": draw.tensor(6, 3, 3, 3)}
    order = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z"]
    check("QLinearConv", {"x": draw.tensor(2, 3, 9, 9)}, weights, order, "")


@pytest.mark.parametrize("shape", [(20,), (3, 20), (2, 3, 20)])
@pytest.mark.parametrize("per_column", [False, True], ids=["tensor", "column"])
@TYPES
def test_matrix_products_with_a_constant(codes, shape, per_column):
    draw = Draw(len(shape), codes)
    count = (6,) if per_column else ()
    weights = {
        **parameters(draw, "xy", y=draw.scale(0.05, 0.4)),
        "w": draw.rng.integers(-128, 128, (20, 6)).astype(np.int8),
        "w_s": draw.rng.uniform(0.001, 0.02, count).astype(F32),
        "w_z": draw.rng.integers(-2, 3, count).astype(np.int8),
    }
    order = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z"]
    check("QLinearMatMul", {"x": draw.tensor(40, *shape)}, weights, order, "")


@TYPES
def test_matrix_products_of_two_activations(codes):
    draw = Draw(3, codes)
    weights = parameters(draw, "xwy", y=draw.scale(0.05, 0.4))
    order = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z"]
    inputs = {"x": draw.tensor(9, 2, 5, 7), "w": draw.tensor(9, 2, 7, 4)}
    check("QLinearMatMul", inputs, weights, order, "")


@TYPES
@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [None, (1,), (1, 6), (6,)])
def test_gemm(codes, turned, bias):
    draw = Draw(4 + turned, codes)
    weights = {
        **parameters(draw, "xy", y=draw.scale(0.05, 0.4)),
        "w": draw.rng.integers(-128, 128, (6, 20) if turned else (20, 6)).astype(np.int8),
        "w_s": draw.rng.uniform(0.001, 0.02, 6).astype(F32),
        "w_z": np.zeros(6, np.int8),
    }
    if bias is not None:
        weights["b"] = draw.rng.integers(-5000, 5000, bias).astype(np.int32)
    order = ["x", "x_s", "x_z", "w", "w_s", "w_z", "" if bias is None else "b", "y_s", "y_z"]
    check("QGemm", {"x": draw.tensor(50, 20)}, weights, order, alpha=0.7, transB=turned)


@TYPES
def test_a_gemm_without_a_scale_of_its_result_gives_accumulators(codes):
    draw = Draw(5, codes)
    weights = {
        **parameters(draw, "x"),
        "w": draw.rng.integers(-128, 128, (20, 6)).astype(np.int8),
        "w_s": F32(0.01),
        "w_z": np.int8(0),
        "b": draw.rng.integers(-5000, 5000, 6).astype(np.int32),
    }
    order = ["x", "x_s", "x_z", "w", "w_s", "w_z", "b"]
    check("QGemm", {"x": draw.tensor(50, 20)}, weights, order)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_integer_products_and_convolutions_give_accumulators(zeros):
    draw = Draw(6, np.uint8)
    given = {"x_z": draw.zero(), "w_z": np.int8(3)}
    order = ["x", "w", *list(given)[:zeros]]
    kept = dict(list(given.items())[:zeros])
    w = draw.rng.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
    x = draw.tensor(3, 3, 8, 8)
    check("ConvInteger", {"x": x}, {"w": w, **kept}, order, "", pads=[1, 1, 1, 1])
    matrix = draw.rng.integers(-128, 128, (20, 6)).astype(np.int8)
    check("MatMulInteger", {"x": draw.tensor(5, 3, 20)}, {"w": matrix, **kept}, order, "")


BINARY = ["x", "x_s", "x_z", "y", "y_s", "y_z", "r_s", "r_z"]


@TYPES
@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
def test_binary_operators_on_every_pair(codes, operator):
    draw = Draw(7, codes)
    every = np.arange(draw.ends.min, draw.ends.max + 1).astype(codes)
    pairs = [each.reshape(64, 1024) for each in np.meshgrid(every, every)]
    result = draw.scale() if operator == "QLinearAdd" else draw.scale() / 8
    weights = parameters(draw, "xyr", r=result)
    graph = check(operator, dict(zip("xy", pairs, strict=True)), weights, BINARY)
    assert graph.nodes[-1].value.encoding is not None
    assert graph.nodes[-1].value.encoding.scale == weights["r_s"]


@TYPES
@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1), (6,), (5, 1)])
@pytest.mark.parametrize("first", [False, True], ids=["second", "first"])
def test_binary_operators_with_a_constant(codes, operator, shape, first):
    draw = Draw(len(shape), codes)
    scale = draw.scale()
    result = scale if operator == "QLinearAdd" else scale / 8
    weights = parameters(draw, "xyr", x=scale, y=scale * F32(0.7), r=result)
    weights["y"] = draw.tensor(*shape)
    order = [*BINARY[3:6], *BINARY[:3], *BINARY[6:]] if first else BINARY
    check(operator, {"x": draw.tensor(70, 4, 5, 6)}, weights, order)


@TYPES
@pytest.mark.parametrize(
    "shapes", [((4, 1, 1), (4, 6, 6)), ((4, 5, 6), (1, 5, 6)), ((4, 3), (4, 1))]
)
def test_a_sum_repeats_axes_of_size_one(codes, shapes):
    draw = Draw(18, codes)
    inputs = {name: draw.tensor(400, *shape) for name, shape in zip("xy", shapes, strict=True)}
    check("QLinearAdd", inputs, parameters(draw, "xyr"), BINARY)


@TYPES
def test_a_product_repeats_axes_of_size_one(codes):
    draw = Draw(9, codes)
    weights = parameters(draw, "xyr", r=draw.scale() / 8)
    inputs = {"x": draw.tensor(5, 4, 1, 1), "y": draw.tensor(5, 4, 6, 6)}
    check("QLinearMul", inputs, weights, BINARY)


@TYPES
def test_unary_operators_and_concat(codes):
    draw = Draw(10, codes)
    every = np.arange(draw.ends.min, draw.ends.max + 1).astype(codes)[None]
    unary = ["x", "x_s", "x_z", "r_s", "r_z"]
    weights = parameters(draw, "xr")
    check("QLinearLeakyRelu", {"x": every}, weights, unary, alpha=0.2)
    check("QLinearSigmoid", {"x": every}, parameters(draw, "xr", r=F32(1 / 256)), unary)
    order = ["r_s", "r_z", "x", "x_s", "x_z", "y", "y_s", "y_z", "z", "r_s", "r_z"]
    inputs = {name: draw.tensor(9, size, 8) for name, size in zip("xyz", (3, 4, 5), strict=True)}
    graph = check("QLinearConcat", inputs, parameters(draw, "xyr"), order, axis=-2)
    assert [node.op.name for node in graph.nodes] == ["lookup", "lookup", "concat"]


POOL = ["x", "x_s", "x_z", "r_s", "r_z"]


@TYPES
@pytest.mark.parametrize("shape", [(5, 7, 6), (3, 11)])
def test_global_averages(codes, shape):
    draw = Draw(11, codes)
    x = draw.tensor(30, *shape) // draw.codes(3)
    check("QLinearGlobalAveragePool", {"x": x}, parameters(draw, "xr"), POOL, channels_last=0)
    whole = {"kernel_shape": shape[1:]}
    check("QLinearAveragePool", {"x": x}, parameters(draw, "xr"), POOL, **whole)


@TYPES
def test_averages_of_windows(codes):
    draw = Draw(12, codes)
    weights = parameters(draw, "xr", x=F32(0.0217345), r=F32(0.0133712))
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    check("QLinearAveragePool", {"x": draw.tensor(30, 5, 12, 12)}, weights, POOL, **window)


def refused(operator, inputs, weights, order, domain=MICROSOFT, **attributes):
    """The text of the error about the one node of a model."""
    node = helper.make_node(operator, order, ["result"], "node", domain=domain, **attributes)
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model_of(node, inputs, weights))
    return str(caught.value)


def test_averages_that_depend_on_roundings_are_refused():
    draw = Draw(13, np.uint8)
    weights = parameters(draw, "x", x=F32(0.021))
    weights |= {"r_s": weights["x_s"], "r_z": weights["x_z"]}
    inputs = {"x": draw.tensor(1, 5, 12, 12)}
    text = refused("QLinearAveragePool", inputs, weights, POOL, kernel_shape=[2, 2])
    assert text == (
        "Node 'node' (QLinearAveragePool): onnxruntime adds the 4 reals of a window in float32, and "
        "windows with equal sums of codes become different codes by their roundings. Quantize this "
        "operator in the format QDQ, or give its result another scale."
    )


def test_dynamic_quantization_is_refused():
    inputs = {"x": np.zeros((1, 4), F32)}
    assert refused("DynamicQuantizeLinear", inputs, {}, ["x"], "") == (
        "Node 'node' (DynamicQuantizeLinear): It derives the scale and zero point of an activation "
        "from each batch of data. Integers need them to be known: quantize the model statically, "
        "with calibration data."
    )


@TYPES
@pytest.mark.parametrize("seed", range(6))
def test_softmax(codes, seed):
    draw = Draw(seed, codes)
    length = int(draw.rng.integers(1, 40))
    zero = codes(draw.ends.min if seed % 2 else draw.rng.integers(-100, 100) % 100)
    weights = parameters(draw, "x", x=draw.scale(0.002, 0.3)) | {"r_s": F32(1 / 256), "r_z": zero}
    x = draw.tensor(3000, length)
    check("QLinearSoftmax", {"x": x}, weights, POOL, axis=-1, opset=13)
    image = draw.tensor(50, 3, 5, 4)
    check("QLinearSoftmax", {"x": image}, weights, POOL, axis=1, opset=13)
    check("QLinearSoftmax", {"x": image}, weights, POOL, axis=2, opset=11)


def test_a_softmax_with_another_scale_is_refused():
    draw = Draw(16, np.uint8)
    text = refused(
        "QLinearSoftmax",
        {"x": draw.tensor(1, 4)},
        parameters(draw, "xr", r=F32(0.01)),
        POOL,
        opset=13,
    )
    assert text == (
        "Node 'node' (QLinearSoftmax): The scale of its result is 0.009999999776482582. Supported "
        "is 1/256, as the quantizer writes."
    )


CONV = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z", "b"]
BROKEN = {
    "w": [
        (np.int8(1), "The weight 'w' has the shape ()."),
        (np.zeros((0, 3, 3, 3), np.int8), "The weight 'w' has the shape (0, 3, 3, 3)."),
        (np.zeros((2, 3, 3, 3), np.int64), "'w' has elements of type int64."),
    ],
    "w_s": [
        (np.zeros(2, F32), "Scale 'w_s' is not one positive number, nor one per channel."),
        (np.ones((2, 1), F32), "Scale 'w_s' is not one positive number, nor one per channel."),
        (np.ones(3, F32), "It has 3 scales for 2 channels of 'w'."),
        (np.ones(2, np.int32), "Scale 'w_s' is not one positive number, nor one per channel."),
    ],
    "w_z": [
        (np.zeros(0, np.int8), "Zero point 'w_z' is empty."),
        (np.zeros(3, np.int8), "It has 3 zero points for 2 channels of 'w'."),
    ],
    "x_s": [(np.ones(3, F32), "'x_s' gives an activation one scale per channel.")],
    "y_z": [
        (np.int32(0), "Its result is int32."),
        (np.zeros(2, np.uint8), "'y_s' gives an activation one scale per channel."),
    ],
    "b": [
        (np.zeros(2, np.int64), "The bias 'b' is int64[2]."),
        (np.zeros(3, np.int32), "The bias 'b' is int32[3]."),
    ],
}


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [(name, array, message) for name, cases in BROKEN.items() for array, message in cases],
)
def test_malformed_parameters_are_named(name, array, message):
    draw = Draw(17, np.uint8)
    weights = {
        **parameters(draw, "xy"),
        "w": np.ones((2, 3, 3, 3), np.int8),
        "w_s": np.ones(2, F32),
        "w_z": np.zeros(2, np.int8),
        "b": np.zeros(2, np.int32),
        name: array,
    }
    text = refused("QLinearConv", {"x": draw.tensor(1, 3, 5, 5)}, weights, CONV, "")
    assert text.startswith(f"Node 'node' (QLinearConv): {message} ")


def test_codes_cannot_enter_an_operator_on_reals():
    inputs = {"x": np.zeros((1, 4), np.uint8)}
    assert refused("Sigmoid", inputs, {}, ["x"], "") == (
        "Node 'node' (Sigmoid): Its operand 'x' is uint8, codes without a scale. Put a "
        "DequantizeLinear before it, or use the operator of onnxruntime for codes."
    )


def test_an_unknown_operator_of_microsofts_domain_names_its_neighbors():
    inputs = {"x": np.zeros((1, 4), np.uint8)}
    assert refused("QLinearConcatenate", inputs, {}, ["x"]) == (
        "Node 'node' (QLinearConcatenate): Operator 'QLinearConcatenate' of domain 'com.microsoft' "
        "is not supported. Nearest supported operators: QLinearConcat, QLinearSoftmax, "
        "QLinearAveragePool. Replace it."
    )


@TYPES
def test_operators_that_move_codes(codes):
    draw = Draw(14, codes)
    x = draw.tensor(3, 4, 6, 6)
    check("MaxPool", {"x": x}, {}, ["x"], "", kernel_shape=[2, 2], pads=[1, 1, 0, 0])
    check("Transpose", {"x": x}, {}, ["x"], "", perm=[0, 2, 3, 1])
    check("Flatten", {"x": x}, {}, ["x"], "")
    check("Reshape", {"x": x}, {"shape": np.array([0, 12, -1])}, ["x", "shape"], "")
    pads = {"pads": np.array([0, 0, 1, 2, 0, 0, 3, 4]), "value": draw.zero()}
    check("Pad", {"x": x}, pads, ["x", "pads", "value"], "")
    check("Pad", {"x": x}, {"pads": pads["pads"]}, ["x", "pads"], "")
    bounds = {"lo": codes(5), "hi": codes(100)}
    check("Clip", {"x": x}, bounds, ["x", "lo", "hi"], "")
    check("ArgMax", {"x": x}, {}, ["x"], "", axis=1, keepdims=0)
    scales = {"scales": np.array([1, 1, 2, 3], np.float32)}
    nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    check("Resize", {"x": x}, scales, ["x", "", "scales"], "", mode="nearest", **nearest)
    check("Squeeze", {"x": x[:, :1]}, {"axes": np.array([1])}, ["x", "axes"], "")
    check("Unsqueeze", {"x": x}, {"axes": np.array([1])}, ["x", "axes"], "")
    ends = {"starts": np.array([1]), "ends": np.array([6]), "axes": np.array([2])}
    check("Slice", {"x": x}, ends, ["x", *ends], "")
    check("Identity", {"x": x}, {}, ["x"], "")
    if codes is np.int8:
        check("Relu", {"x": x}, {}, ["x"], "")


def test_a_model_of_codes_is_checked_by_onnx():
    """The models of these tests are legal."""
    draw = Draw(15, np.uint8)
    node = helper.make_node("Flatten", ["x"], ["y"])
    model = model_of(node, {"x": draw.tensor(1, 4, 2)}, {})
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model))
