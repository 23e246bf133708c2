import re

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import intaglio
from intaglio.errors import InternalError, VerifyError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, INT32, TERNARY, int_type
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Affine, Relu
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.ops_quant import Dequantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.verify import stage_of, verify
from intaglio.passes.base import Context
from intaglio.passes.canonicalize import Canonicalize
from intaglio.passes.coded import code_weights, decodes, is_coded_weight
from intaglio.passes.equalize import Equalize
from intaglio.passes.quantize import Quantize
from intaglio.passes.training.module import to_torch

DATA = {"x": np.random.default_rng(5).normal(size=(40, 2, 6, 6)).astype(np.float32)}
CODES = {
    "a.w": (int_type(3), (4, 2, 3, 3), (4,)),
    "b.w": (TERNARY, (3, 4, 3, 3), (1,)),
    "c.w": (BIPOLAR, (5, 3), (5,)),
}


def chosen():
    """Codes and scales of three layers; the scales are short, as a pass chooses them."""
    rng = np.random.default_rng(2)
    found = {}
    for name, (dtype, shape, scales) in CODES.items():
        codes = rng.integers(dtype.lo, dtype.hi + 1, shape)
        codes = np.where(codes == 0, 1, codes) if dtype == BIPOLAR else codes
        found[name] = Tensor(codes, dtype), rng.integers(1, 9, scales).astype(np.float32) / 16
    return found


def network():
    """conv, affine, relu, pool; conv, relu; dense on what was flattened: it becomes a conv."""
    rng = np.random.default_rng(1)
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2, 6, 6))))

    def constant(name, *shape):
        return b.constant(name, real(rng.normal(size=shape)))

    a = b.node("a", Conv(), x, constant("a.w", 4, 2, 3, 3), constant("a.b", 4), origin="/a/Conv")
    a = b.node("norm", Affine(), a, constant("scale", 4), constant("shift", 4))
    a = b.node("pool", MaxPool((2, 2)), b.node("a.relu", Relu(), a))
    c = b.node("b", Conv(), a, constant("b.w", 3, 4, 3, 3), origin="/b/Conv")
    flat = b.node("flat", Reshape((3,)), b.node("b.relu", Relu(), c))
    return b.build((b.node("c", Dense(), flat, constant("c.w", 5, 3), constant("c.b", 5)),))


def coded():
    return verify(code_weights(network(), chosen()), "float")


def codes_of(graph):
    """The codes of each weight and its scales, by the name of the layer."""
    layers = [node for node in graph.nodes if isinstance(node.op, Conv | Dense)]
    made = {node.name: graph.producers[node.inputs[1]] for node in layers}
    return {
        name: (graph.constants[node.inputs[0]], graph.constants[node.inputs[1]].array.tolist())
        for name, node in made.items()
    }


def decoded():
    """The same network with the reals that the codes stand for."""
    reals = {
        name: real(codes.array * scale.reshape(-1, *(1,) * (codes.array.ndim - 1)))
        for name, (codes, scale) in chosen().items()
    }
    graph = network()
    return type(graph)(
        "net", graph.inputs, {**graph.constants, **reals}, graph.nodes, graph.outputs
    )


def test_a_coded_graph_is_float_and_computes_what_the_codes_stand_for():
    graph = coded()
    assert stage_of(graph) == "float"
    assert codes_of(graph)["a"][0] == chosen()["a.w"][0]
    assert graph.producers["a.w"].where == "Node '/a/Conv' (dequantize)"
    assert np.array_equal(evaluate(graph, DATA)["c"], evaluate(decoded(), DATA)["c"])


def test_a_shared_weight_is_decoded_once():
    b = Builder("net")
    name = b.input(Value("x", TensorType((BATCH, 2))))
    weight = b.constant("w", real(np.eye(2)))
    for index in range(2):
        name = b.node(f"n{index}", Dense(), name, weight)
    codes = {"w": (Tensor(np.eye(2, dtype=np.int8), int_type(2)), np.ones(1))}
    graph = verify(code_weights(b.build((name,)), codes), "float")
    assert [node.name for node in graph.nodes] == ["w", "n0", "n1"]


@pytest.mark.parametrize(
    ("codes", "scale", "message"),
    [
        (np.ones((2, 3), np.int8), np.ones(1), "Weight 'c.w' was given codes int4[2,3]."),
        (np.ones((5, 3), np.int8), np.ones(3), "Weight 'c.w' was given 3 scales."),
    ],
)
def test_codes_must_fit_the_weight(codes, scale, message):
    with pytest.raises(InternalError, match=f"^{re.escape(message)}$"):
        code_weights(network(), {"c.w": (Tensor(codes, int_type(4)), scale)})


def test_in_the_float_stage_only_constants_are_dequantized():
    b = Builder("g")
    x = b.input(Value("x", TensorType((BATCH, 2))))
    scale, zero = b.constant("s", real(np.ones(()))), b.constant("z", Tensor(np.asarray(0), INT32))
    graph = b.build((b.node("a", Dequantize(), x, scale, zero),))
    with pytest.raises(VerifyError) as error:
        verify(graph, "float")
    assert str(error.value) == (
        "Node 'a' (dequantize): its codes are not a constant. "
        "Rule: Reals occur only where the stage allows them."
    )


def test_canonicalize_keeps_the_codes_and_flattens_them():
    graph = verify(Canonicalize().run(coded(), Context()), "float")
    found = codes_of(graph)
    assert [found[name][0].array.shape for name in found] == [(4, 2, 3, 3), (3, 4, 3, 3), (5, 3)]
    assert all(is_coded_weight(graph, graph.producers[name]) for name in CODES)
    assert np.allclose(evaluate(graph, DATA)["c"], evaluate(coded(), DATA)["c"], rtol=1e-5)


def parameter(kind):
    """A graph with codes that are no weight, or a weight with a scale per input channel."""
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 3))))
    zero = b.constant("z", Tensor(np.asarray(0), INT32))
    if kind == "bias":
        codes = b.constant("codes", Tensor(np.array([1, -2, 3]), INT32))
        scale = b.constant("s", real(np.asarray(0.5)))
        bias = b.node("bias", Dequantize(0), codes, scale, zero)
        return b.build((b.node("y", Dense(), x, b.constant("w", real(np.eye(3))), bias),))
    codes = b.constant("codes", Tensor(np.eye(3, dtype=np.int8), int_type(4)))
    scale = b.constant("s", real(np.array([1.0, 2.0, 3.0])))
    weight = b.node("w", Dequantize(1), codes, scale, zero)
    return b.build((b.node("y", Dense(), x, weight),))


@pytest.mark.parametrize("kind", ["bias", "scale per input"])
def test_codes_that_integers_cannot_hold_as_weights_become_reals(kind):
    graph = verify(parameter(kind), "float")
    after = verify(Canonicalize().run(graph, Context()), "float")
    x = np.ones((1, 3), np.float32)
    assert [node.name for node in after.nodes] == ["y"]
    assert np.array_equal(evaluate(after, {"x": x})["y"], evaluate(graph, {"x": x})["y"])


def test_equalize_leaves_coded_layers_and_their_neighbors_alone():
    graph = Canonicalize().run(coded(), Context())
    assert Equalize().run(graph, Context()) == graph
    some = Canonicalize().run(code_weights(network(), {"b.w": chosen()["b.w"]}), Context())
    assert Equalize().run(some, Context()) == some


@pytest.mark.parametrize("correction", [True, False])
def test_quantize_keeps_the_codes_and_scales_and_may_move_biases(correction):
    graph = Canonicalize().run(coded(), Context())
    options = Quantize(weight_bits=8, bias_correction=correction)
    made = verify(options.run(graph, Context([DATA])), "quantized")
    assert codes_of(made) == codes_of(graph)


def test_a_weight_beside_them_is_quantized_as_always():
    graph = Canonicalize().run(code_weights(network(), {"a.w": chosen()["a.w"]}), Context())
    made = verify(Quantize(weight_bits=5).run(graph, Context([DATA])), "quantized")
    types = [str(codes.dtype) for codes, _ in codes_of(made).values()]
    assert types == ["int3", "int5", "int5"]


def test_what_follows_a_coded_conv_is_folded_into_its_rescaling():
    made = Quantize().run(Canonicalize().run(coded(), Context()), Context([DATA]))
    assert not any(name.startswith(("a.codes", "norm.codes")) for name in made.values)


def test_the_blob_holds_exactly_these_codes_and_every_certificate_is_proved():
    network = intaglio.compile(coded(), DATA)
    weights = [slot.constant for slot in network.program.constants if len(slot.type.shape) > 1]
    truth = [codes for codes, _ in chosen().values()]
    assert [w.array.reshape(-1).tolist() for w in weights] == [
        codes.array.reshape(-1).tolist() for codes in truth
    ]
    assert [str(w.dtype) for w in weights] == ["int3", "ternary", "bipolar"]
    assert all(certificate.proved for certificate in network.certificates.values())
    real_outputs, near = evaluate(coded(), DATA)["c"], network.run(DATA).real
    assert np.abs(near - real_outputs).mean() < 0.02 * np.abs(real_outputs).max()
    assert network.check(DATA) > 0


def test_coded_weights_do_not_learn():
    graph = coded()
    some = code_weights(network(), {"b.w": chosen()["b.w"]})
    module = to_torch(graph)
    assert not module.weights
    assert module.fixed == {"a.w", "b.w", "c.w"}
    with torch.no_grad():
        result = module(torch.from_numpy(DATA["x"])).numpy()
    assert np.allclose(result, evaluate(graph, DATA)["c"], rtol=1e-4, atol=1e-4)
    assert module.to_graph() == graph
    assert list(to_torch(some).weights) == ["a.w", "c.w"]
    assert to_torch(some).to_graph() == some


def weights_only(tmp_path):
    """An ONNX model whose weights alone were quantized, one scale per row."""
    rng = np.random.default_rng(3)
    codes = rng.integers(-7, 8, (4, 2, 3, 3)).astype(np.int8)
    held = {
        "codes": codes,
        "scales": rng.uniform(0.01, 0.1, 4).astype(np.float32),
        "zeros": np.zeros(4, np.int8),
        "bias": rng.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "scales", "zeros"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w", "bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "weights_only",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2, 6, 6])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    path = tmp_path / "weights_only.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path, codes


def test_a_model_whose_weights_alone_are_quantized_compiles_with_data(tmp_path):
    path, codes = weights_only(tmp_path)
    graph = intaglio.import_model(path)
    assert stage_of(graph) == "float"
    network = intaglio.compile(path, DATA)
    (weight,) = (s.constant for s in network.program.constants if len(s.type.shape) == 4)
    assert np.array_equal(weight.array, codes)
    assert all(certificate.proved for certificate in network.certificates.values())
    truth = evaluate(graph, DATA)["y"]
    assert np.abs(network.run(DATA).real - truth).mean() < 0.02 * truth.max()


def test_a_dequantize_of_a_value_decodes_no_constant():
    quantized = Quantize().run(network(), Context([DATA]))
    kinds = {n.name: decodes(quantized, n) for n in quantized.nodes if isinstance(n.op, Dequantize)}
    assert {name for name, constant in kinds.items() if constant} == {
        "a.weight_real",
        "b.weight_real",
        "c.weight_real",
    }
    assert not decodes(quantized, None)
