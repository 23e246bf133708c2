"""Removing dead channels changes no code of any output, for any input, borders included."""

import dataclasses
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intaglio
from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import Storage
from intaglio.backends.simulator import Simulator
from intaglio.ir.certificate import Certificate, Difference, Removal
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value, rewrite
from intaglio.ir.numeric import int_type, narrowest
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_pool import MaxPool, SumPool
from intaglio.ir.ops_quant import Lookup, Requantize, Threshold
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.channels import constant_codes, kept_channels
from intaglio.passes.dead_channels import DeadChannels, Shrink
from intaglio.passes.schedule import schedule
from intaglio.testing import small_networks

INT4, INT8, UINT8 = int_type(4), int_type(8), int_type(8, signed=False)

DENSE = Storage("dense")


def shrunk(graph):
    """The graph after the pass; legal, and with the inputs and outputs of before."""
    after = verify(DeadChannels().run(graph, Context()), "integer")
    assert after.inputs == graph.inputs
    assert [after.type_of(name) for name in after.outputs] == [
        graph.type_of(name) for name in graph.outputs
    ]
    return after


def random_inputs(graph, seed, samples=3):
    """Noise and the ends of the range, by name."""
    rng = np.random.default_rng(seed)
    found = {}
    for value in graph.inputs:
        dtype, shape = value.type.dtype, (samples, *value.type.sample_shape)
        codes = rng.integers(dtype.lo, dtype.hi, shape, np.int64, endpoint=True)
        ends = rng.choice([dtype.lo, dtype.hi], shape)
        codes = np.where(rng.integers(0, 2, (samples,) + (1,) * (len(shape) - 1)), ends, codes)
        if dtype.kind == "bipolar":
            codes = np.where(codes < 0, -1, 1)
        found[value.name] = codes.astype(dtype.container)
    return found


def assert_same_codes(before, after, seed=0):
    inputs = random_inputs(before, seed)
    expected, got = evaluate(before, inputs), evaluate(after, inputs)
    for old, new in zip(before.outputs, after.outputs, strict=True):
        np.testing.assert_array_equal(got[new], expected[old])


class Net:
    """Builds planted networks on one input ``x`` of uint8 codes."""

    def __init__(self, channels=3, size=(7, 6), seed=0):
        self.rng = np.random.default_rng(seed)
        self.new = Builder("planted")
        self.x = self.new.input(Value("x", TensorType((BATCH, channels, *size), UINT8)))

    def constant(self, name, array, dtype=None):
        array = np.asarray(array)
        span = (int(array.min()), int(array.max())) if array.size else (0, 0)
        return self.new.constant(name, Tensor(array, dtype or narrowest(*span)))

    def conv(self, name, x, out, kernel=3, weight=None, **options):
        channels = self.new.type_of(x).sample_shape[0] // options.get("groups", 1)
        if weight is None:
            weight = self.rng.integers(1, 8, (out, channels, kernel, kernel))
        return self.new.node(name, Conv(**options), x, self.constant(f"{name}.w", weight, INT4))

    def codes(self, name, acc, lo=0, hi=255, addend=0, multiplier=3, shift=6):
        """A requantize; parameters may be arrays ``(c,)``."""
        parameters = (("m", multiplier), ("r", addend), ("s", shift))
        names = [self.constant(f"{name}.{key}", np.atleast_1d(given)) for key, given in parameters]
        return self.new.node(
            name,
            Requantize(UINT8, lo, hi),
            acc,
            *names,
            certificate=Certificate("certified", "M 3", 0, 9),
        )

    def build(self, *outputs):
        return verify(self.new.build(outputs), "integer")


def dead_rows(net, name, x, out, dead, code=0, **options):
    """Codes of a conv whose rows ``dead`` are zero, so that these channels are always ``code``."""
    channels = net.new.type_of(x).sample_shape[0]
    weight = net.rng.integers(1, 8, (out, channels, 3, 3)) * net.rng.choice(
        [-1, 1], (out, channels, 1, 1)
    )
    weight[dead] = 0
    addend = np.full(out, 2000)
    addend[dead] = code << 6
    return net.codes(name, net.conv(f"{name}.acc", x, out, weight=weight, **options), addend=addend)


def widths(graph):
    return {node.name: node.type.sample_shape[0] for node in graph.nodes}


def test_zero_rows_go_with_their_columns():
    net = Net()
    a = dead_rows(net, "a", net.x, 6, [1, 4], pads=(1, 1, 1, 1))
    before = net.build(net.codes("y", net.conv("acc", a, 2, pads=(1, 1, 1, 1))))
    after = shrunk(before)
    assert widths(after) == {"a.acc": 4, "a": 4, "acc": 2, "y": 2}
    assert after.constants["acc.w"].array.shape == (2, 4, 3, 3)
    assert len(after.producers["acc"].inputs) == 2  # a constant 0 needs no bias
    assert_same_codes(before, after)


def test_constant_that_is_not_zero_becomes_a_bias():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [0, 3], code=7)
    before = net.build(net.codes("y", net.conv("acc", a, 2)))
    after = shrunk(before)
    weight = before.constants["acc.w"].array.astype(int)
    bias = after.constants["acc.bias"]
    np.testing.assert_array_equal(bias.array, 7 * weight[:, [0, 3]].sum(axis=(1, 2, 3)))
    assert bias.dtype == narrowest(int(bias.array.min()), int(bias.array.max()))
    assert after.producers["y"].certificate == before.producers["y"].certificate
    assert_same_codes(before, after)


def test_constant_is_added_to_a_bias_that_is_there():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [2], code=5)
    weight = net.constant("w", net.rng.integers(-8, 8, (2, 4, 3, 3)), INT4)
    bias = net.constant("b", [100, -100])
    before = net.build(net.new.node("y", Conv(), a, weight, bias))
    after = shrunk(before)
    added = 5 * before.constants["w"].array[:, 2].astype(int).sum(axis=(1, 2))
    np.testing.assert_array_equal(after.constants["b"].array - [100, -100], added)
    assert_same_codes(before, after)


@pytest.mark.parametrize(("pad_value", "left"), [(0, 4), (7, 3)])
def test_constant_under_a_border_goes_only_if_the_border_holds_it_too(pad_value, left):
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [1], code=7)
    acc = net.conv("acc", a, 2, pads=(1, 0, 0, 1), pad_value=pad_value)
    before = net.build(net.codes("y", acc))
    after = shrunk(before)
    assert widths(after)["a"] == left
    assert_same_codes(before, after)


def test_channel_that_only_one_of_two_readers_can_fold_stays():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [1], code=7)
    y = net.conv("y", a, 2)
    z = net.conv("z", a, 2, pads=(1, 1, 1, 1))
    before = net.build(y, z)
    after = shrunk(before)
    assert widths(after)["a"] == 4
    assert_same_codes(before, after)


def test_channels_that_no_weight_reads_go_back_to_their_first_producer():
    net = Net()
    first = net.codes("a", net.conv("a.acc", net.x, 5, pads=(1, 1, 1, 1)))
    second = net.codes("b", net.conv("b.acc", first, 4, kernel=1))
    weight = net.rng.integers(1, 8, (2, 4, 3, 3))
    weight[:, [0, 2]] = 0
    before = net.build(net.conv("y", second, 2, weight=weight))
    after = shrunk(before)
    assert widths(after) == {"a.acc": 5, "a": 5, "b.acc": 2, "b": 2, "y": 2}
    assert after.producers["b"].certificate.removal == Removal(4, unused=(0, 2))
    assert_same_codes(before, after)


def test_saturated_requantize_and_threshold_are_constant():
    net = Net()
    addend = np.array([0, 1 << 40, 0, -(1 << 40)])
    a = net.codes("a", net.conv("a.acc", net.x, 4), addend=addend)
    b_acc = net.conv("b.acc", a, 3, kernel=1)
    steps = np.array([[10, 20], [-9, -9], [10**8, 10**8]])
    b = net.new.node("b", Threshold(UINT8, 1), b_acc, net.constant("t", steps))
    before = net.build(net.conv("y", b, 2, kernel=1))
    after = shrunk(before)
    assert (widths(after)["a"], widths(after)["b"]) == (2, 1)
    assert after.producers["a"].certificate.removal == Removal(4, ((1, 255), (3, 0)))
    assert after.producers["b"].certificate == Certificate(
        "exact", "dead channels", 0, 0, removal=Removal(3, ((1, 3), (2, 1)))
    )
    assert_same_codes(before, after)


def test_depthwise_and_pools_shrink_with_their_input():
    net = Net(size=(9, 9))
    a = dead_rows(net, "a", net.x, 6, [0, 5])
    pooled = net.new.node("pool", MaxPool((2, 2), (1, 1), (1, 0, 0, 0)), a)
    deep = net.conv("deep", pooled, 6, groups=6, pads=(1, 1, 1, 1))
    b = net.codes("b", deep)
    summed = net.new.node("sum", SumPool((2, 2)), b)
    before = net.build(net.conv("y", net.codes("c", summed), 2, kernel=1))
    after = shrunk(before)
    assert set(widths(after).values()) == {4, 2}
    assert after.producers["deep"].op.groups == 4
    assert_same_codes(before, after)


def test_groups_go_as_a_whole():
    net = Net(size=(7, 7))
    a = dead_rows(net, "a", net.x, 6, [0, 2, 3])
    b = net.codes("b", net.conv("b.acc", a, 3, groups=3))
    before = net.build(net.conv("y", b, 2, kernel=1))
    after = shrunk(before)
    assert (widths(after)["a"], widths(after)["b"]) == (4, 2)  # 0 is dead, but 1 needs its group
    assert after.producers["b.acc"].op.groups == 2
    assert_same_codes(before, after)


def test_addition_shrinks_only_where_both_sides_agree():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [0, 1], code=2)
    b = dead_rows(net, "b", net.x, 4, [1, 2], code=3)
    total = net.codes("sum", net.new.node("sum.acc", Add((1, 2)), a, b))
    before = net.build(net.conv("y", total, 2, kernel=1))
    after = shrunk(before)
    assert (widths(after)["a"], widths(after)["b"], widths(after)["sum"]) == (3, 3, 3)
    assert_same_codes(before, after)


def test_concat_slice_pad_and_flatten_are_followed():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [0, 3])
    b = dead_rows(net, "b", net.x, 3, [1])
    joined = net.new.node("join", Concat(1), a, b)
    part = net.new.node("part", Slice((1, 0, 0), (7, 2, 2), (1, 1, 1)), joined)
    wide = net.new.node("pad", Pad((0, 1, 0), (0, 0, 1), 0), part)
    flat = net.new.node("flat", Reshape((6 * 9,)), wide)
    weight = net.rng.integers(1, 8, (2, 54))
    weight.reshape(2, 6, 9)[:, [2, 4]] = 0
    before = net.build(net.new.node("y", Dense(), flat, net.constant("w", weight, INT4)))
    after = shrunk(before)
    assert widths(after)["join"] == 4  # 0 is sliced off, 3 and 5 are dead
    assert after.constants["w"].array.shape == (2, 4 * 9)
    assert_same_codes(before, after)


def test_what_is_not_understood_keeps_every_channel():
    net = Net(size=(6, 6))
    a = dead_rows(net, "a", net.x, 4, [1, 2])
    turned = net.new.node("turn", Transpose((0, 2, 1, 3)), a)
    before = net.build(turned)
    assert shrunk(before) == before


def test_outputs_keep_their_channels():
    net = Net()
    before = net.build(dead_rows(net, "y", net.x, 4, [1, 2]))
    assert shrunk(before) == before


def test_one_channel_is_left_where_all_are_dead():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [0, 1, 2, 3], code=9)
    before = net.build(net.conv("y", a, 2))
    after = shrunk(before)
    assert widths(after)["a"] == 1
    assert_same_codes(before, after)


def test_a_node_that_differs_from_its_definition_is_left_alone():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [1])
    graph = net.build(net.conv("y", a, 2))
    differs = Certificate("differs", "nearest", 0, 9, 1, 1, (Difference(3, 5, 1, 2),))
    nodes = tuple(
        dataclasses.replace(node, certificate=differs) if node.name == "a" else node
        for node in graph.nodes
    )
    before = dataclasses.replace(graph, nodes=nodes)
    assert shrunk(before) == before


def test_removing_twice_removes_nothing_more():
    net = Net()
    a = dead_rows(net, "a", net.x, 6, [1, 4], code=3)
    once = shrunk(net.build(net.conv("y", a, 2)))
    assert shrunk(once) == once


def test_the_blob_states_what_was_removed_and_why():
    net = Net()
    a = dead_rows(net, "a", net.x, 6, [1, 4], code=200)
    weight = net.rng.integers(1, 8, (2, 6, 3, 3))
    weight[:, 0] = 0
    before = net.build(net.codes("y", net.conv("acc", a, 2, weight=weight)))
    found = read_blob(write_blob(schedule(shrunk(before)))).certificates["a"]
    assert found.removal == Removal(6, ((1, 200), (4, 200)), (0,))
    assert str(found) == (
        "certified over [0, 9] (M 3); 2 constant and 1 unused of 6 channels removed"
    )


def corrected(graph, *convs):
    """The graph without every channel that a border operand of ``convs`` can stand for."""
    known = constant_codes(graph)
    kept = kept_channels(graph, known, frozenset(convs))
    return verify(rewrite(graph, Shrink(known, kept)), "integer")


@st.composite
def overhanging(draw):
    """A padded conv, whatever its geometry, over channels of which some are constant."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilations = draw(pair), draw(pair)
    net = Net(size=(draw(st.integers(9, 12)), 9), seed=draw(st.integers(0, 2**32 - 1)))
    dead = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5, unique=True))
    a = dead_rows(net, "a", net.x, 6, dead, code=draw(st.integers(0, 255)))
    options = {
        "strides": draw(pair),
        "pads": tuple(draw(st.integers(0, 4)) for _ in range(4)),
        "dilations": dilations,
        "pad_value": draw(st.integers(0, 255)),
    }
    weight = net.rng.integers(-8, 8, (3, 6, *kernel))
    acc = net.conv("acc", a, 3, weight=weight, **options)
    return net.build(acc, net.codes("y", acc, addend=500)), len(dead)


@given(overhanging(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_constants_under_a_border_of_any_code_are_removed_exactly(case, seed):
    before, dead = case
    after = corrected(before, "acc")
    assert widths(after)["a"] == 6 - dead
    assert_same_codes(before, after, seed)
    again = schedule(after)
    inputs = random_inputs(before, seed)
    got, expected = Simulator(again).run(inputs), evaluate(before, inputs)
    np.testing.assert_array_equal(got["acc"], expected["acc"])


def bordered_net(dead, net=None):
    net = net or Net()
    a = dead_rows(net, "a", net.x, 16, list(range(dead)), code=9)
    return net.build(net.codes("y", net.conv("acc", a, 8, pads=(1, 1, 1, 1))))


def test_constants_under_another_border_go_where_that_takes_fewer_bytes():
    before = bordered_net(12)
    after = shrunk(before)
    assert widths(after)["a"] == 4
    weight, bias, border = (after.constants[f"acc{end}"] for end in (".w", ".bias", ".border"))
    dead = before.constants["acc.w"].array.astype(int)[:, :12]
    assert weight.array.shape == (8, 4, 3, 3)
    assert bias.array.tolist() == (9 * dead.sum(axis=(1, 2, 3))).tolist()
    assert border.array.tolist() == (-9 * dead.sum(axis=1)).tolist()
    assert_same_codes(before, after)
    assert len(write_blob(schedule(after), DENSE)) < len(write_blob(schedule(before), DENSE))


def test_a_border_that_takes_more_bytes_than_it_saves_is_not_made():
    before = bordered_net(1)
    assert shrunk(before) == before


def test_a_second_removal_adds_to_the_border():
    net = Net()
    a = dead_rows(net, "a", net.x, 4, [2, 3], code=5)
    wide = np.array([5, 0, -3]).reshape(1, 1, 3)
    operands = (
        net.constant("bias", [1, 2]),
        net.constant("border", wide.repeat(2, 0).repeat(3, 1)),
    )
    weight = net.constant("w", net.rng.integers(-8, 8, (2, 4, 3, 3)), INT4)
    acc = net.new.node("acc", Conv(pads=(1, 1, 0, 1)), a, weight, *operands)
    before = net.build(net.codes("y", acc))
    after = corrected(before, "acc")
    assert widths(after)["a"] == 2
    assert_same_codes(before, after)


@given(small_networks(max_nodes=10), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_random_networks_run_the_same(graph, seed):
    assert_same_codes(graph, shrunk(graph), seed)


@st.composite
def planted_networks(draw):
    """Chains of convs, depthwise too, with zero rows, zero columns and borders of any code."""
    net = Net(size=(6, 5), seed=draw(st.integers(0, 2**32 - 1)))
    x, codes = net.x, st.sampled_from((0, 7, 255))
    for layer in range(draw(st.integers(1, 4))):
        channels = net.new.type_of(x).sample_shape[0]
        depthwise = draw(st.booleans())
        out = channels if depthwise else draw(st.integers(1, 5))
        weight = net.rng.integers(-8, 8, (out, 1 if depthwise else channels, 3, 3))
        dead = draw(st.lists(st.integers(0, out - 1), max_size=out, unique=True))
        unread = draw(st.lists(st.integers(0, weight.shape[1] - 1), max_size=2, unique=True))
        weight[dead], weight[:, unread] = 0, 0
        addend = np.full(out, 1000)
        addend[dead] = [draw(codes) << 6 for _ in dead]
        acc = net.conv(
            f"acc{layer}",
            x,
            out,
            weight=weight,
            groups=channels if depthwise else 1,
            pads=(1, 1, 1, 1) if layer > 1 else draw(st.sampled_from([(0, 0, 0, 0), (1, 0, 1, 1)])),
            pad_value=draw(codes),
        )
        x = net.codes(f"codes{layer}", acc, addend=addend)
    return net.build(net.conv("y", x, 2, kernel=1))


@given(planted_networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_planted_networks_run_the_same_and_shrink_no_further(graph, seed):
    after = shrunk(graph)
    assert_same_codes(graph, after, seed)
    assert shrunk(after) == after


def test_lenet_loses_only_units_that_provably_never_matter():
    path = Path(intaglio.__file__).parent / "examples" / "assets" / "lenet5-fashion-mnist.onnx"
    images = np.random.default_rng(0).random((32, 1, 28, 28), np.float32)
    lowered = 'canonicalize,equalize,quantize{"weight_bits": 2},lower'
    before = intaglio.compile(path, images, recipe=lowered)
    after = intaglio.compile(path, images, recipe=f"{lowered},dead_channels")
    np.testing.assert_array_equal(after.run(images).codes, before.run(images).codes)
    assert after.check(images[:4]) > 0
    assert len(after.blob) < len(before.blob)
    assert any(each.removal for each in after.certificates.values())


def test_tables_of_channels_that_go_go_with_them():
    """The second channel is read with zero weights only: its row of the table leaves."""
    b = Builder("g")
    codes = int_type(2, signed=False)
    x = b.input(Value("x", TensorType((BATCH, 3), codes)))
    rows = np.array([[0, 1, 2, 3], [3, 3, 0, 0], [1, 1, 2, 2]])
    table = b.constant("table", Tensor(rows, codes))
    acc = b.node("acc", Dense(), x, b.constant("same", Tensor(np.eye(3, dtype=int), codes)))
    one, none = (b.constant(f"c{v}", Tensor(np.asarray(v), codes)) for v in (1, 0))
    again = b.node("again", Requantize(codes, 0, 3), acc, one, none, none)
    looked = b.node("looked", Lookup(codes, 0), again, table)
    weight = b.constant("w", Tensor(np.array([[1, 0, 1], [2, 0, -1]]), int_type(8)))
    graph = b.build((b.node("y", Dense(), looked, weight),))
    smaller = DeadChannels().run(graph, Context())
    every = np.array(list(product(range(4), repeat=3)), dtype=np.uint8)
    one, two = (evaluate(each, {"x": every})["y"] for each in (graph, smaller))
    assert np.array_equal(one, two)
    (node,) = [node for node in smaller.nodes if isinstance(node.op, Lookup)]
    assert smaller.constants[node.inputs[1]].array.shape == (2, 4)
