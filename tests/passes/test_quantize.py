import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate, walk
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, LEAST_SCALE, int_type
from intaglio.ir.ops_layout import Concat, Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Clip, Relu, Unary
from intaglio.ir.ops_pool import AveragePool, MaxPool
from intaglio.ir.ops_quant import Dequantize
from intaglio.ir.ops_quant import Quantize as QuantizeOp
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.canonicalize import Canonicalize
from intaglio.passes.flow import Flow
from intaglio.passes.lower import Lower
from intaglio.passes.quantize import Layer, Quantize, asymmetric
from intaglio.passes.weights import weight_codes, weight_scale

RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(20, 2, 4, 4)).astype(np.float32)}


def network():
    """conv, relu, max_pool; conv added to its input; average pool; dense."""
    rng = np.random.default_rng(1)
    new = Builder("net")
    x = new.input(Value("x", TensorType((BATCH, 2, 4, 4))))

    def layer(name, op, source, *shape):
        weight = new.constant(f"{name}.w", real(rng.normal(size=shape)))
        bias = new.constant(f"{name}.b", real(rng.normal(size=shape[0])))
        return new.node(name, op, source, weight, bias, origin=f"/{name}/Op")

    a = layer("a", Conv(pads=(1, 1, 1, 1)), x, 3, 2, 3, 3)
    a = new.node("a.relu", Relu(), a, origin="/a/Relu")
    a = new.node("a.pool", MaxPool((2, 2), (2, 2)), a)
    b = layer("b", Conv(), a, 3, 3, 1, 1)
    total = new.node("sum", Add(), a, b)
    mean = new.node("mean", AveragePool((2, 2)), total)
    flat = new.node("flat", Reshape((3,)), mean)
    return new.build((layer("c", Dense(), flat, 4, 3),))


def quantized(graph=None, data=DATA, **options):
    return verify(Quantize(**options).run(graph or network(), Context([data])), "quantized")


def points(graph):
    """The value behind each quantize point, with the type of its codes."""
    found = [node for node in graph.nodes if isinstance(node.op, QuantizeOp)]
    return {node.inputs[0]: str(node.type.dtype) for node in found}


def test_points_stand_behind_inputs_and_results_but_not_before_a_fused_relu_nor_after_a_move():
    assert Flow(network()).points == ("x", "a.relu", "b", "sum", "mean", "c")
    assert points(quantized()) == {
        "x": "uint8",
        "a.relu": "uint8",
        "b": "uint8",
        "sum": "uint8",
        "mean": "uint8",
        "c": "int16",
    }


@pytest.mark.parametrize("act", [Relu(), Clip(0, 6)])
@pytest.mark.parametrize(
    ("users", "output", "expected"), [(1, False, False), (2, False, True), (1, True, True)]
)
def test_a_point_stands_before_a_relu_only_if_something_else_reads_the_value(
    act, users, output, expected
):
    new = Builder("g")
    x = new.input(Value("x", TensorType((BATCH, 3))))
    d = new.node("d", Dense(), x, new.constant("w", real(np.eye(3))))
    y = new.node("y", act, d)
    y = new.node("z", Add(), y, d) if users == 2 else y
    graph = new.build((y, d) if output else (y,))
    assert ("d" in Flow(graph).points) == expected


def test_a_point_stands_before_a_relu_that_follows_a_table_or_a_concat():
    new = Builder("g")
    x = new.input(Value("x", TensorType((BATCH, 3))))
    u = new.node("u", Unary("tanh"), x)
    c = new.node("c", Concat(), new.node("r", Relu(), u), x)
    graph = new.build((new.node("s", Relu(), c),))
    assert Flow(graph).points == ("x", "u", "r", "c", "s")


def test_an_output_behind_moves_is_quantized_as_an_output():
    new = Builder("g")
    x = new.input(Value("x", TensorType((BATCH, 2, 3))))
    y = new.node("y", Unary("tanh"), x)
    graph = new.build((new.node("flat", Reshape((6,)), y),))
    data = {"x": RNG.normal(size=(5, 2, 3))}
    assert points(quantized(graph, data)) == {"x": "uint8", "y": "int16"}


@pytest.mark.parametrize("behind_a_move", [False, True])
def test_an_output_that_a_layer_reads_keeps_the_bits_of_activations(behind_a_move):
    new = Builder("g")
    x = new.input(Value("x", TensorType((BATCH, 6))))
    y = new.node("y", Unary("tanh"), x)
    read = new.node("move", Reshape((6,)), y) if behind_a_move else y
    graph = new.build((y, new.node("z", Add(), x, read)))
    assert points(quantized(graph, {"x": RNG.normal(size=(5, 6))})) == {
        "x": "uint8",
        "y": "uint8",
        "z": "int16",
    }


def encodings(graph):
    """(scale, zero point, type) of every point by the value behind it."""
    found = {}
    for node in graph.nodes:
        if isinstance(node.op, QuantizeOp):
            scale, zero = (graph.constants[name].array for name in node.inputs[1:])
            found[node.inputs[0]] = (float(scale), int(zero), node.type.dtype)
    return found


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 9, 12, 16])
@pytest.mark.parametrize("calibration", ["minmax", "percentile", "mse", "entropy"])
def test_activations_are_unsigned_codes_among_which_zero_is_one(bits, calibration):
    found = encodings(quantized(activation_bits=bits, calibration=calibration))
    for name, (scale, zero, dtype) in found.items():
        assert scale > 0
        if name != "c":
            assert dtype == int_type(bits, signed=False)
            assert 0 <= zero <= dtype.hi
        if bits > 8 or name == "c":
            assert np.frexp(scale)[0] == 0.5
        mantissa = np.frexp(scale)[0] * 2**12
        assert mantissa == int(mantissa)
    assert found["a.relu"][1] == 0


@given(st.floats(-1e6, 0), st.floats(0, 1e6), st.integers(1, 16))
def test_codes_span_the_range_within_a_step(lo, hi, bits):
    encoding, dtype = asymmetric(lo, hi, bits)
    reals = encoding.decode(np.array([dtype.lo, dtype.hi]))
    assert reals[0] <= 0 <= reals[1]
    if hi - lo > 1e-30:
        slack = 0.51 * encoding.scale + (hi - lo) * 2.0**-11
        assert reals[0] <= lo + slack
        assert reals[1] >= hi - slack


def test_outputs_are_signed_codes_without_zero_point_that_span_every_value_seen():
    graph = network()
    values = evaluate(graph, DATA)["c"]
    for bits in range(2, 17):
        scale, zero, dtype = encodings(quantized(output_bits=bits))["c"]
        assert (zero, dtype) == (0, int_type(bits))
        reach = np.abs(values).max() / dtype.hi
        assert reach <= scale < 2 * reach


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_become_constant_codes_and_biases_stay_real(bits, per_channel):
    graph = quantized(weight_bits=bits, per_channel=per_channel, bias_correction=False)
    before = network()
    for name, co in (("a", 3), ("b", 3), ("c", 4)):
        source = graph.producers[graph.producers[name].inputs[1]]
        assert source.op == Dequantize(axis=0)
        codes, scale, zero = (graph.constants[each] for each in source.inputs)
        assert codes.dtype == (int_type(bits) if bits > 1 else BIPOLAR)
        assert abs(codes.array.astype(int)).max() <= max(2 ** (bits - 1) - 1, 1)
        assert scale.array.shape == ((co,) if per_channel else ())
        assert not zero.array.any()
        weight = before.constants[f"{name}.w"].array
        steps = scale.array.reshape(-1, *(1,) * (weight.ndim - 1))
        inside = np.abs(weight) <= steps * max(2 ** (bits - 1) - 1, 1)
        error = np.abs(codes.array * steps - weight)
        assert bits == 1 or (error <= 0.5001 * np.broadcast_to(steps, weight.shape))[inside].all()
        assert graph.constants[graph.producers[name].inputs[2]] == before.constants[f"{name}.b"]


@given(
    arrays(np.float32, (3, 5), elements=st.floats(-100, 100, width=32)),
    st.integers(1, 8),
    st.booleans(),
)
def test_the_mse_scale_is_never_worse_than_the_greatest_magnitude(weight, bits, per_channel):
    losses = {}
    for method in ("mse", "max"):
        scale = weight_scale(weight, bits, method, per_channel=per_channel)
        assert (scale > 0).all()
        assert scale.shape == ((3,) if per_channel else (1,))
        codes = weight_codes(weight, scale, bits).array.astype(np.float64)
        losses[method] = ((codes * scale.reshape(-1, 1).astype(np.float64) - weight) ** 2).sum()
    assert losses["mse"] <= losses["max"] * (1 + 1e-9)


def test_layer_entries_match_names_and_origins_and_the_last_wins():
    graph = quantized(
        weight_bits=7,
        layers=(
            Layer("/a/*", weight_bits=5, activation_bits=6),
            Layer("?", weight_bits=4),
            Layer("c", weight_bits=3),
            Layer("sum", activation_bits=12),
        ),
    )
    dtypes = {name: str(graph.constants[f"{name}.weight"].dtype) for name in "abc"}
    assert dtypes == {"a": "int4", "b": "int4", "c": "int3"}
    assert points(graph) == {
        "x": "uint8",
        "a.relu": "uint6",
        "b": "uint8",
        "sum": "uint12",
        "mean": "uint8",
        "c": "int16",
    }


METHODS = "Calibration: minmax, percentile, mse, entropy; weights: mse, max."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 0}, "weight_bits is 0. Choose 1 to 8."),
        ({"weight_bits": 9}, "weight_bits is 9. Choose 1 to 8."),
        ({"activation_bits": 17}, "activation_bits is 17. Choose 1 to 16."),
        ({"output_bits": 0}, "output_bits is 0. Choose 1 to 16."),
        ({"layers": (Layer("a", 9),)}, "weight_bits of 'a' is 9. Choose 1 to 8."),
        ({"layers": (Layer("a", 0, -1),)}, "activation_bits of 'a' is -1. Choose 1 to 16."),
        (
            {"calibration": "best"},
            f"There is no calibration 'best' with weights 'mse'. {METHODS}",
        ),
        ({"weights": "kl"}, f"There is no calibration 'mse' with weights 'kl'. {METHODS}"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Quantize(**options)


def test_a_layer_entry_that_matches_nothing_is_refused_with_the_names_there_are():
    message = (
        "No node matches the layer pattern 'conv*'. The nodes are: /a/Op, /a/Relu, a.pool, /b/Op, "
        "sum, mean, flat, /c/Op."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        quantized(layers=(Layer("conv*", 4),))


@pytest.mark.parametrize("weight_bits", [1, 2, 5, 8])
@pytest.mark.parametrize("activation_bits", [1, 2, 7, 8, 9, 16])
def test_every_combination_of_bits_lowers_with_every_node_proved(weight_bits, activation_bits):
    float_graph = Canonicalize().run(network(), Context())
    graph = quantized(float_graph, weight_bits=weight_bits, activation_bits=activation_bits)
    check_lowered(graph)


def check_lowered(graph):
    """Every node is proved, and codes are within one of the reals before."""
    lowered = verify(Lower().run(graph, Context()), "integer")
    assert all(node.certificate.proved for node in lowered.nodes if node.certificate)
    (source,) = lowered.inputs
    codes = source.encoding.encode(DATA["x"], source.type.dtype, "half_up")
    got = evaluate(lowered, {"x": codes})["c"]
    output = lowered.producers["c"].value
    expected = evaluate(graph, DATA)[graph.outputs[0]]
    step = output.encoding.scale
    assert np.abs(output.encoding.decode(got) - expected).max() <= step


@pytest.mark.parametrize("name", ["a", "c"])
@pytest.mark.parametrize("activation_bits", [3, 8])
def test_a_filter_of_zeros_in_one_bit_gives_its_bias(name, activation_bits):
    graph = network()
    weight = graph.constants[f"{name}.w"].array.copy()
    weight[1] = 0
    bias = np.array([0.2, 0.7, 0.4, 0.1])[: len(weight)]
    held = {f"{name}.w": real(weight), f"{name}.b": real(bias)}
    graph = replace(graph, constants={**graph.constants, **held})
    coded = quantized(graph, weight_bits=1, activation_bits=activation_bits)
    scale = coded.constants[f"{name}.weight_scale"].array
    assert scale[1] == np.float32(LEAST_SCALE) < scale[0]
    found = {node.name: result for node, result in walk(coded, DATA)}
    np.testing.assert_array_equal(found[name][:, 1], np.float32(0.7))
    check_lowered(coded)


def test_more_bits_come_closer_to_the_float_network():
    truth = evaluate(network(), DATA)["c"]
    errors = [
        np.abs(evaluate(graph, DATA)[graph.outputs[0]] - truth).mean()
        for graph in (quantized(weight_bits=b, activation_bits=b) for b in (2, 4, 6, 8))
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 * np.abs(truth).mean()
