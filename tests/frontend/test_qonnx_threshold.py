"""MultiThreshold and Trunc against qonnx's executor."""

import re

import numpy as np
import pytest
from onnx import helper

import intaglio
from intaglio.errors import IntaglioError

pytest.importorskip("qonnx", reason="QONNX models are checked against qonnx's executor")

from .qonnx_cases import DOMAIN, model_of, quant
from .test_qonnx import CONSTANTS, CONV, X, same

RNG = np.random.default_rng(1)


def threshold(x="a", y="y", **attributes):
    return helper.make_node("MultiThreshold", [x, "t"], [y], f"/{y}", domain=DOMAIN, **attributes)


def levels(channels, count, span=20):
    return np.sort(RNG.integers(-4 * span, 4 * span, (channels, count)) / 4, axis=1)


@pytest.mark.parametrize(
    ("attributes", "shape", "dtype"),
    [
        ({"out_dtype": "UINT2"}, (5, 3), "uint2"),
        ({"out_dtype": "UINT2"}, (1, 3), "uint2"),
        ({"out_dtype": "BIPOLAR", "out_scale": 2.0, "out_bias": -1.0}, (5, 1), "bipolar"),
        ({"out_dtype": "INT4", "out_scale": 0.25, "out_bias": -2.0}, (5, 15), "int4"),
        ({"out_dtype": "INT4", "out_scale": 1.0, "out_bias": -2.5}, (5, 5), "int4"),
    ],
)
def test_thresholds_on_accumulators_become_thresholds_on_integers(attributes, shape, dtype):
    model = model_of([*CONV, threshold(**attributes)], X.shape, CONSTANTS | {"t": levels(*shape)})
    same(model)
    assert str(intaglio.compile(model).outputs[0].type.dtype) == dtype


@pytest.mark.parametrize("scale", [0.3, -0.5])
def test_a_result_that_no_whole_codes_hold_is_an_affine_of_the_count(scale):
    node = threshold(out_dtype="INT4", out_scale=scale, out_bias=1.1)
    same(model_of([*CONV, node], X.shape, CONSTANTS | {"t": levels(5, 9)}))


def test_thresholds_after_a_batch_normalization_that_falls_in_some_channels():
    names = ("gamma", "beta", "mean", "variance")
    values = [np.array([1, -1, 0.5, -2, 0]), *RNG.normal(size=(2, 5)), np.ones(5)]
    norm = helper.make_node("BatchNormalization", ["a", *names], ["n"], "/norm")
    constants = CONSTANTS | dict(zip(names, values, strict=True)) | {"t": levels(5, 7)}
    got = same(model_of([*CONV, norm, threshold("n")], X.shape, constants))
    assert np.unique(got.codes[:, 1]).size > 2


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", ""])
def test_the_channel_axis_is_that_of_the_stated_layout(layout):
    axes = [0, 2, 3, 1] if layout == "NHWC" else [0, 1, 2, 3]
    nodes = [*CONV, helper.make_node("Transpose", ["a"], ["m"], "/m", perm=axes)]
    nodes.append(threshold("m", data_layout=layout))
    same(model_of(nodes, X.shape, CONSTANTS | {"t": levels(5, 3)}))


def test_thresholds_on_codes_and_after_a_relu():
    nodes = [
        quant("x", "half", "four", "q"),
        helper.make_node("Relu", ["q"], ["r"], "/r"),
        *CONV,
        helper.make_node("Relu", ["a"], ["b"], "/b"),
        threshold("b", out_bias=-3.0),
    ]
    same(model_of(nodes[2:], X.shape, CONSTANTS | {"t": levels(5, 7)}))
    codes = model_of([nodes[0], threshold("q")], X.shape, CONSTANTS | {"t": levels(4, 7, 3)})
    same(codes)


@pytest.mark.parametrize(
    ("table", "attributes", "message"),
    [
        (
            np.zeros((3, 2)),
            {},
            "The thresholds 't' have the shape (3, 2). They must be (5 or 1, levels).",
        ),
        (
            np.full((5, 2), np.inf),
            {},
            "The thresholds 't' are not all finite. Leave out those never reached.",
        ),
        (
            np.zeros((5, 2)),
            {"data_layout": "CNHW"},
            "Attribute 'data_layout' = 'CNHW' does not fit a tensor of 4 axes. The batch must be "
            "its first axis, and C one of the others.",
        ),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(table, attributes, message):
    model = model_of([*CONV, threshold(**attributes)], X.shape, CONSTANTS | {"t": table})
    whole = f"Node '/y' (MultiThreshold): {message}"
    with pytest.raises(IntaglioError, match=f"^{re.escape(whole)}$"):
        intaglio.import_model(model)


def trunc(x, constants, mode, **attributes):
    inputs = [x, *constants]
    options = {"domain": DOMAIN, "rounding_mode": mode, **attributes}
    return helper.make_node("Trunc", inputs, ["y"], "/y", **options)


@pytest.mark.parametrize("mode", ["FLOOR", "CEIL", "ROUND", "HALF_UP"])
@pytest.mark.parametrize("scale", [0.5, 0.3])
def test_an_average_is_truncated_from_the_exact_sum(mode, scale):
    size = np.float32(scale)
    parts = {"scale": size, "sum": size / np.float32(16), "eight": 8.0}
    pool = {"kernel_shape": [4, 4], "strides": [1, 1]}
    for signed in (0, 1):
        nodes = [
            quant("x", "scale", "four", "q", signed=signed),
            helper.make_node("AveragePool", ["q"], ["a"], "/pool", **pool),
            trunc("a", ["sum", "none", "eight", "scale", "four"], mode, signed=signed),
        ]
        model = model_of(nodes, X.shape, CONSTANTS | parts, version=2)
        same(model)
        ops = [instruction.op.name for instruction in intaglio.compile(model).program.steps]
        assert ops[0] == "sum_pool"


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND"])
def test_the_older_trunc_drops_bits_and_keeps_the_scale(mode):
    nodes = [
        quant("x", "half", "four", "q", signed=0),
        helper.make_node("AveragePool", ["q"], ["a"], "/pool", kernel_shape=[4, 4]),
        helper.make_node("Mul", ["a", "sixteen"], ["b"], "/mul"),
        trunc("b", ["half", "none", "eight", "four"], mode),
    ]
    constants = CONSTANTS | {"sixteen": 16.0, "eight": 8.0}
    same(model_of(nodes, X.shape, constants))


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        (
            {"to": 0.25, "zero": 0.0},
            "It divides codes by 2^-1. Supported are 2^0 to 2^31 for all channels.",
        ),
        (
            {"to": 2.0, "zero": 4.0, "four": 4.0},
            None,
        ),
        (
            {"to": 4.0, "zero": 4.0},
            "Its zero point 0.5 is not an integer. Use a symmetric quantizer, or one whose zero "
            "point is rounded.",
        ),
    ],
)
def test_truncation_is_by_a_power_of_two_that_divides_the_zero_point(constants, message):
    nodes = [
        quant("x", "half", "four", "q", zero="zero", signed=0),
        trunc("q", ["half", "zero", "four", "to", "four"], "FLOOR", signed=0),
    ]
    model = model_of(nodes, X.shape, CONSTANTS | constants, version=2)
    if message is None:
        same(model)
        return
    with pytest.raises(IntaglioError, match=re.escape(f"Node '/y' (Trunc): {message}")):
        intaglio.import_model(model)
