"""QDQ models: exact arithmetic on the dequantized values, rounded once by each QuantizeLinear."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.evaluate import evaluate
from intaglio.passes.base import Context
from intaglio.passes.pipeline import default_pipeline
from intaglio.passes.rescale import round_fraction

F32 = np.float32
NEWEST = onnx.defs.onnx_opset_version()


def model_of(nodes, inputs, weights, opset=21, outputs=("y",)):
    """``inputs`` gives (element type, shape) by name; weights may be TensorProtos."""
    values = [helper.make_tensor_value_info(n, kind, s) for n, (kind, s) in inputs.items()]
    stored = [
        each if isinstance(each, TensorProto) else numpy_helper.from_array(np.asarray(each), name)
        for name, each in weights.items()
    ]
    results = [ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "small", values, results, stored)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def lowered(graph):
    return default_pipeline("quantized").run(graph, Context())


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    return str(caught.value)


def half_even(exact, dtype, zero):
    info = np.iinfo(dtype)
    return min(max(round_fraction(exact, "half_even") + zero, info.min), info.max)


REAL = (TensorProto.FLOAT, ["n", 3, 4])


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23, NEWEST])
def test_a_real_input_becomes_codes(opset):
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": F32(0.1), "z": np.uint8(7)}
    graph = lowered(import_onnx(model_of(nodes, {"x": REAL}, weights, opset)))
    (codes,) = graph.inputs
    assert str(codes.type) == "uint8[n,3,4]"
    assert codes.encoding.scale == float(F32(0.1))
    assert codes.encoding.zero_point == 7


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT16])
def test_an_input_may_be_codes(kind):
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [
        make_node("DequantizeLinear", ["x", "s", "z"], ["r"]),
        make_node("Relu", ["r"], ["p"]),
        make_node("QuantizeLinear", ["p", "t", "z"], ["y"]),
    ]
    weights = {"s": F32(0.3), "t": F32(0.2), "z": dtype.type(3)}
    graph = lowered(import_onnx(model_of(nodes, {"x": (kind, ["n", 6])}, weights)))
    info = np.iinfo(dtype)
    x = np.array([[info.min, -1 if info.min else 1, 2, 3, 4, info.max]], dtype)
    (found,) = evaluate(graph, {"x": x}).values()
    scale = Fraction(float(F32(0.3))) / Fraction(float(F32(0.2)))
    expected = [half_even(scale * max(int(code) - 3, 0), dtype, 3) for code in x[0]]
    assert found[0].tolist() == expected


WEIGHT_TYPES = {
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
}


@pytest.mark.parametrize("kind", WEIGHT_TYPES)
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("operator", ["Conv", "Gemm", "MatMul"])
def test_layers_equal_exact_rationals(kind, per_channel, operator):
    """One layer with weights and bias that are codes, against fractions."""
    rng = np.random.default_rng(len(kind))
    outputs, depth = 5, 6
    dtype = WEIGHT_TYPES[kind]
    info = ml_dtypes.iinfo(dtype)
    codes = rng.integers(int(info.min), int(info.max) + 1, (outputs, depth))
    zero = 0 if int(info.min) else 3
    scales = rng.uniform(0.001, 0.02, outputs if per_channel else ()).astype(F32)
    turned = operator == "MatMul"
    stored = codes.T if turned else codes.reshape(outputs, depth, *(1, 1) * (operator == "Conv"))
    bias = rng.integers(-3000, 3000, outputs).astype(np.int32)
    sx, zx, sy, zy = F32(0.031), 11, F32(0.05), 100
    bias_scale = np.asarray(scales * sx, F32)
    nodes = [
        make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        make_node("DequantizeLinear", ["q", "sx", "zx"], ["r"]),
        make_node("DequantizeLinear", ["w", "sw", "zw"], ["wr"], axis=1 if turned else 0),
        make_node("DequantizeLinear", ["b", "sb", "zb"], ["br"], axis=0),
    ]
    if operator == "MatMul":
        nodes.append(make_node("MatMul", ["r", "wr"], ["p"]))
        bias = bias * 0
    elif operator == "Gemm":
        nodes.append(make_node("Gemm", ["r", "wr", "br"], ["p"], transB=1))
    else:
        nodes.append(make_node("Conv", ["r", "wr", "br"], ["p"]))
    nodes += [
        make_node("QuantizeLinear", ["p", "sy", "zy"], ["o"]),
        make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    weights = {
        "sx": sx,
        "zx": np.uint8(zx),
        "w": stored.astype(dtype),
        "sw": scales,
        "zw": np.full(scales.shape, zero).astype(dtype),
        "b": bias,
        "sb": bias_scale,
        "zb": np.zeros(bias_scale.shape, np.int32),
        "sy": sy,
        "zy": np.uint8(zy),
    }
    shape = ["n", depth, 1, 1] if operator == "Conv" else ["n", depth]
    graph = lowered(
        import_onnx(model_of(nodes, {"x": (TensorProto.FLOAT, shape)}, weights, opset=21))
    )
    assert all(node.certificate is None or node.certificate.proved for node in graph.nodes)
    x = rng.integers(0, 256, (40, depth)).astype(np.uint8)
    (found,) = evaluate(graph, {"x": x.reshape(40, *shape[1:])}).values()
    spread, spread_bias = (np.broadcast_to(each, outputs) for each in (scales, bias_scale))
    for row, got in zip(x, found.reshape(40, outputs), strict=True):
        for o in range(outputs):
            total = int((row.astype(int) - zx) @ (codes[o] - zero))
            exact = Fraction(float(sx)) * Fraction(float(spread[o])) * total
            exact += Fraction(float(spread_bias[o])) * int(bias[o])
            assert got[o] == half_even(exact / Fraction(float(sy)), np.uint8, zy)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("first", [False, True], ids=["second", "first"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 1)])
def test_arithmetic_with_constants_that_are_codes_is_exact(operator, first, shape):
    rng = np.random.default_rng(len(shape))
    codes = rng.integers(1, 120, shape).astype(np.int8)
    order = ["c", "r"] if first else ["r", "c"]
    nodes = [
        make_node("DequantizeLinear", ["x", "sx"], ["r"]),
        make_node("DequantizeLinear", ["w", "sw", "zw"], ["c"]),
        make_node(operator, order, ["p"]),
        make_node("QuantizeLinear", ["p", "sy", "zy"], ["y"]),
    ]
    sx, sw, sy = F32(0.3711), F32(0.2173), F32(5.31 if operator == "Mul" else 0.4133)
    weights = {"sx": sx, "sw": sw, "zw": np.int8(-9), "w": codes, "sy": sy, "zy": np.uint8(101)}
    model = model_of(nodes, {"x": (TensorProto.INT8, ["n", 3, 5])}, weights)
    graph = import_onnx(model)
    held = {str(t.dtype) for name, t in graph.constants.items() if "codes" in name}
    assert held == {"int9" if operator == "Sub" and not first else "int8"}
    x = rng.integers(-128, 128, (20, 3, 5)).astype(np.int8)
    (found,) = evaluate(lowered(graph), {"x": x}).values()
    spread = np.broadcast_to(codes, (3, 5))
    for (n, i, j), code in np.ndenumerate(x):
        left = Fraction(float(sx)) * int(code)
        right = Fraction(float(sw)) * (int(spread[i, j]) + 9)
        if first:
            left, right = right, left
        exact = {"Add": left + right, "Sub": left - right, "Mul": left * right}[operator]
        assert found[n, i, j] == half_even(exact / Fraction(float(sy)), np.uint8, 101)


def test_packed_four_bit_initializers_are_read():
    packed = helper.make_tensor("w", TensorProto.INT4, [3, 3], list(range(-4, 5)))
    nodes = [
        make_node("DequantizeLinear", ["x", "s"], ["r"]),
        make_node("DequantizeLinear", ["w", "s"], ["wr"]),
        make_node("MatMul", ["r", "wr"], ["y"]),
    ]
    model = model_of(nodes, {"x": (TensorProto.INT8, ["n", 3])}, {"s": F32(1), "w": packed})
    graph = lowered(import_onnx(model))
    (found,) = evaluate(graph, {"x": np.eye(3, dtype=np.int8)}).values()
    assert found.tolist() == np.arange(-4, 5).reshape(3, 3).tolist()


@given(st.data())
def test_a_constant_is_quantized_as_its_quotients_are(data):
    numbers = st.floats(-8, 8, width=32)
    reals = np.array([[data.draw(numbers) for _ in range(3)] for _ in range(2)], F32)
    scales = np.array([data.draw(st.floats(2**-10, 1, width=32)) for _ in range(3)], F32)
    zeros = np.array([data.draw(st.integers(-128, 127)) for _ in range(3)], np.int8)
    nodes = [
        make_node("QuantizeLinear", ["w", "s", "z"], ["q"], axis=-1),
        make_node("DequantizeLinear", ["q", "s", "z"], ["wr"], axis=1),
        make_node("MatMul", ["r", "wr"], ["y"]),
        make_node("DequantizeLinear", ["x", "one"], ["r"]),
    ]
    weights = {"w": reals, "s": scales, "z": zeros, "one": F32(1)}
    order = [nodes[3], *nodes[:3]]
    graph = import_onnx(model_of(order, {"x": (TensorProto.INT8, ["n", 2])}, weights))
    (held,) = [t.array for name, t in graph.constants.items() if name.endswith(".codes")]
    for (i, j), real in np.ndenumerate(reals):
        exact = Fraction(float(real)) / Fraction(float(scales[j]))
        assert held[j, i] == half_even(exact, np.int8, int(zeros[j]))


def test_a_real_output_leaves_as_accumulators():
    nodes = [
        make_node("DequantizeLinear", ["x", "s"], ["r"]),
        make_node("DequantizeLinear", ["w", "sw"], ["wr"], axis=0),
        make_node("Gemm", ["r", "wr", "b"], ["y"], transB=1),
    ]
    scales, bias = np.array([0.1, 0.2], F32), np.array([1.5, -2], F32)
    weights = {"s": F32(0.5), "w": np.array([[1, 2], [3, -4]], np.int8), "sw": scales, "b": bias}
    graph = lowered(import_onnx(model_of(nodes, {"x": (TensorProto.INT8, ["n", 2])}, weights)))
    x = np.array([[3, 5]], np.int8)
    ((name, found),) = evaluate(graph, {"x": x}).items()
    assert found.tolist() == [[13, -11]]
    encoding = graph.values[name].encoding
    expected = found * 0.5 * scales.astype(float) + bias
    assert encoding.decode(found).tolist() == expected.tolist()


def dequantize_with(opset=21, weights=None, **attributes):
    node = make_node("DequantizeLinear", ["x", "s", "z"], ["y"], name="d", **attributes)
    given = {"s": F32(1), "z": np.int8(0)} | (weights or {})
    return model_of([node], {"x": (TensorProto.INT8, ["n", 4])}, given, opset)


def test_what_cannot_be_imported_is_named():
    assert refused(dequantize_with(weights={"s": np.ones((4, 2), F32)}, block_size=2)) == (
        "Node 'd' (DequantizeLinear): Attribute 'block_size' = 2 is not supported. Give one scale "
        "per tensor or per channel."
    )
    assert refused(dequantize_with(weights={"s": F32(-1)})) == (
        "Node 'd' (DequantizeLinear): Scale 's' is not one positive number, nor one per channel. "
        "Quantize the model again."
    )
    assert refused(dequantize_with(weights={"s": np.ones(4, F32), "z": np.zeros(3, np.int8)})) == (
        "Node 'd' (DequantizeLinear): Its 4 scales and 3 zero points along axis 1 do not fit "
        "the shape (n, 4). "
        "Quantize the model again."
    )
    nodes = [
        make_node("DequantizeLinear", ["w", "s", "z"], ["wr"], name="d", axis=0),
        make_node("MatMul", ["x", "wr"], ["y"]),
    ]
    weights = {"w": np.ones((4, 2), np.int8), "s": np.ones(3, F32), "z": np.zeros(3, np.int8)}
    assert refused(model_of(nodes, {"x": (TensorProto.FLOAT, ["n", 4])}, weights)) == (
        "Node 'd' (DequantizeLinear): Its 3 scales and 3 zero points along axis 0 do not fit the "
        "shape (4, 2). Quantize the model again."
    )
    node = make_node("QuantizeLinear", ["x", "s"], ["y"], name="q", precision=TensorProto.FLOAT16)
    model = model_of([node], {"x": REAL}, {"s": F32(1)}, NEWEST)
    assert refused(model) == (
        "Node 'q' (QuantizeLinear): Attribute 'precision' = 10: its quotient is not float32. "
        "Supported are 0 and 1: the quotient is exact and rounded once."
    )
    node = make_node(
        "QuantizeLinear", ["x", "s"], ["y"], name="q", output_dtype=TensorProto.FLOAT8E5M2
    )
    assert refused(model_of([node], {"x": REAL}, {"s": F32(1)}, NEWEST)) == (
        "Node 'q' (QuantizeLinear): 'float8e5m2' has elements of type float8_e5m2. It must hold "
        "integers of at most 32 bits."
    )


@pytest.mark.parametrize(
    ("stated", "name"),
    [(None, "uint8"), (TensorProto.INT4, "int4"), (TensorProto.UINT16, "uint16")],
)
def test_the_type_of_codes_without_a_zero_point(stated, name):
    attributes = {} if stated is None else {"output_dtype": stated}
    node = make_node("QuantizeLinear", ["x", "s"], ["y"], **attributes)
    graph = import_onnx(model_of([node], {"x": REAL}, {"s": F32(1)}, NEWEST))
    assert str(graph.nodes[-1].type.dtype) == name


def test_microsofts_own_pair_of_operators_is_read():
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"], domain="com.microsoft"),
        make_node("DequantizeLinear", ["q", "s", "z"], ["y"], domain="com.microsoft"),
    ]
    model = model_of(nodes, {"x": REAL}, {"s": F32(0.5), "z": np.uint16(9)}, opset=13)
    assert str(lowered(import_onnx(model)).inputs[0].type) == "uint16[n,3,4]"


def test_codes_may_be_cast_to_their_own_type():
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        make_node("Cast", ["q"], ["c"], "cast", to=TensorProto.UINT8),
        make_node("DequantizeLinear", ["c", "s", "z"], ["r"]),
        make_node("Relu", ["r"], ["p"]),
        make_node("QuantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    weights = {"s": F32(0.5), "z": np.uint8(7)}
    graph = lowered(import_onnx(model_of(nodes, {"x": REAL}, weights)))
    assert graph.inputs[0].encoding.zero_point == 7
    nodes[1] = make_node("Cast", ["q"], ["c"], "cast", to=TensorProto.INT8)
    assert refused(model_of(nodes, {"x": REAL}, weights)) == (
        "Node 'cast' (Cast): Attribute 'to' = INT8 is not supported for activations. Supported are "
        "FLOAT, DOUBLE, FLOAT16 and BFLOAT16."
    )
