"""QONNX quantizers: codes equal to exact rationals, and to qonnx's executor where it is exact."""

import os
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import intaglio
from intaglio.errors import IntaglioError
from intaglio.ir.numeric import Encoding

pytest.importorskip("qonnx", reason="QONNX models are checked against qonnx's executor")

from .qonnx_cases import (
    DOMAIN,
    ROUNDINGS,
    Layer,
    Result,
    build,
    compare,
    execute,
    model_of,
    quant,
)

FLAGS = (True, False)
RNG = np.random.default_rng(0)
X = (RNG.integers(-40, 40, (8, 4, 5, 5)) / 8).astype(np.float32)
CONSTANTS = {
    "none": 0.0,
    "half": 0.5,
    "one": 1.0,
    "four": 4.0,
    "w": RNG.integers(-7, 8, (5, 4, 3, 3)),
}
CONV = [
    quant("x", "half", "four", "xq"),
    quant("w", "one", "four", "wq"),
    helper.make_node("Conv", ["xq", "wq"], ["a"], "/conv"),
]


def result(model, x=X):
    """What the compiled network gives, and what qonnx's executor does, as reals."""
    return intaglio.compile(model).run(x), execute(model, x)


def same(model, x=X):
    """The network's output, once its codes are known to equal qonnx's."""
    got, expected = result(model, x)
    step = got.encoding.scale
    scale = np.reshape(step, (-1, *(1,) * (x.ndim - 2))) if isinstance(step, tuple) else step
    steps = (expected - got.real) / scale
    assert np.abs(steps).max() < 1e-4
    return got


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize(("signed", "per_channel"), list(product(FLAGS, FLAGS)))
def test_every_rounding_of_a_layer_in_powers_of_two_equals_qonnx(bits, signed, per_channel):
    operator = "Conv" if bits % 2 else "MatMul"
    for mode in ROUNDINGS:
        layer = Layer(bits, signed, per_channel, mode, operator=operator)
        found = compare(layer)
        assert (found.ours, found.theirs) == (0, 0), layer


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_any_scale_equals_the_definition_and_qonnx_but_for_float32(rounding, bits):
    for signed, per_channel in product(FLAGS, FLAGS):
        found = compare(Layer(bits, signed, per_channel, rounding, powers=False))
        assert (found.ours, found.far) == (0, 0)


@pytest.mark.parametrize(("narrow", "zero_point"), list(product(FLAGS, (0, 3, -2))))
def test_a_zero_point_is_added_before_rounding_and_narrow_drops_one_code(narrow, zero_point):
    for signed, rounding in product(FLAGS, ("ROUND", "HALF_UP", "DOWN")):
        layer = Layer(3, signed, True, rounding, narrow=narrow, zero_point=zero_point)
        found = compare(layer)
        assert found == Result(found.codes, 0, 0, 0)


@pytest.mark.parametrize("domain", ["onnx.brevitas", "finn.custom_op.general"])
def test_the_domains_of_older_exporters_mean_the_same(domain):
    newer, older = (Layer(4, True, True, "ROUND", domain=each) for each in (DOMAIN, domain))
    assert compare(newer).ours == 0
    assert intaglio.compile(build(older).model).outputs[0].type.dtype.bits == 4


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_real_inputs_are_rounded_as_the_node_says_ties_and_clipping_included(mode):
    for narrow, zero in product((0, 1), (0.0, 3.0)):
        nodes = [quant("x", "half", "four", "y", zero="z", narrow=narrow, mode=mode)]
        got = same(model_of(nodes, X.shape, CONSTANTS | {"z": zero}), X * 4)
        assert got.codes.min() == -8 + narrow


def test_what_is_linear_before_the_first_quantizer_ends_in_the_encoding_of_the_input():
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["m"], "/m"),
        helper.make_node("Sub", ["m", "one"], ["s"], "/s"),
        quant("s", "half", "four", "y"),
    ]
    network = intaglio.compile(model_of(nodes, X.shape, CONSTANTS | {"two": 2.0}))
    assert network.inputs[0].encoding == Encoding(0.25, 0, 0.5, "half_even")
    same(model_of(nodes, X.shape, CONSTANTS | {"two": 2.0}))


def test_a_relu_before_the_first_quantizer_clips_codes():
    nodes = [helper.make_node("Relu", ["x"], ["r"], "/r"), quant("r", "half", "four", "y")]
    assert same(model_of(nodes, X.shape, CONSTANTS)).codes.min() == 0


@pytest.mark.parametrize("mode", ["ROUND", "HALF_UP", "FLOOR"])
def test_activations_may_have_a_scale_and_a_zero_point_per_channel(mode):
    constants = CONSTANTS | {
        "scales": RNG.uniform(0.5, 3, (1, 5, 1, 1)),
        "zeros": RNG.integers(0, 4, (1, 5, 1, 1)),
    }
    node = quant("a", "scales", "four", "y", zero="zeros", signed=0, narrow=1, mode=mode)
    assert same(model_of([*CONV, node], X.shape, constants)).codes.max() == 14


def test_a_real_output_is_the_accumulator_with_a_scale_and_an_offset_per_channel():
    names = ("gamma", "beta", "mean", "variance")
    values = [*RNG.normal(size=(3, 5)), RNG.uniform(0.5, 2, 5)]
    constants = CONSTANTS | dict(zip(names, values, strict=True))
    norm = helper.make_node("BatchNormalization", ["a", *names], ["y"], "/norm")
    got = same(model_of([*CONV, norm], X.shape, constants))
    assert got.codes.dtype == np.int32
    assert len(got.encoding.scale) == len(got.encoding.offset) == 5


def test_weights_stay_codes_through_transposes_and_reshapes():
    constants = CONSTANTS | {
        "m": RNG.normal(size=(6, 50)),
        "scales": RNG.uniform(0.1, 0.3, (6, 1)),
        "shape": 0.0,
    }
    nodes = [
        quant("x", "half", "four", "xq"),
        quant("m", "scales", "four", "mq"),
        helper.make_node("Transpose", ["mq"], ["t"], "/t", perm=[1, 0]),
        helper.make_node("MatMul", ["xq", "t"], ["a"], "/a"),
        quant("a", "one", "four", "y"),
    ]
    x = RNG.normal(size=(8, 50)).astype(np.float32)
    got = same(model_of(nodes, x.shape, constants), x)
    assert np.unique(got.codes).size > 4


def test_bipolar_weights_and_activations_are_stored_in_one_bit():
    nodes = [
        helper.make_node("BipolarQuant", ["x", "half"], ["xq"], "/xq", domain=DOMAIN),
        helper.make_node("BipolarQuant", ["w", "one"], ["wq"], "/wq", domain=DOMAIN),
        helper.make_node("Conv", ["xq", "wq"], ["a"], "/conv"),
        helper.make_node("BipolarQuant", ["a", "one"], ["y"], "/y", domain=DOMAIN),
    ]
    model = model_of(nodes, X.shape, CONSTANTS)
    assert set(np.unique(same(model).codes)) == {-1, 1}
    weights = [slot for slot in intaglio.compile(model).program.slots if "weight" in slot.name]
    assert [str(slot.type.dtype) for slot in weights] == ["bipolar"]


@pytest.mark.parametrize(
    ("node", "constants", "message"),
    [
        (
            quant("x", "half", "four", "y", mode="STOCHASTIC"),
            {},
            "Node '/y' (Quant): The rounding mode 'STOCHASTIC' is not supported. Supported: ROUND, "
            "HALF_EVEN, HALF_UP, HALF_DOWN, CEIL, FLOOR, UP, DOWN, ROUND_TO_ZERO, DPU.",
        ),
        (
            quant("x", "bad", "four", "y"),
            {"bad": -1.0},
            "Node '/y' (Quant): Its scale holds -1.0. Scales must be positive and finite.",
        ),
        (
            quant("x", "half", "bad", "y"),
            {"bad": 3.5},
            "Node '/y' (Quant): It quantizes to 3.5 bits. Supported are 1 to 32 bits.",
        ),
        (
            quant("x", "half", "four", "y", zero="bad"),
            {"bad": 0.5},
            "Node '/y' (Quant): Its zero point 0.5 is not an integer. Use a symmetric quantizer, or "
            "one whose zero point is rounded.",
        ),
        (
            quant("x", "half", "one", "y", zero="bad"),
            {"bad": 1.0},
            "Node '/y' (Quant): It quantizes to one signed bit with the zero point 1. Bipolar codes "
            "-1 and +1 have no zero point: use zero point 0.",
        ),
        (
            quant("x", "half", "one", "y", signed=0, narrow=1),
            {},
            "Node '/y' (Quant): It has only one code. Use more bits, or narrow = 0.",
        ),
        (
            quant("x", "half", "bad", "y"),
            {"bad": [1.0, 2.0]},
            "Node '/y' (Quant): Its bit width 'bad' has the shape (2,). It must be one number.",
        ),
        (
            quant("x", "bad", "four", "y"),
            {"bad": np.arange(1, 21).reshape(1, 4, 5, 1)},
            "Node '/y' (Quant): Its scale and zero point have the shapes (1, 4, 5, 1) and () for a "
            "tensor of shape ('n', 4, 5, 5). Supported are one scale per tensor, or one per channel: "
            "along one axis.",
        ),
        (
            quant("x", "x", "four", "y"),
            {},
            "Node '/y' (Quant): Its operand 'x' is computed from the inputs of the network. Only a "
            "constant is supported there.",
        ),
    ],
)
def test_what_is_no_quantizer_is_refused_with_the_node_and_a_way_out(node, constants, message):
    model = model_of([node], X.shape, CONSTANTS | constants)
    with pytest.raises(IntaglioError, match=f"^{re.escape(message)}$"):
        intaglio.import_model(model)


def test_a_weight_that_is_not_finite_is_named():
    model = model_of([quant("w", "one", "four", "y")], X.shape, CONSTANTS | {"w": [1.0, np.nan]})
    with pytest.raises(IntaglioError) as caught:
        intaglio.import_model(model)
    assert str(caught.value) == (
        "Node '/y' (Quant): Weight 'w' has 1 of 2 elements that are not finite in float32 (the "
        "first, at [1], is nan). No integer stands for them: repair or retrain the weights."
    )


DATA = Path(os.environ.get("INTAGLIO_DATA", Path(intaglio.__file__).parent.parent / "shared/data"))


@pytest.mark.parametrize("name", ["TFC_1W1A", "TFC_2W2A"])
def test_published_networks_give_the_logits_of_qonnx(name):
    folder = DATA / "models" / "qonnx"
    if not folder.is_dir():
        pytest.skip("needs the QONNX models; docs/data.md says where they are published")
    known = np.load(folder / f"{name}.ref.npz")
    got = intaglio.compile(folder / f"{name}.onnx").run(known["x"])
    accumulators = (known["y"] - got.encoding.offset) / got.encoding.scale
    assert np.abs(accumulators - np.rint(accumulators)).max() < 1e-3
    assert np.array_equal(np.rint(accumulators), got.codes)
