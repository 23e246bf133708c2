"""Operators on codes in a quantized graph: taken over, or replaced by integers that equal them."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intaglio.errors import PassError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import Encoding, int_type
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_quant import Dequantize, PairLookup, Quantize, Threshold
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.verify import stage_of, verify
from intaglio.passes.base import Context
from intaglio.passes.lower import Lower

INT8, UINT8 = int_type(8), int_type(8, signed=False)
EVERY = np.arange(-128, 128)


def lower(graph):
    assert stage_of(graph) == "quantized"
    return verify(Lower().run(verify(graph, "quantized"), Context()), "integer")


def codes_input(b, name, channels, dtype=INT8, encoding=None):
    return b.input(Value(name, TensorType((BATCH, channels), dtype), "", encoding))


def ops(graph):
    return [node.op.name for node in graph.nodes]


def pair_graph(table, slopes=(0.0, 0.0)):
    b = Builder("pairs")
    x, y = codes_input(b, "x", 1), codes_input(b, "y", 1)
    held = b.constant("table", Tensor(table, INT8))
    op = PairLookup(INT8, (-128, -128), *slopes)
    return b.build((b.node("sum", op, x, y, held, encoding=Encoding(0.5, 3)),))


def every_pair():
    x, y = np.meshgrid(EVERY, EVERY, indexing="ij")
    return {"x": x.reshape(-1, 1).astype(np.int8), "y": y.reshape(-1, 1).astype(np.int8)}


def test_a_table_that_is_a_rounded_sum_becomes_an_addition_and_one_rescaling():
    exact = 0.37 * EVERY[:, None] + 0.61 * EVERY[None, :] + 1.2531
    table = np.clip(np.rint(exact), -128, 127).astype(np.int64)
    lowered = lower(pair_graph(table, (0.37, 0.61)))
    assert ops(lowered) == ["add", "requantize"]
    (codes,) = evaluate(lowered, every_pair()).values()
    assert np.array_equal(codes.reshape(256, 256), table)
    node = lowered.producers["sum"]
    assert str(node.certificate) == "certified over [0, 65535] (add, all pairs)"
    assert node.value.encoding == Encoding(0.5, 3)


def test_any_other_table_is_looked_up_by_the_number_of_the_pair():
    rng = np.random.default_rng(0)
    table = rng.integers(-128, 128, (256, 256))
    lowered = lower(pair_graph(table, (0.5, 0.5)))
    assert ops(lowered) == ["add", "requantize", "lookup"]
    (codes,) = evaluate(lowered, every_pair()).values()
    assert np.array_equal(codes.reshape(256, 256), table)
    assert str(lowered.producers["sum"].certificate) == "table over [0, 65535] (pairs of codes)"


def test_a_table_of_too_many_pairs_is_refused_with_the_users_node():
    b = Builder("pairs")
    wide = int_type(9)
    x, y = codes_input(b, "x", 1, wide), codes_input(b, "y", 1)
    held = b.constant("table", Tensor(np.zeros((512, 256), np.int64), INT8))
    op = PairLookup(INT8, (-256, -128))
    graph = b.build((b.node("sum", op, x, y, held, origin="/add"),))
    message = (
        "Node '/add' (pair_lookup): It would need a table of 131072 pairs of codes. Quantize what "
        "it reads and what it gives, or stop before it with outputs (--output-tensor)."
    )
    with pytest.raises(PassError, match=f"^{re.escape(message)}$"):
        lower(graph)


def layer(steps, base=-128, weight=((3, -2), (-5, 7))):
    """A dense layer of two codes whose accumulators climb ``steps``."""
    b = Builder("layer")
    x = codes_input(b, "x", 2)
    w = b.constant("w", Tensor(np.array(weight), INT8))
    acc = b.node("acc", Dense(), x, w)
    rows = b.constant("steps", Tensor(np.array(steps, np.int64), int_type(32)))
    return b.build((b.node("y", Threshold(INT8, base), acc, rows, origin="/fc"),))


@settings(max_examples=30)
@given(st.floats(0.003, 0.9), st.floats(-30, 30), st.integers(0, 2**32 - 1))
def test_steps_of_float32_arithmetic_become_one_certified_rescaling(scale, offset, seed):
    every = np.arange(-1600, 1601)
    factor = np.float32(scale)
    products = (every + np.rint(offset)).astype(np.float32) * factor
    assume(not np.any(products % 1 == 0.5))  # half_even in ties: no addend does that
    codes = np.clip(np.rint(products), -128, 127)
    steps = [every[0] + np.searchsorted(codes, k) for k in range(-127, 128)]
    graph = layer([steps])
    lowered = lower(graph)
    assert ops(lowered) == ["dense", "requantize"]
    assert lowered.producers["y"].certificate.verdict == "certified"
    x = np.random.default_rng(seed).integers(-128, 128, (500, 2)).astype(np.int8)
    given_steps = evaluate(graph, {"x": x})["y"]
    assert np.array_equal(evaluate(lowered, {"x": x})["y"], given_steps)


def test_steps_that_no_multiplier_climbs_stay_as_they_are():
    lowered = lower(layer([[0, 1, 2, 700], [-5, 300, 301, 302]]))
    assert ops(lowered) == ["dense", "threshold"]
    assert str(lowered.producers["y"].certificate) == "exact by construction (threshold)"


def test_codes_go_in_and_out_of_reals():
    b = Builder("mixed")
    x = codes_input(b, "x", 2, UINT8, Encoding(0.5, 3))
    half, three = (
        b.constant("half", real(np.array(0.5))),
        b.constant("three", Tensor(np.array(3), INT8)),
    )
    reals = b.node("reals", Dequantize(), x, half, three)
    quarter = b.constant("quarter", real(np.array(0.25)))
    out = b.node("out", Quantize(UINT8), reals, quarter, three)
    lowered = lower(b.build((out,)))
    assert ops(lowered) == ["requantize"]
    assert lowered.inputs[0].encoding == Encoding(0.5, 3)
    codes = np.arange(256).astype(np.uint8).reshape(-1, 2)
    expected = np.clip(2 * (codes.astype(int) - 3) + 3, 0, 255)
    assert np.array_equal(evaluate(lowered, {"x": codes})["out"], expected)
