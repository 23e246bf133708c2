import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Clip, Relu, Unary
from intaglio.ir.ops_pool import AveragePool, MaxPool
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.equalize import Equalize

KEEPS = {
    "relu": Relu(),
    "max_pool": MaxPool((2, 2), pads=(1, 0, 0, 0)),
    "average_pool": AveragePool((2, 2)),
}
CHANGES = {"clip": Clip(0, 6), "tanh": Unary("tanh")}


class Pair:
    """conv a (uneven channels) -> ops between -> conv b."""

    def __init__(self, seed=0, bias=True, groups=(1, 1)):
        self.rng = np.random.default_rng(seed)
        self.new = Builder("pair")
        self.x = self.new.input(Value("x", TensorType((BATCH, 4, 4, 4))))
        self.groups, self.bias = groups, bias

    def layer(self, name, source, spread, groups=1, kernel=(1, 1)):
        channels = self.new.type_of(source).shape[1]
        weight = self.rng.normal(size=(4, channels // groups, *kernel))
        weight *= np.exp(self.rng.normal(0, spread, (4, 1, 1, 1)))
        operands = [self.new.constant(f"{name}.w", real(weight))]
        if self.bias:
            operands.append(self.new.constant(f"{name}.b", real(self.rng.normal(size=4))))
        return self.new.node(name, Conv(groups=groups), source, *operands)

    def build(self, *between, outputs=()):
        inner = self.layer("a", self.x, 2, self.groups[0])
        for index, op in enumerate(between):
            inner = self.new.node(f"m{index}", op, inner)
        last = self.layer("b", inner, 0, self.groups[1], (2, 2))
        return self.new.build((last, *outputs))

    def run(self, graph, rounds=4):
        after = verify(Equalize(rounds=rounds).run(graph, Context()), "float")
        batch = {"x": self.rng.normal(size=(3, 4, 4, 4)).astype(np.float32)}
        expected, got = evaluate(graph, batch), evaluate(after, batch)
        for name in graph.outputs:
            scale = np.abs(expected[name]).max() + 1
            assert np.allclose(got[name], expected[name], rtol=1e-4, atol=1e-5 * scale)
        return after


def weight(graph, name):
    return graph.constants[graph.producers[name].inputs[1]].array


def ranges(graph):
    """The greatest magnitude of each inner channel, as output of a and as input of b."""
    one, two = weight(graph, "a"), weight(graph, "b")
    return np.abs(one).max(axis=(1, 2, 3)), np.abs(two).max(axis=(0, 2, 3))


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(sorted(KEEPS)), max_size=2, unique=True),
    st.booleans(),
)
def test_both_ranges_of_each_channel_become_equal_and_the_function_stays(seed, between, bias):
    pair = Pair(seed, bias)
    graph = pair.build(*(KEEPS[name] for name in between))
    before, after = ranges(graph), ranges(pair.run(graph))
    assert not np.allclose(*before, rtol=0.01)
    assert np.allclose(*after, rtol=1e-4)
    assert np.allclose(after[0] * after[1], before[0] * before[1], rtol=1e-4)


@pytest.mark.parametrize("name", CHANGES)
def test_layers_with_an_op_between_that_does_not_keep_scale_stay(name):
    pair = Pair()
    graph = pair.build(CHANGES[name])
    assert pair.run(graph) == graph


@pytest.mark.parametrize("groups", [(2, 1), (1, 2)])
def test_layers_with_groups_stay(groups):
    pair = Pair(groups=groups)
    graph = pair.build(Relu())
    assert pair.run(graph) == graph


def test_a_layer_whose_value_is_an_output_stays():
    pair = Pair()
    graph = pair.build(Relu(), outputs=("a",))
    assert pair.run(graph) == graph


def test_a_layer_whose_value_something_else_reads_stays():
    pair = Pair()
    a = pair.layer("a", pair.x, 2)
    graph = pair.new.build((pair.new.node("y", Add(), pair.layer("b", a, 0), a),))
    assert pair.run(graph) == graph


def test_layers_that_share_a_constant_stay():
    pair = Pair(bias=False)
    w = pair.new.constant("w", real(pair.rng.normal(size=(4, 4, 1, 1))))
    a = pair.new.node("a", Conv(), pair.x, w)
    graph = pair.new.build((pair.new.node("b", Conv(), a, w),))
    assert pair.run(graph) == graph


def test_channels_of_zeros_stay_and_the_others_are_equalised():
    pair = Pair()
    graph = pair.build(Relu())
    changed = weight(graph, "a").copy()
    changed[1] = 0
    names = dict(graph.constants) | {"a.w": real(changed)}
    graph = type(graph)(graph.name, graph.inputs, names, graph.nodes, graph.outputs)
    one, two = ranges(pair.run(graph))
    assert one[1] == 0
    assert two[1] == ranges(graph)[1][1]
    live = [0, 2, 3]
    assert np.allclose(one[live], two[live], rtol=1e-4)


def test_conv_to_dense_through_a_flattened_pixel_is_a_pair():
    rng = np.random.default_rng(0)
    new = Builder("g")
    x = new.input(Value("x", TensorType((BATCH, 4, 4, 4))))
    a = new.node("a", Conv(), x, new.constant("a.w", real(rng.normal(size=(3, 4, 4, 4)))))
    flat = new.node("flat", Reshape((3,)), new.node("r", Relu(), a))
    b = new.node("b", Dense(), flat, new.constant("b.w", real(9 * rng.normal(size=(2, 3)))))
    after = Pair().run(new.build((b,)))
    one, two = (
        np.abs(weight(after, "a")).max(axis=(1, 2, 3)),
        np.abs(weight(after, "b")).max(axis=0),
    )
    assert np.allclose(one, two, rtol=1e-4)


def test_no_rounds_change_nothing():
    pair = Pair()
    graph = pair.build(Relu())
    assert pair.run(graph, rounds=0) == graph
