"""Pools without their border, indices, normalization and slopes, lowered to integers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import intaglio
from intaglio.errors import PassError, ShapeError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import INT32, Encoding, int_type
from intaglio.ir.ops_arg import ArgMax
from intaglio.ir.ops_layout import Concat, Reshape, Slice
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pointwise import Affine, PRelu, Relu
from intaglio.ir.ops_pool import AveragePool
from intaglio.ir.ops_quant import Dequantize, Lookup, Quantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.flow import Flow
from intaglio.passes.lower import Lower
from intaglio.passes.lower_pool import Run, runs
from intaglio.passes.rescale import round_fraction
from intaglio.passes.weights import weight_codes, weight_scale

RNG = np.random.default_rng(0)
UINT8 = int_type(8, signed=False)
IN, OUT = (np.float32(0.37), 117), (np.float32(0.21), 90)


class Draft:
    """A quantized graph: codes of one input behind a dequantize, then ops, then a quantize."""

    def __init__(self, *shape, dtype=UINT8):
        self.b = Builder("g")
        codes = self.b.input(Value("x", TensorType((BATCH, *shape), dtype)))
        self.value = self.b.node("x.real", Dequantize(), codes, *self.scale("in", *IN))

    def scale(self, name, step, zero):
        held = Tensor(np.asarray(zero), INT32)
        return self.b.constant(f"{name}.s", real(step)), self.b.constant(f"{name}.z", held)

    def then(self, op, *constants):
        names = [self.b.constant(f"c{len(self.b.nodes)}", real(each)) for each in constants]
        self.value = self.b.node(op.name, op, self.value, *names, origin=f"/{op.name}")
        return self

    def lowered(self):
        op = Quantize(UINT8, rounding="half_up")
        out = self.b.node("y", op, self.value, *self.scale("out", *OUT))
        graph = verify(self.b.build((out,)), "quantized")
        return verify(Lower().run(graph, Context()), "integer")


def code(exact):
    """The code of an exact real."""
    return min(max(round_fraction(exact / Fraction(float(OUT[0])), "half_up") + OUT[1], 0), 255)


def averages(x, op):
    """The exact mean of each window of one plane of codes, as reals."""
    (kh, kw), (sh, sw), (top, left, bottom, right) = op.kernel, op.strides, op.pads
    height, width = x.shape
    for i in range(0, height + top + bottom - kh + 1, sh):
        for j in range(0, width + left + right - kw + 1, sw):
            rows = slice(max(i - top, 0), max(min(i - top + kh, height), 0))
            part = x[rows, max(j - left, 0) : max(min(j - left + kw, width), 0)]
            total = int(part.astype(np.int64).sum()) - IN[1] * part.size
            yield Fraction(float(IN[0])) * Fraction(total, part.size)


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 3)] * 4),
)
def test_a_pool_whose_border_does_not_count_is_exact(size, kernel, strides, pads):
    op = AveragePool(kernel, strides, pads, 0)
    try:
        op.infer(TensorType((BATCH, 2, *size)))
    except ShapeError:
        assume(False)
    lowered = Draft(2, *size).then(op).lowered()
    x = RNG.integers(0, 256, (2, 2, *size), dtype=np.uint8)
    (found,) = evaluate(lowered, {"x": x}).values()
    for place in np.ndindex(2, 2):
        expected = [code(mean) for mean in averages(x[place], op)]
        assert found[place].reshape(-1).tolist() == expected


def test_such_a_pool_may_be_scaled_and_clipped_before_it_is_rounded():
    op, factor = AveragePool((3, 3), (2, 2), (1, 1, 1, 1), 0), np.array([0.5, -2.0], np.float32)
    draft = Draft(2, 5, 5).then(op).then(Affine(), factor, np.float32(1.25)).then(Relu())
    x = RNG.integers(0, 256, (3, 2, 5, 5), dtype=np.uint8)
    (found,) = evaluate(draft.lowered(), {"x": x}).values()
    for n, c in np.ndindex(3, 2):
        scaled = (Fraction(float(factor[c])) * mean for mean in averages(x[n, c], op))
        expected = [code(max(each + Fraction(5, 4), Fraction(0))) for each in scaled]
        assert found[n, c].reshape(-1).tolist() == expected


def test_runs_of_windows_of_one_size():
    assert runs(6, 3, 1, 1, 6) == [Run(0, 2, 1), Run(0, 3, 1, 4), Run(4, 2, 1)]
    assert runs(6, 2, 2, 0, 3) == [Run(0, 2, 2, 3)]
    assert sum(run.count for run in runs(5, 9, 1, 4, 5)) == 5


@pytest.mark.parametrize("slopes", [0.25, [0.25, -1.5, 0.0]])
def test_slopes_become_tables_exactly(slopes):
    slope = np.asarray(slopes, dtype=np.float32)
    lowered = Draft(3, 2).then(PRelu(), slope).lowered()
    (node,) = lowered.nodes
    assert isinstance(node.op, Lookup)
    rows = lowered.constants[node.inputs[1]].array
    assert rows.shape == ((256,) if slope.ndim == 0 else (3, 256))
    step = Fraction(float(IN[0]))
    for row, each in zip(rows.reshape(-1, 256), slope.reshape(-1), strict=True):
        reals = [step * (q - IN[1]) for q in range(256)]
        factor = Fraction(float(each))
        assert row.tolist() == [code(r if r >= 0 else factor * r) for r in reals]


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 100.0])
def test_normalization_differs_from_the_reals_by_half_a_code(epsilon):
    """And by 2**-16 times the error of the integer form, which is far less."""
    lowered = Draft(4, 9).then(LayerNorm(2), np.float32(epsilon)).lowered()
    x = RNG.integers(0, 256, (5, 4, 9), dtype=np.uint8)
    x[0] = 7
    (found,) = evaluate(lowered, {"x": x}).values()
    reals = float(IN[0]) * (x.astype(np.float64) - IN[1])
    centered = reals - reals.mean(axis=2, keepdims=True)
    variance = (centered**2).mean(axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(centered / np.sqrt(variance + float(np.float32(epsilon))))
    decoded = float(OUT[0]) * (found.astype(np.float64) - OUT[1])
    assert np.abs(decoded - expected).max() <= float(OUT[0]) * 0.5 + 1e-4


def test_normalization_that_would_overflow_is_refused():
    draft = Draft(1 << 17, dtype=int_type(16, signed=False))
    with pytest.raises(PassError) as caught:
        draft.then(LayerNorm(1), np.float32(1e-5)).lowered()
    assert str(caught.value) == (
        "Node '/layer_norm' (layer_norm): Its sums over 131072 codes of uint16 overflow 64 bits. "
        "Use fewer bits for its input."
    )


def classifier():
    """Logits whose greatest is the output."""
    b = Builder("classifier")
    x = b.input(Value("x", TensorType((BATCH, 6))))
    weight = b.constant("w", real(RNG.standard_normal((4, 6))))
    logits = b.node("logits", Dense(), x, weight)
    index = b.node("index", ArgMax(1), logits)
    return b.build((b.node("y", Reshape(()), index),))


def test_an_index_is_an_output_as_it_is():
    graph = classifier()
    assert Flow(graph).points == ("x", "logits")
    data = RNG.standard_normal((200, 6)).astype(np.float32)
    network = intaglio.compile(graph, data)
    found = network.run(data)
    assert network.outputs[0].encoding == Encoding(1.0)
    assert network.outputs[0].type == TensorType((BATCH,), INT32)
    floats = evaluate(graph, {"x": data})["y"]
    assert np.mean(found.codes == floats) > 0.97
    assert str(next(s for s in network.program.slots if s.name == "logits").type) == "int16[n,4]"
    assert network.check(data) > 0


def test_an_index_that_is_computed_with_is_quantized():
    b = Builder("g")
    x = b.input(Value("x", TensorType((BATCH, 6))))
    index = b.node("index", ArgMax(1), x)
    half, zero = b.constant("half", real(0.5)), b.constant("zero", real(0.0))
    graph = b.build((b.node("y", Affine(), index, half, zero),))
    assert Flow(graph).points == ("x", "index", "y")
    data = RNG.standard_normal((50, 6)).astype(np.float32)
    assert intaglio.compile(graph, data).check(data) > 0


def test_slices_of_one_value_put_together_are_its_codes():
    b = Builder("g")
    x = b.input(Value("x", TensorType((BATCH, 5))))
    first = b.node("first", Slice((0,), (2,), (1,)), x)
    last = b.node("last", Slice((4,), (5,), (1,)), x)
    mirrored = b.node("mirrored", Concat(1), last, x, first)
    graph = b.build((b.node("y", Concat(1), mirrored, x),))
    flow = Flow(graph)
    assert flow.points == ("x",)
    assert set(flow.carriers.values()) == {"x"}
    data = RNG.standard_normal((9, 5)).astype(np.float32)
    network = intaglio.compile(graph, data)
    codes = network.encode(data)["x"]
    expected = np.concatenate([codes[:, 4:], codes, codes[:, :2], codes], axis=1)
    assert np.array_equal(network.run(data).codes, expected)


def test_weights_that_are_multiples_of_a_power_of_two_keep_their_values():
    weight = np.array([[0.75, 0.25, 0.0], [0.3, 0.7, 0.1], [0.0, 0.0, 0.0], [1, 1, 1]], np.float32)
    scale = weight_scale(weight, 8, "mse", per_channel=True)
    codes = weight_codes(weight, scale, 8).array
    exact = scale[:, None] * codes == weight
    assert exact.all(axis=1).tolist() == [True, False, True, True]
    assert scale[0] == 2.0**-7
