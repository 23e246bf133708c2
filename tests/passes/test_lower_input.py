"""Real inputs become codes: what is before their quantizer ends in the encoding, or on codes."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import PassError
from intaglio.ir.evaluate import evaluate, walk
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import BIPOLAR, ROUNDINGS, Encoding, int_type
from intaglio.ir.ops_layout import Reshape, Transpose
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Affine, Clip, Relu
from intaglio.ir.ops_quant import Dequantize, Quantize, Threshold
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.passes.base import Context
from intaglio.passes.lower import Lower

INT8 = int_type(8)
X = (np.arange(-60, 60) / 16).astype(np.float32).reshape(20, 3, 2)
FIX = "Quantize what it reads and what it gives, or stop before it with outputs (--output-tensor)."


class Draft:
    """A graph from real x ``(n, 3, 2)``, one op after the other."""

    def __init__(self):
        self.builder = Builder("g")
        self.last = self.builder.input(Value("x", TensorType((BATCH, 3, 2))))

    def then(self, op, *constants, name="v"):
        names = [
            self.builder.constant(
                f"{name}.{i}", each if isinstance(each, Tensor) else real(np.asarray(each))
            )
            for i, each in enumerate(constants)
        ]
        self.last = self.builder.node(name, op, self.last, *names, origin=f"/{name}")
        return self

    def quantize(self, op, scale=0.5, zero=0):
        zeros = Tensor(np.asarray(zero), INT8)
        return self.then(op, scale, zeros, name="q").then(Dequantize(), scale, zeros, name="y")

    def graph(self):
        return self.builder.build((self.last,))


def codes(graph, x=X):
    """The lowered graph's codes for reals that its input encodes."""
    lowered = Lower().run(graph, Context())
    (source,) = lowered.inputs
    given_codes = source.encoding.encode(x, source.type.dtype)
    (found,) = evaluate(lowered, {"x": given_codes}).values()
    return lowered, found


def real_codes(graph, x=X):
    """The codes of the quantize point by its reference."""
    (value,) = evaluate(graph, {"x": x}).values()
    step, zero = graph.constants["q.0"].array, graph.constants["q.1"].array
    along = (-1, *(1,) * (value.ndim - 2))
    return np.rint(value / (step.reshape(along) if step.size > 1 else step)) + (
        zero.reshape(along) if zero.size > 1 else zero
    )


@given(
    st.sampled_from(ROUNDINGS),
    st.integers(-3, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(-8, 8).map(lambda n: n / 8),
)
def test_inputs_are_encoded_as_the_point_rounds_them(rounding, zero, first, narrow, factor, shift):
    op = Quantize(int_type(3), 1, rounding, int(first), int(narrow))
    draft = Draft().then(Affine(), factor, shift, name="a").quantize(op, 0.5, zero)
    lowered, found = codes(draft.graph())
    assert np.array_equal(found, real_codes(draft.graph()))
    assert lowered.inputs[0].type.dtype == int_type(3)


def test_scales_and_affines_per_channel_give_an_encoding_per_channel():
    scale, factor = np.array([0.5, 0.25, 1.0]), np.array([1.0, 2.0, 0.5])
    draft = Draft().then(Affine(), factor, np.array([0.0, 1.0, -1.0]), name="a")
    draft.then(Quantize(INT8), scale, Tensor(np.array([0, 1, 2]), INT8), name="q")
    draft.then(Dequantize(), scale, Tensor(np.array([0, 1, 2]), INT8), name="y")
    lowered, found = codes(draft.graph())
    assert np.array_equal(found, real_codes(draft.graph()))
    assert lowered.inputs[0].encoding == Encoding(
        (0.5, 0.125, 2.0), (0, 1, 2), (0.0, -0.5, 2.0), "half_even"
    )


def test_moves_are_done_on_codes():
    draft = Draft().then(Reshape((2, 3)), name="r").then(Transpose((0, 2, 1)), name="t")
    draft.then(Affine(), 2.0, 1.0, name="a").quantize(Quantize(INT8))
    lowered, found = codes(draft.graph())
    assert np.array_equal(found, real_codes(draft.graph()))
    assert [node.op.name for node in lowered.nodes][:2] == ["reshape", "transpose"]


@pytest.mark.parametrize("clip", [Relu(), Clip(-0.7, 1.3)])
def test_clips_are_done_on_codes(clip):
    draft = Draft().then(clip, name="c").quantize(Quantize(INT8))
    lowered, found = codes(draft.graph())
    assert np.array_equal(found, real_codes(draft.graph()))
    assert lowered.nodes[0].certificate.method == "clip"


def test_the_sign_of_an_input_is_taken_where_its_affine_is_zero():
    draft = Draft().then(Affine(), 2.0, -1.0, name="a").quantize(Quantize(BIPOLAR), 1.0)
    lowered, found = codes(draft.graph())
    assert np.array_equal(found, np.where(X >= 0.5, 1, -1))
    assert lowered.inputs[0].encoding.offset == 0.5


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (
            Draft().then(Affine(), -1.0, 0.0, name="a").quantize(Quantize(INT8)),
            "Node '/q' (quantize): It quantizes an input times a number that is not positive.",
        ),
        (
            Draft()
            .then(Relu(), name="r")
            .then(Affine(), 2.0, 0.0, name="a")
            .quantize(Quantize(INT8)),
            "Node '/a' (affine): It scales an input that is clipped before.",
        ),
        (
            Draft()
            .then(Affine(), np.array([1.0, 2.0, 3.0]), 0.0, name="a")
            .then(Reshape((6,)), name="r")
            .quantize(Quantize(INT8)),
            "Node '/r' (reshape): It moves an input that is scaled channel by channel before.",
        ),
        (
            Draft()
            .then(Reshape((2, 3)), name="r")
            .then(Quantize(INT8), np.array([1.0, 2.0]), Tensor(np.array(0), INT8), name="q"),
            "Node '/q' (quantize): It has one scale per channel, not along axis 1 of an input.",
        ),
    ],
)
def test_what_no_encoding_can_say_is_refused(draft, message):
    with pytest.raises(PassError, match=f"^{re.escape(f'{message} {FIX}')}$"):
        Lower().run(draft.graph(), Context())


WEIGHT = Tensor(np.array([[3, -2], [-5, 7], [0, 0]]), INT8)


@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=6),
    st.sampled_from([(1.0, 1.0, 1.0), (0.5, -0.25, 0.0), (-2.0, -1.0, 1.0)]),
    st.booleans(),
)
def test_thresholds_on_reals_become_thresholds_on_accumulators(levels, factors, clipped):
    builder = Builder("g")
    x = builder.input(Value("x", TensorType((BATCH, 2)), "", None))
    half, none = (
        builder.constant("half", real(np.array(0.5))),
        builder.constant("none", Tensor(np.array(0), INT8)),
    )
    q = builder.node("q", Quantize(INT8), x, half, none)
    value = builder.node("r", Dequantize(), q, half, none)
    weight = builder.node("w", Dequantize(0), builder.constant("codes", WEIGHT), half, none)
    value = builder.node("d", Dense(), value, weight)
    factor, shift = (
        builder.constant(n, real(np.array(v))) for n, v in (("f", factors), ("s", (0.25, 0, -1)))
    )
    value = builder.node("a", Affine(), value, factor, shift)
    if clipped:
        value = builder.node("c", Clip(-3.0, 4.0), value)
    table = builder.constant("t", real(np.tile(np.sort(np.array(levels) / 4), (3, 1))))
    y = builder.node("y", Threshold(INT8, -2), value, table)
    graph = builder.build((y,))
    given_codes = np.stack(np.meshgrid(np.arange(-20, 21), np.arange(-20, 21)), -1).reshape(-1, 2)
    (expected,) = evaluate(graph, {"x": (given_codes / 2).astype(np.float32)}).values()
    lowered = Lower().run(graph, Context())
    (found,) = evaluate(lowered, {"x": given_codes.astype(np.int8)}).values()
    assert np.array_equal(found, expected)


def test_codes_that_are_moved_stand_for_the_reals_of_their_name():
    draft = Draft().then(Transpose((0, 2, 1)), name="before")
    draft.then(Affine(), 2.0, 0.25, name="scaled").then(Reshape((3, 2)), name="between")
    draft.then(Reshape((6,)), name="last").then(Affine(), 0.5, -1.0, name="quantized")
    graph = draft.quantize(Quantize(INT8), 0.5, 3).graph()
    lowered = Lower().run(graph, Context())
    given_codes = np.arange(-60, 60).reshape(20, 3, 2).astype(np.int8)
    x = lowered.inputs[0].encoding.decode(given_codes).astype(np.float32)
    reals, found = (
        {node.name: array for node, array in walk(each, {"x": inputs})}
        for each, inputs in ((graph, x), (lowered, given_codes))
    )
    assert list(found) == ["before", "between", "y"]  # the last is the output
    for name in found:
        encoding = lowered.values[name].encoding
        assert np.array_equal(encoding.decode(found[name]), reals[name])


def test_codes_of_what_is_clipped_do_not_bear_the_name_of_the_clipped_real():
    draft = Draft().then(Relu(), name="clipped").then(Reshape((6,)), name="moved")
    lowered = Lower().run(draft.quantize(Quantize(INT8)).graph(), Context())
    assert "moved" not in lowered.values
