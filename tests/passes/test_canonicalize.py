import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Affine, Clip, Relu, Unary
from intaglio.ir.ops_pool import AveragePool, MaxPool
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.canonicalize import Canonicalize


class Net:
    """A float graph under construction with random constants; one input x."""

    def __init__(self, *shape, seed=0):
        self.rng = np.random.default_rng(seed)
        self.new = Builder("net")
        self.x = self.new.input(Value("x", TensorType((BATCH, *shape))))

    def random(self, name, *shape):
        return self.new.constant(name, real(self.rng.normal(size=shape)))

    def add(self, name, op, *operands):
        return self.new.node(name, op, *operands, origin=f"/{name}")

    def conv(self, name, x, co, kernel=(1, 1), bias=True, **options):
        channels = self.new.type_of(x).shape[1] // options.get("groups", 1)
        weight = self.random(f"{name}.w", co, channels, *kernel)
        extra = [self.random(f"{name}.b", co)] if bias else []
        return self.add(name, Conv(**options), x, weight, *extra)

    def dense(self, name, x, co):
        weight = self.random(f"{name}.w", co, self.new.type_of(x).shape[-1])
        return self.add(name, Dense(), x, weight, self.random(f"{name}.b", co))

    def affine(self, name, x, per_channel=True):
        size = (self.new.type_of(x).shape[1],) if per_channel else ()
        scale, shift = self.random(f"{name}.s", *size), self.random(f"{name}.t", *size)
        return self.add(name, Affine(), x, scale, shift)

    def run(self, *outputs):
        """(before, after), checked to be legal, the same function, and canonical already."""
        before = verify(self.new.build(outputs), "float")
        after = verify(Canonicalize().run(before, Context()), "float")
        assert (after.outputs, after.inputs) == (before.outputs, before.inputs)
        shape = before.inputs[0].type.sample_shape
        batch = {"x": self.rng.normal(size=(3, *shape)).astype(np.float32)}
        expected, got = evaluate(before, batch), evaluate(after, batch)
        for name in before.outputs:
            assert got[name].shape == expected[name].shape
            assert np.allclose(got[name], expected[name], rtol=1e-4, atol=1e-4)
        assert Canonicalize().run(after, Context()) == after
        return before, after


def names(graph):
    return [(node.name, node.op.name) for node in graph.nodes]


def kept(pair):
    """Nothing happened."""
    before, after = pair
    return before == after


# Rule by rule -------------------------------------------------------------------------------------


def test_a_node_of_constants_becomes_a_constant():
    net = Net(2)
    shift = net.add("shift", Relu(), net.random("c", 2))
    before = net.new.build((net.add("y", Affine(), net.x, net.random("s", 2), shift),))
    after = Canonicalize().run(before, Context())
    assert names(after) == [("y", "affine")]
    assert after.nodes[0].inputs == ("x", "s", "shift")
    assert np.array_equal(
        after.constants["shift"].array, np.maximum(before.constants["c"].array, 0)
    )


IDLE = {
    "reshape": Reshape((2, 3, 3)),
    "slice": Slice((0, 0, 0), (2, 3, 3), (1, 1, 1)),
    "transpose": Transpose((0, 1, 2, 3)),
    "pad": Pad((0, 0, 0), (0, 0, 0)),
    "concat": Concat(1),
    "max_pool": MaxPool((1, 1)),
    "average_pool": AveragePool((1, 1)),
}


@pytest.mark.parametrize("kind", IDLE)
def test_what_does_nothing_disappears(kind):
    net = Net(2, 3, 3)
    idle = net.add("idle", IDLE[kind], net.x)
    assert names(net.run(net.add("y", Relu(), idle))[1]) == [("y", "relu")]


@pytest.mark.parametrize("kind", IDLE)
def test_what_does_nothing_stays_when_it_names_an_output(kind):
    net = Net(2, 3, 3)
    conv = net.conv("c", net.x, 2)
    assert kept(net.run(net.add("idle", IDLE[kind], conv), conv))


@pytest.mark.parametrize(
    "op",
    [
        Slice((0, 0, 0), (2, 3, 3), (2, 1, 1)),
        Transpose((0, 1, 3, 2)),
        Pad((0, 0, 0), (0, 1, 0)),
        MaxPool((3, 3), pads=(1, 1, 1, 1)),
        AveragePool((3, 3), pads=(1, 1, 1, 1)),
    ],
    ids=lambda op: op.name,
)
def test_what_only_looks_idle_stays(op):
    net = Net(2, 3, 3)
    assert kept(net.run(net.add("y", Unary("tanh"), net.add("a", op, net.conv("c", net.x, 2)))))


@pytest.mark.parametrize(("axes", "kind"), [((0, 2, 1, 3), "reshape"), ((0, 3, 1, 2), "transpose")])
def test_a_transpose_that_moves_only_axes_of_size_one_is_a_reshape(axes, kind):
    net = Net(2, 1, 3)
    moved = net.add("t", Transpose(axes), net.conv("c", net.x, 2))
    assert ("t", kind) in names(net.run(net.add("y", Unary("tanh"), moved))[1])


def test_relu_moves_before_max_pool():
    net = Net(2, 4, 4)
    pool = net.add("pool", MaxPool((2, 2), (2, 2)), net.conv("c", net.x, 2))
    after = net.run(net.add("y", Relu(), pool))[1]
    assert names(after) == [("c", "conv"), ("y.relu", "relu"), ("y", "max_pool")]
    assert after.producers["y"].inputs == ("y.relu",)


def test_relu_stays_behind_a_max_pool_that_something_else_reads():
    net = Net(2, 4, 4)
    pool = net.add("pool", MaxPool((2, 2), (2, 2)), net.conv("c", net.x, 2))
    relu = net.add("r", Relu(), pool)
    assert kept(net.run(net.add("y", Add(), relu, pool)))


def test_relu_stays_behind_a_max_pool_that_is_an_output():
    net = Net(2, 4, 4)
    pool = net.add("pool", MaxPool((2, 2), (2, 2)), net.x)
    assert kept(net.run(pool, net.add("r", Relu(), pool)))


@pytest.mark.parametrize(
    ("lo", "hi", "kind"), [(0, np.inf, "relu"), (0, 6, "clip"), (-1, np.inf, "clip")]
)
def test_only_a_clip_from_zero_to_infinity_becomes_relu(lo, hi, kind):
    net = Net(3)
    assert names(net.run(net.add("y", Clip(lo, hi), net.x))[1]) == [("y", kind)]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("options", [{}, {"groups": 2, "bias": False}, {"pads": (1, 0, 1, 2)}])
def test_affine_after_conv_is_folded_into_weight_and_bias(options, per_channel):
    net = Net(4, 3, 3)
    conv = net.conv("c", net.x, 6, (2, 2), **options)
    after = net.run(net.affine("bn", conv, per_channel=per_channel))[1]
    assert names(after) == [("bn", "conv")]
    assert after.nodes[0].value.origin == "/c"
    assert len(after.nodes[0].inputs) == 3


def test_affine_after_dense_is_folded():
    net = Net(4)
    assert names(net.run(net.affine("bn", net.dense("d", net.x, 3)))[1]) == [("bn", "dense")]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_affine_after_affine_is_one(first, second):
    net = Net(4, 2)
    inner = net.affine("a", net.x, per_channel=first)
    after = net.run(net.affine("b", inner, per_channel=second))[1]
    assert names(after) == [("b", "affine")]


def test_a_chain_of_affines_after_a_conv_is_one_conv():
    net = Net(2, 3, 3)
    y = net.conv("c", net.x, 3)
    for index in range(10):
        y = net.affine(f"a{index}", y)
    assert [kind for _, kind in names(net.run(y)[1])] == ["conv"]


def test_affine_after_a_conv_with_two_users_is_not_folded():
    net = Net(2, 3, 3)
    conv = net.conv("c", net.x, 2)
    assert kept(net.run(net.add("y", Add(), net.affine("bn", conv), conv)))


def test_affine_after_a_conv_that_is_an_output_is_not_folded():
    net = Net(2, 3, 3)
    conv = net.conv("c", net.x, 2)
    assert kept(net.run(conv, net.affine("bn", conv)))


def test_affine_before_conv_is_not_folded():
    net = Net(2, 3, 3)
    assert kept(net.run(net.conv("c", net.affine("bn", net.x), 2)))


def test_two_layers_that_share_a_weight_may_be_folded_differently():
    net = Net(2, 3, 3)
    weight = net.random("w", 2, 2, 1, 1)
    left, right = (net.add(name, Conv(), net.x, weight) for name in ("l", "r"))
    after = net.run(net.add("y", Add(), net.affine("a", left), net.affine("b", right)))[1]
    assert names(after) == [("a", "conv"), ("b", "conv"), ("y", "add")]
    assert after.nodes[0].inputs[1] != after.nodes[1].inputs[1]


def test_a_zero_border_becomes_the_padding_of_conv():
    net = Net(2, 3, 3)
    pad = net.add("pad", Pad((0, 1, 2), (0, 0, 1)), net.x)
    after = net.run(net.conv("c", pad, 2, (2, 2), pads=(1, 1, 1, 1)))[1]
    assert names(after) == [("c", "conv")]
    assert after.nodes[0].op.pads == (2, 3, 1, 2)


@pytest.mark.parametrize(
    "pad", [Pad((0, 1, 1), (0, 1, 1), 0.5), Pad((1, 0, 0), (0, 0, 0)), Pad((0, 0, 0), (1, 0, 0))]
)
def test_another_border_or_padded_channels_stay(pad):
    net = Net(2, 3, 3)
    assert kept(net.run(net.conv("c", net.add("pad", pad, net.x), 2)))


def test_a_border_that_something_else_reads_stays():
    net = Net(2, 3, 3)
    pad = net.add("pad", Pad((0, 1, 1), (0, 1, 1)), net.x)
    conv = net.conv("c", pad, 2)
    assert kept(net.run(net.add("y", Add(), pad, conv)))


def test_dense_on_a_flattened_image_becomes_conv():
    net = Net(2, 3, 4)
    after = net.run(net.dense("d", net.add("flat", Reshape((24,)), net.x), 5))[1]
    assert names(after) == [("d.conv", "conv"), ("d", "reshape")]
    conv = after.producers["d.conv"]
    assert after.constants[conv.inputs[1]].array.shape == (5, 2, 3, 4)
    assert conv.value.origin == "/d"


def test_dense_on_a_flattened_pixel_stays_dense():
    net = Net(6, 1, 1)
    assert kept(net.run(net.dense("d", net.add("flat", Reshape((6,)), net.x), 5)))


@pytest.mark.parametrize("shape", [(3, 4), (3, 3), (2, 3, 4)])
def test_dense_along_the_last_axis_becomes_conv_over_the_others(shape):
    net = Net(*shape)
    after = net.run(net.dense("d", net.x, 3))[1]
    kinds = [kind for _, kind in names(after)]
    assert kinds == ["transpose", "reshape", "conv", "reshape", "transpose"]
    assert {node.value.origin for node in after.nodes} == {"/d"}


def test_layers_along_the_last_axis_keep_no_moves_between_them():
    net = Net(3, 4)
    inner = net.add("r", Relu(), net.dense("a", net.x, 5))
    kinds = [kind for _, kind in names(net.run(net.dense("b", inner, 2))[1])]
    assert kinds == ["transpose", "reshape", "conv", "relu", "conv", "reshape", "transpose"]


@pytest.mark.parametrize("move", [Reshape((18,)), Transpose((0, 2, 3, 1))])
@pytest.mark.parametrize("act", [Relu(), Clip(-1, 2)])
def test_an_activation_moves_before_a_move(move, act):
    net = Net(2, 3, 3)
    y = net.add("y", act, net.add("move", move, net.conv("c", net.x, 2)))
    after = net.run(y)[1]
    assert names(after) == [("c", "conv"), ("y.inner", act.name), ("y", move.name)]


@pytest.mark.parametrize(
    ("first", "second"),
    [(Reshape((6, 4)), Reshape((24,))), (Transpose((0, 3, 1, 2)), Transpose((0, 1, 3, 2)))],
)
def test_moves_in_a_row_become_one(first, second):
    net = Net(2, 3, 4)
    y = net.add("b", second, net.add("a", first, net.x))
    assert names(net.run(y)[1]) == [("b", second.name)]


def test_unused_nodes_and_constants_disappear_and_inputs_stay():
    net = Net(2)
    net.new.input(Value("unused", TensorType((BATCH, 1))))
    net.affine("dead", net.x)
    graph = net.new.build((net.add("y", Relu(), net.x),))
    after = Canonicalize().run(graph, Context())
    assert names(after) == [("y", "relu")]
    assert not after.constants
    assert [value.name for value in after.inputs] == ["x", "unused"]


# Any network --------------------------------------------------------------------------------------


def grow(net, values, name):
    """One random node on a random value."""
    rng = net.rng
    x = values[rng.integers(len(values))]
    shape = net.new.type_of(x).sample_shape
    rank, flip = len(shape), bool(rng.integers(2))
    zeros, sizes = (0,) * rank, tuple(rng.integers(0, 2, rank).tolist())
    kinds = {
        "relu": Relu(),
        "clip": Clip(0, np.inf) if flip else Clip(-0.5, 1),
        "unary": Unary("tanh"),
        "reshape": Reshape((int(np.prod(shape)),) if flip else shape[::-1]),
        "transpose": Transpose((0, *(int(a) + 1 for a in rng.permutation(rank)))),
        "pad": Pad(zeros, sizes, 0.0 if flip else 1.5),
        "slice": Slice(zeros, shape, tuple(s + 1 for s in sizes)),
        "concat": Concat(1),
        "conv": None,
        "affine": None,
        "dense": None,
        "add": None,
    }
    if rank == 3:
        kinds["max"] = MaxPool((1, 1)) if flip else MaxPool((2, 1), pads=(1, 0, 0, 0))
        kinds["average"] = AveragePool((1, 1)) if flip else AveragePool((1, 2), pads=(0, 1, 0, 0))
    kind = list(kinds)[rng.integers(len(kinds))]
    if kinds[kind] is not None:
        return net.add(name, kinds[kind], x)
    if kind == "conv" and rank == 3:
        return net.conv(name, x, 2, bias=flip, pads=tuple(rng.integers(0, 2, 4).tolist()))
    if kind == "add":
        same = [value for value in values if net.new.type_of(value) == net.new.type_of(x)]
        return net.add(name, Add(), x, same[rng.integers(len(same))])
    return net.dense(name, x, 3) if kind == "dense" else net.affine(name, x, per_channel=flip)


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 10))
def test_any_network_keeps_its_function_and_a_second_run_changes_nothing(seed, size):
    net = Net(2, 2, 3, seed=seed)
    values = [net.x]
    for index in range(size):
        values.append(grow(net, values, f"v{index}"))
    outputs = {values[-1], values[net.rng.integers(1, len(values))]}
    net.run(*sorted(outputs))
