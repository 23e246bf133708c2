"""Outputs of imported graphs: codes under the model's names, or exact accumulators."""

import re

import numpy as np
import pytest

from intaglio.errors import PassError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, Encoding, int_type
from intaglio.ir.ops_layout import Concat, Slice
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Add, Affine, Relu
from intaglio.ir.ops_quant import Dequantize, Quantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.passes.base import Context
from intaglio.passes.lower import Lower

INT8, UINT8 = int_type(8), int_type(8, signed=False)
WEIGHT = Tensor(np.array([[3, -2], [-5, 7]]), INT8)


@pytest.fixture
def b():
    """A builder with an input x quantized by 0.5 and 3, read back as ``x.real``."""
    b = Builder("g")
    x = b.input(Value("x", TensorType((BATCH, 2))))
    half, three = (
        b.constant("half", real(np.array(0.5))),
        b.constant("three", Tensor(np.array(3), INT8)),
    )
    codes = b.node("x.codes", Quantize(UINT8), x, half, three)
    b.node("x.real", Dequantize(), codes, half, three)
    return b


def dense(b, name="y", scale=(0.25, 0.125), zero=0):
    step = b.constant("step", real(np.array(scale)))
    none = b.constant("none", Tensor(np.array(zero), INT8))
    w = b.node("w.real", Dequantize(0), b.constant("w", WEIGHT), step, none)
    bias = b.constant("bias", real(np.array([1.5, -0.1])))
    return b.node(name, Dense(), "x.real", w, bias)


def lower(b, *outputs):
    return Lower().run(b.build(outputs), Context())


def reals_of(graph, lowered, codes):
    """The float graph's outputs, and the real values of the integer graph's."""
    encoding = lowered.inputs[0].encoding
    expected = evaluate(graph, {"x": encoding.decode(codes).astype(np.float32)})
    found = evaluate(lowered, {"x": codes})
    return expected, {n: lowered.values[n].encoding.decode(a) for n, a in found.items()}


CODES = np.arange(256).astype(np.uint8).reshape(-1, 2)


def test_a_layer_without_quantise_point_leaves_its_accumulator_with_an_encoding_per_channel(b):
    out = dense(b)
    lowered = lower(b, out)
    assert [(node.name, node.op.name) for node in lowered.nodes] == [("y", "dense")]
    encoding = lowered.values["y"].encoding
    bias = float(np.float32(-0.1))
    assert encoding == Encoding((0.125, 0.0625), 0, (1.5 - 0.375, bias - 0.375))
    expected, found = reals_of(b.build((out,)), lowered, CODES)
    assert np.array_equal(expected["y"], found["y"].astype(np.float32))


def test_an_affine_after_it_joins_the_encoding(b):
    factor = b.constant("factor", real(np.array([2.0, 0.5])))
    shift = b.constant("shift", real(np.array([0.0, 1.0])))
    lowered = lower(b, b.node("z", Affine(), dense(b), factor, shift))
    assert lowered.outputs == ("z",)
    assert lowered.values["z"].encoding.scale == (0.25, 0.03125)


def test_a_sum_leaves_in_the_common_unit_of_both_scales(b):
    quarter, none = (
        b.constant("quarter", real(np.array(0.25))),
        b.constant("no", Tensor(np.array(0), INT8)),
    )
    p = b.node("p", Quantize(INT8), "x.real", quarter, none)
    other = b.node("p.real", Dequantize(), p, quarter, none)
    lowered = lower(b, b.node("s", Add((1, -1)), "x.real", other))
    assert lowered.values["s"].encoding == Encoding(0.25, 0, -1.5)
    assert lowered.producers["s"].op.multipliers == (2, -1)


def test_what_is_real_and_no_plain_accumulator_is_refused(b):
    out = b.node("r", Relu(), dense(b))
    message = (
        "Output 'r': It is real, not codes. Put a quantise point before it, or stop before it with "
        "outputs=['y'] (--output-tensor 'y')."
    )
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        lower(b, out)


def test_codes_leave_under_the_name_of_the_dequantize_that_the_model_calls_its_output(b):
    quarter, none = (
        b.constant("quarter", real(np.array(0.25))),
        b.constant("no", Tensor(np.array(0), INT8)),
    )
    q = b.node("q", Quantize(INT8), dense(b), quarter, none)
    lowered = lower(b, b.node("logits", Dequantize(), q, quarter, none))
    assert lowered.outputs == ("logits",)
    assert lowered.values["logits"].encoding == Encoding(0.25, 0)


@pytest.mark.parametrize("signs", [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
def test_the_sign_of_a_layer_is_a_threshold_also_where_it_falls(b, signs):
    factor = b.constant("factor", real(np.array(signs)))
    shift = b.constant("shift", real(np.array([0.3, -0.7])))
    line = b.node("line", Affine(), dense(b), factor, shift)
    one, none = b.constant("one", real(np.array(1.0))), b.constant("no", Tensor(np.array(0), INT8))
    out = b.node("s", Quantize(BIPOLAR), line, one, none)
    lowered = lower(b, out)
    names = [node.op.name for node in lowered.nodes]
    assert names == ["dense", "threshold"]  # falling rows are negated in the weight
    expected = evaluate(b.build((line,)), {"x": 0.5 * (CODES.astype(np.float32) - 3)})["line"]
    got = evaluate(lowered, {"x": CODES})["s"]
    assert np.array_equal(got, np.where(expected >= 0, 1, -1))


def test_weights_with_a_zero_point_lose_it(b):
    lowered = lower(b, dense(b, zero=100))
    assert lowered.constants["y.weight"].array.tolist() == [[-97, -102], [-105, -93]]


def test_the_least_code_is_left_out_of_a_narrow_type(b):
    tenth, none = (
        b.constant("tenth", real(np.array(0.1))),
        b.constant("no", Tensor(np.array(0), INT8)),
    )
    out = b.node("q", Quantize(INT8, narrow=1), dense(b), tenth, none)
    codes = evaluate(lower(b, out), {"x": np.array([[0, 255], [255, 0]], np.uint8)})["q"]
    assert codes.tolist() == [[-127, 127], [127, -127]]


@pytest.mark.parametrize(("first", "codes"), [(0, [1, 1, 3, 3]), (1, [0, 2, 2, 4])])
def test_a_zero_point_may_be_added_before_rounding(b, first, codes):
    one, odd = b.constant("one", real(np.array(1.0))), b.constant("odd", Tensor(np.array(1), INT8))
    out = b.node("q", Quantize(INT8, zero_first=first), "x.real", one, odd)
    lowered = lower(b, out)
    ties = np.array([[2, 4], [6, 8]], np.uint8)  # -0.5, 0.5, 1.5, 2.5
    assert evaluate(lowered, {"x": ties})["q"].ravel().tolist() == codes


def test_outputs_of_the_same_codes_are_all_there_under_their_names(b):
    half, three = ("half", "three")
    b.node("again", Dequantize(), "x.codes", half, three)
    out = dense(b)
    q = b.node("q", Quantize(UINT8), out, half, three)
    reals = [b.node(name, Dequantize(), q, half, three) for name in ("first", "second")]
    lowered = lower(b, "x.codes", "again", q, *reals)
    assert lowered.outputs == ("x.codes", "again", "q", "first", "second")
    found = evaluate(lowered, {"x": CODES})
    assert np.array_equal(found["x.codes"], CODES)
    assert np.array_equal(found["again"], CODES)
    assert np.array_equal(found["q"], found["first"])
    assert np.array_equal(found["q"], found["second"])
    assert lowered.values["second"].encoding == Encoding(0.5, 3)


def test_an_accumulator_that_is_an_output_takes_its_name_from_the_codes_that_it_becomes(b):
    out = dense(b)
    q = b.node("q", Quantize(UINT8), out, "half", "three")
    lowered = lower(b, out, b.node("z", Dequantize(), q, "half", "three"))
    assert lowered.outputs == ("y", "z")
    assert [node.name for node in lowered.nodes] == ["y", "z"]


def test_a_concat_takes_parts_that_are_no_codes_yet(b):
    half, three = ("half", "three")
    total = b.node("s", Add((1, -1)), "x.real", "x.real")
    moved = b.node("m", Slice((1,), (2,), (1,)), dense(b))
    parts = (dense(b, "d"), "x.real", total, b.node("r", Relu(), "x.real"), moved)
    joined = b.node("c", Concat(1), *parts)
    graph = b.build((b.node("q", Quantize(INT8), b.node("p", Relu(), joined), half, three),))
    found = evaluate(Lower().run(graph, Context()), {"x": CODES})
    x = Encoding(0.5, 3).decode(CODES).astype(np.float32)
    assert np.array_equal(found["q"], evaluate(graph, {"x": x})["q"])
