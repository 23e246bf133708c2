"""A pruned float graph loses what carries nothing, and computes the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Affine, PRelu, Relu
from intaglio.ir.ops_pool import AveragePool, MaxPool
from intaglio.ir.ops_quant import Dequantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.coded import code_weights
from intaglio.passes.pipeline import make_pass
from intaglio.passes.purify import Purify
from intaglio.passes.removed import Matrix, Removed, removed


class Net:
    """Builds float networks on an input ``x`` (3, 8, 8) whose weights have planted zeros."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.new = Builder("planted")
        self.x = self.new.input(Value("x", TensorType((BATCH, 3, 8, 8))))

    def conv(self, name, x, out, dead=(), unread=(), bias=None, kernel=3, **options):
        """A conv; filters ``dead`` and channels ``unread`` have zero weights."""
        channels = self.new.type_of(x).sample_shape[0] // options.get("groups", 1)
        weight = self.rng.normal(size=(out, channels, kernel, kernel))
        weight[list(dead)], weight[:, list(unread)] = 0, 0
        operands = [self.new.constant(f"{name}.w", real(weight))]
        if bias is not None:
            operands.append(self.new.constant(f"{name}.b", real(np.broadcast_to(bias, out))))
        return self.new.node(name, Conv(**options), x, *operands, origin=f"/{name}")

    def relu(self, x):
        return self.new.node(f"{x}.relu", Relu(), x)

    def dense(self, name, x, out, unread=()):
        weight = self.rng.normal(size=(out, self.new.type_of(x).sample_shape[0]))
        weight[:, list(unread)] = 0
        return self.new.node(name, Dense(), x, self.new.constant(f"{name}.w", real(weight)))

    def build(self, *outputs):
        return verify(self.new.build(outputs), "float")


def purified(graph, **options):
    return verify(Purify(**options).run(graph, Context()), "float")


def widths(graph):
    return {node.name: node.type.sample_shape[0] for node in graph.nodes if node.type.batched}


def assert_same(before, after, seed=0):
    x = np.random.default_rng(seed).normal(size=(4, 3, 8, 8)).astype(np.float32)
    for name, expected in evaluate(before, {"x": x}).items():
        got = evaluate(after, {"x": x})[name]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_zero_filters_go_and_their_constant_becomes_a_bias():
    net = Net()
    a = net.relu(net.conv("a", net.x, 6, dead=[1, 4], bias=[1, 2, 3, 4, -5, 6]))
    before = net.build(net.conv("y", a, 2))
    after = purified(before)
    assert widths(after) == {"a": 4, "a.relu": 4, "y": 2}
    weight = before.constants["y.w"].array
    assert after.constants["a.b"].array.tolist() == [1, 3, 4, 6]
    np.testing.assert_allclose(after.constants["y.bias"].array, 2 * weight[:, 1].sum((1, 2)), 1e-5)
    assert_same(before, after)


def test_under_a_border_of_zeros_only_constant_zeros_go():
    net = Net()
    a = net.relu(net.conv("a", net.x, 6, dead=[1, 4], bias=[1, 2, 3, 4, -5, 6]))
    before = net.build(net.conv("y", a, 2, pads=(1, 1, 1, 1)))
    after = purified(before)
    assert widths(after)["a"] == 5  # relu(-5) is what the border holds; 2 is not
    assert_same(before, after)


def test_removal_runs_to_a_fixpoint_in_both_directions():
    net = Net()
    a = net.relu(net.conv("a", net.x, 5))
    b = net.relu(net.conv("b", a, 4, unread=[0, 1]))
    c = net.relu(net.conv("c", b, 3, dead=[2], unread=[3], bias=0))
    before = net.build(net.conv("y", c, 2, kernel=1))
    after = purified(before)
    assert widths(after) == {"a": 3, "a.relu": 3, "b": 3, "b.relu": 3, "c": 2, "c.relu": 2, "y": 2}
    assert after.constants["c.w"].array.shape == (2, 3, 3, 3)
    assert_same(before, after)
    assert purified(after) == after


def test_a_layer_without_weights_is_reduced_to_one_filter():
    net = Net()
    a = net.relu(net.conv("a", net.x, 5, dead=range(5), bias=[1, 2, 3, 4, 5]))
    before = net.build(net.conv("y", a, 2))
    after = purified(before)
    assert widths(after)["a"] == 1
    assert_same(before, after)


def test_parameters_pools_slices_and_flattening_follow():
    net = Net()
    a = net.conv("a", net.x, 4, dead=[0, 2])
    scale, shift = (net.new.constant(n, real(np.arange(1, 5))) for n in ("scale", "shift"))
    slope = net.new.constant("slope", real(np.arange(4) / 4))
    a = net.new.node("affine", Affine(), a, scale, shift)
    a = net.new.node("prelu", PRelu(), a, slope)
    a = net.new.node("pool", MaxPool((2, 2), (2, 2)), a)
    b = net.new.node("mean", AveragePool((2, 2), (2, 2)), net.conv("b", net.x, 4, dead=[1]))
    joined = net.new.node("join", Concat(1), a, b)
    part = net.new.node("part", Slice((1, 0, 0), (8, 3, 2), (1, 1, 1)), joined)
    wide = net.new.node("pad", Pad((0, 1, 0), (0, 0, 0), 3.0), part)
    flat = net.new.node("flat", Reshape((7 * 8,)), wide)
    before = net.build(net.dense("y", flat, 2))
    after = purified(before)
    assert widths(after) == {
        **dict.fromkeys(("a", "affine", "prelu", "pool", "y"), 2),
        "b": 4,
        "mean": 4,
        "join": 6,
        "part": 6,
        "pad": 6,
        "flat": 48,
    }  # 2 becomes 3 + 3 shift = 3, which the pad holds; 0 is sliced off; b has no constant 3
    assert after.constants["shift"].array.tolist() == [2, 4]
    assert_same(before, after)


def test_an_addition_shrinks_where_both_sides_agree():
    net = Net()
    a, b = net.conv("a", net.x, 4, dead=[0, 1], bias=1), net.conv("b", net.x, 4, dead=[1, 2])
    before = net.build(net.conv("y", net.new.node("sum", Add((2, 1)), a, b), 2))
    after = purified(before)
    assert (widths(after)["a"], widths(after)["sum"]) == (3, 3)
    assert_same(before, after)


def test_groups_go_whole():
    net = Net()
    a = net.conv("a", net.x, 6, dead=[0, 2, 3])
    before = net.build(net.conv("y", net.conv("b", a, 3, bias=[1, 2, 3], groups=3), 2, unread=[1]))
    after = purified(before)
    assert (widths(after)["a"], widths(after)["b"]) == (4, 2)
    assert after.producers["b"].op.groups == 2
    assert_same(before, after)


def emptied_net():
    """Channel 1 of conv y has 7 of 9 empty columns, channel 2 of dense z 3 of its 4 elements."""
    net = Net()
    a = net.relu(net.conv("a", net.x, 4))
    y = net.conv("y", a, 4, kernel=3, strides=(2, 2))
    flat = net.new.node("flat", Reshape((16,)), y)
    before = net.build(net.dense("z", flat, 3, unread=[8, 9, 11]))
    weight = before.constants["y.w"].array.copy()
    weight[:, 1].reshape(4, 9)[:, 2:] = 0
    constants = dict(before.constants) | {"y.w": real(weight)}
    return Builder(before.name, list(before.inputs), constants, list(before.nodes)).build(("z",))


@pytest.mark.parametrize(
    ("emptiness", "a", "y"), [(1.0, 4, 4), (0.78, 4, 4), (0.77, 3, 4), (0.75, 3, 3)]
)
def test_channels_whose_columns_are_mostly_empty_go_when_asked(emptiness, a, y):
    after = purified(emptied_net(), emptiness=emptiness)
    assert (widths(after)["a"], widths(after)["y"]) == (a, y)


def test_weights_stay_on_their_grid():
    net = Net()
    a = net.relu(net.conv("a", net.x, 6, dead=[1, 4], bias=3))
    before = net.build(net.conv("y", a, 2))
    rng = np.random.default_rng(3)
    rows, single = rng.integers(1, 8, (6, 3, 3, 3)), rng.integers(-8, 8, (2, 6, 3, 3))
    rows[[1, 4]] = 0
    scale = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32)
    codes = {
        "a.w": (Tensor(rows, int_type(4)), scale),
        "y.w": (Tensor(single, int_type(4)), np.float32([0.25])),
    }
    before = verify(code_weights(before, codes), "float")
    after = purified(before)
    assert widths(after)["a"] == 4
    kept = {name: after.constants[name] for name in ("a.w.codes", "y.w.codes")}
    assert kept["a.w.codes"] == Tensor(rows[[0, 2, 3, 5]], int_type(4))
    assert kept["y.w.codes"] == Tensor(single[:, [0, 2, 3, 5]], int_type(4))
    assert after.constants["a.w.scale"].array.tolist() == scale[[0, 2, 3, 5]].tolist()
    assert sum(isinstance(node.op, Dequantize) for node in after.nodes) == 2
    assert_same(before, after)


def test_the_report_names_every_layer_that_lost_something():
    net = Net()
    a = net.relu(net.conv("a", net.x, 6, dead=[1, 4], bias=0))
    b = net.conv("b", a, 4, pads=(1, 1, 1, 1))
    before = net.build(net.conv("y", b, 2))
    found = removed(before, purified(before))
    assert found == (
        Removed("/a", Matrix(6, 3, 27), Matrix(4, 3, 27)),
        Removed("/b", Matrix(4, 6, 54), Matrix(4, 4, 36)),
    )
    assert str(found[1]) == ("/b: 0 of 4 filters, 2 of 6 channels and 18 of 54 columns")
    assert removed(before, before) == ()


def test_a_layer_that_is_gone_lost_everything():
    net = Net()
    a, b = net.conv("a", net.x, 2), net.conv("b", net.x, 2)
    both, one = net.build(a, b), net.new.build((b,))
    one = Builder("g", list(one.inputs), dict(one.constants), [one.producers["b"]]).build(("b",))
    assert removed(both, one) == (Removed("/a", Matrix(2, 3, 27), Matrix(0, 0, 0)),)


@st.composite
def pruned_networks(draw):
    """Chains of convs, some depthwise, with zero filters and channels and any bias and border."""
    net = Net(draw(st.integers(0, 2**32 - 1)))
    x = net.x
    for layer in range(draw(st.integers(1, 4))):
        channels = net.new.type_of(x).sample_shape[0]
        depthwise = draw(st.booleans())
        out = channels if depthwise else draw(st.integers(1, 5))
        some = st.lists(st.integers(0, out - 1), max_size=out, unique=True)
        unread = st.lists(st.integers(0, 0 if depthwise else channels - 1), max_size=2, unique=True)
        x = net.conv(
            f"c{layer}",
            x,
            out,
            dead=draw(some),
            unread=draw(unread),
            bias=net.rng.normal(size=out) if draw(st.booleans()) else None,
            groups=channels if depthwise else 1,
            pads=draw(st.sampled_from([(0, 0, 0, 0), (1, 0, 1, 1)])) if layer < 3 else (1,) * 4,
        )
        x = net.relu(x)
    return net.build(net.conv("y", x, 2, kernel=1))


@given(pruned_networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_pruned_networks_compute_the_same_and_shrink_no_further(graph, seed):
    after = purified(graph)
    assert_same(graph, after, seed)
    assert purified(after) == after


@pytest.mark.parametrize("emptiness", [0.0, 1.5])
def test_emptiness_is_a_share(emptiness):
    with pytest.raises(UsageError) as caught:
        make_pass("purify", {"emptiness": emptiness})
    what = f"emptiness is {emptiness:g}, but it is a share of a channel's columns."
    assert (caught.value.what, caught.value.fix) == (what, "Choose more than 0, up to 1.")
