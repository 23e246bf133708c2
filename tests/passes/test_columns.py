"""Dropping columns that are zero in every filter changes no accumulator, and the blob shrinks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import Storage
from intaglio.backends.simulator import Simulator
from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type, narrowest
from intaglio.ir.ops_layout import Take
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.columns import Columns
from intaglio.passes.dead_channels import DeadChannels
from intaglio.passes.pipeline import make_pass
from intaglio.passes.schedule import schedule
from intaglio.testing import small_networks

INT8, UINT8 = int_type(8), int_type(8, signed=False)

DENSE = Storage("dense")


def layer(op, shape, weight, *more):
    """A graph of one linear layer: codes x, weight, bias and border."""
    b = Builder("layer")
    x = b.input(Value("x", TensorType((BATCH, *shape), UINT8)))
    operands = [b.constant("w", Tensor(weight.astype(np.int8), INT8))]
    for name, array in zip(("bias", "border"), more, strict=False):
        operands.append(b.constant(name, Tensor(array, narrowest(array.min(), array.max()))))
    return verify(b.build((b.node("y", op, x, *operands, origin="/y"),)), "integer")


def dropped(graph, **options):
    return verify(Columns(**options).run(graph, Context()), "integer")


def codes(graph, seed=0, samples=3):
    shape = (samples, *graph.inputs[0].type.sample_shape)
    return {graph.inputs[0].name: np.random.default_rng(seed).integers(0, 256, shape, np.uint8)}


def assert_same(before, after, seed=0):
    """Reference, and the simulator that reads the blob, give what the first graph gives."""
    inputs = codes(before, seed)
    (expected,) = evaluate(before, inputs).values()
    blob = write_blob(schedule(after))
    np.testing.assert_array_equal(*evaluate(after, inputs).values(), expected)
    np.testing.assert_array_equal(*Simulator(read_blob(blob)).run(inputs).values(), expected)


def pruned(rng, co, *rest, live):
    """Weights whose columns, in storage order (kh, kw, c), are zero but for ``live``."""
    full = np.zeros((co, *rest[1:], rest[0])).reshape(co, -1)
    full[:, live] = rng.integers(1, 127, (co, len(live))) * rng.choice([-1, 1], (co, len(live)))
    return np.moveaxis(full.reshape(co, *rest[1:], rest[0]), -1, 1)


def test_a_conv_gathers_the_columns_that_are_left():
    live = [1, 7, 8, 30, 44]
    weight = pruned(np.random.default_rng(0), 8, 5, 3, 3, live=live)
    before = layer(Conv((2, 1), (1, 0, 1, 2), (1, 2), pad_value=9), (5, 8, 9), weight)
    after = dropped(before)
    (node,) = after.nodes
    assert node.op == GatherConv((3, 3), (2, 1), (1, 0, 1, 2), (1, 2), 9)
    assert (node.inputs, node.value.origin) == (("x", "w", "w.columns"), "/y")
    assert after.constants["w.columns"].array.tolist() == live
    assert after.constants["w"].array[:, 1].tolist() == weight[:, 2, 0, 1].tolist()  # 7 = 1 * 5 + 2
    assert_same(before, after)


def test_a_dense_layer_takes_the_inputs_that_are_left():
    weight = np.zeros((20, 40))
    weight[:, [3, 17, 39]] = np.arange(1, 61).reshape(20, 3)
    before = layer(Dense(), (40,), weight, np.arange(20))
    after = dropped(before)
    take, dense = after.nodes
    assert (take.op, dense.op, dense.inputs) == (Take(), Dense(), (take.name, "w", "bias"))
    assert after.constants["w.channels"].array.tolist() == [3, 17, 39]
    assert after.constants["w"].array.shape == (20, 3)
    assert_same(before, after)


def test_bias_and_border_stay():
    rng = np.random.default_rng(1)
    weight = pruned(rng, 9, 4, 3, 3, live=[0, 5, 35])
    bias, border = rng.integers(-99, 99, 9), rng.integers(-99, 99, (9, 3, 3))
    before = layer(Conv(pads=(1, 1, 1, 1), pad_value=3), (4, 5, 6), weight, bias, border)
    after = dropped(before)
    assert after.nodes[0].inputs == ("x", "w", "w.columns", "bias", "border")
    assert_same(before, after)


def test_one_column_is_left_where_all_are_dead():
    before = layer(Conv(), (5, 4, 4), np.zeros((30, 5, 2, 2)))
    after = dropped(before)
    assert after.constants["w"].array.shape == (30, 1)
    assert_same(before, after)


@pytest.mark.parametrize(
    ("live", "gather", "drops"),
    [
        (18, 24, True),
        (19, 24, False),
        (19, 0, True),
        (26, 11, True),
        (26, 12, False),
        (44, 0, False),
    ],
)
def test_a_layer_is_rewritten_where_it_takes_fewer_bytes_and_enough_less_work(live, gather, drops):
    """45 columns of 16 filters: 18 (16 + 24) = 26 (16 + 11.7) = 45 * 16; a list costs 64 bytes."""
    weight = pruned(np.random.default_rng(2), 16, 5, 3, 3, live=range(live))
    before = layer(Conv(), (5, 5, 5), weight)
    after = dropped(before, gather=gather)
    assert (after != before) == drops
    if drops:
        assert len(write_blob(schedule(after), DENSE)) < len(write_blob(schedule(before), DENSE))
        assert_same(before, after)


@pytest.mark.parametrize("groups", [2, 4])
def test_convs_of_groups_are_left_alone(groups):
    weight = np.zeros((40, 4 // groups, 3, 3))
    weight[:, 0, 0, 0] = 1
    before = layer(Conv(groups=groups), (4, 5, 5), weight)
    assert dropped(before) == before


def test_what_was_rewritten_is_left_alone():
    weight = pruned(np.random.default_rng(3), 30, 5, 3, 3, live=[4, 9])
    once = dropped(layer(Conv(), (5, 5, 5), weight))
    assert dropped(once) == once
    assert DeadChannels().run(once, Context()) == once


@st.composite
def layers(draw):
    """A conv of any geometry, with few live columns."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilations = draw(pair), draw(pair)
    c, h, w = draw(st.integers(1, 5)), draw(st.integers(7, 9)), draw(st.integers(7, 9))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    op = Conv(draw(pair), pads, dilations, pad_value=draw(st.integers(0, 255)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = c * kernel[0] * kernel[1]
    live = sorted(draw(st.sets(st.integers(0, columns - 1), max_size=max(1, columns // 2))))
    co = draw(st.sampled_from([1, 16, 20]))
    more = (rng.integers(-999, 999, co), rng.integers(-999, 999, (co, *kernel)))
    weight = pruned(rng, co, c, *kernel, live=live)
    return layer(op, (c, h, w), weight, *more[: draw(st.integers(0, 2))])


@given(layers(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_any_layer_keeps_every_accumulator_and_never_takes_more_bytes(before, seed):
    after = dropped(before, gather=0)
    assert_same(before, after, seed)
    assert len(write_blob(schedule(after), DENSE)) <= len(write_blob(schedule(before), DENSE))


@given(small_networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_random_networks_keep_their_outputs(graph, seed):
    after = dropped(graph, gather=0)
    rng, dtype = np.random.default_rng(seed), graph.inputs[0].type.dtype
    shape = (2, *graph.inputs[0].type.sample_shape)
    noise = rng.integers(dtype.lo, dtype.hi, shape, np.int64, endpoint=True)
    noise = np.where(noise < 0, -1, 1) if dtype.kind == "bipolar" else noise
    inputs = {graph.inputs[0].name: noise.astype(dtype.container)}
    before, now = evaluate(graph, inputs), evaluate(after, inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(now[name], before[name])


def test_gathering_does_not_take_less_than_nothing():
    with pytest.raises(UsageError) as caught:
        make_pass("columns", {"gather": -1})
    assert (caught.value.what, caught.value.fix) == (
        "gather is -1.",
        "Give a number of products, 0 or more.",
    )
