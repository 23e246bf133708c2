import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_layout import Concat, Pad, Slice, Transpose

NEWEST = onnx.defs.onnx_opset_version()
CUBE = {"x": ["n", 3, 4, 5]}


def ints(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("batch", ["n", 1, 2])
@pytest.mark.parametrize("opset", [9, 13, 14, NEWEST])
@pytest.mark.parametrize(
    ("target", "sample"),
    [
        ((0, -1), (60,)),
        ((-1, 60), (60,)),
        ((0, 0, -1), (3, 20)),
        ((0, 0, 20), (3, 20)),
        ((-1, 5, 4, 3), (5, 4, 3)),
        ((0, 12, 5), (12, 5)),
        ((-1, 3, 4, 5), (3, 4, 5)),
    ],
)
def test_reshape_becomes_a_reshape_of_each_sample(model_of, check, target, sample, batch, opset):
    node = make_node("Reshape", ["x", "shape"], ["y"])
    model = model_of([node], {"x": [batch, 3, 4, 5]}, {"shape": ints(*target)}, opset=opset)
    assert check(model).type_of("y").sample_shape == sample


@pytest.mark.parametrize(("batch", "target"), [(1, (1, -1)), (2, (2, 60)), (4, (4, -1, 5))])
def test_reshape_may_write_the_batch_as_the_number_of_the_input(model_of, check, batch, target):
    node = make_node("Reshape", ["x", "shape"], ["y"])
    graph = check(model_of([node], {"x": [batch, 3, 4, 5]}, {"shape": ints(*target)}))
    assert graph.type_of("y").elements == 60


def test_a_reshape_of_a_reshape_is_one(model_of, check):
    nodes = [make_node("Reshape", ["x", "a"], ["z"]), make_node("Reshape", ["z", "b"], ["y"])]
    graph = check(model_of(nodes, CUBE, {"a": ints(0, 12, 5), "b": ints(0, 60)}))
    assert [node.inputs for node in graph.nodes] == [("x",)]


def test_allowzero_means_what_it_says(model_of):
    node = make_node("Reshape", ["x", "shape"], ["y"], name="reshape", allowzero=1)
    assert refused(model_of([node], CUBE, {"shape": ints(0, -1)})) == (
        f"Node 'reshape' (Reshape): It reshapes float32[n,3,4,5] to (0, -1). {KEEP}"
    )


@pytest.mark.parametrize("opset", [9, 11, 13, NEWEST])
@pytest.mark.parametrize("axis", [1, -3])
def test_flatten(model_of, check, opset, axis):
    axis = axis % 4 if opset < 11 else axis  # negative ones came with opset 11
    graph = check(model_of([make_node("Flatten", ["x"], ["y"], axis=axis)], CUBE, opset=opset))
    assert graph.type_of("y").sample_shape == (60,)


def test_flatten_from_a_later_axis_when_nothing_lies_between(model_of, check):
    node = make_node("Flatten", ["x"], ["y"], axis=3)
    assert check(model_of([node], {"x": ["n", 1, 1, 5]})).type_of("y").sample_shape == (5,)


def with_axes(operator, axes, opset):
    """A node and the weights for axes that are an attribute before opset 13."""
    if opset < 13:
        return make_node(operator, ["x"], ["y"], axes=axes), {}
    return make_node(operator, ["x", "axes"], ["y"]), {"axes": ints(*axes)}


@pytest.mark.parametrize("opset", [9, 11, 13, 17, NEWEST])
@pytest.mark.parametrize(
    ("axes", "sample"), [((1,), (4, 1)), ((3,), (1, 4)), ((1, -1), (4,)), ((-1,), (1, 4))]
)
def test_squeeze(model_of, check, opset, axes, sample):
    if opset < 11:
        axes = [axis % 4 for axis in axes]  # negative ones came with opset 11
    node, weights = with_axes("Squeeze", axes, opset)
    graph = check(model_of([node], {"x": ["n", 1, 4, 1]}, weights, opset=opset))
    assert graph.type_of("y").sample_shape == sample


def test_squeeze_without_axes_leaves_a_symbolic_batch(model_of, check):
    graph = check(model_of([make_node("Squeeze", ["x"], ["y"])], {"x": ["n", 1, 4, 1]}))
    assert graph.type_of("y").sample_shape == (4,)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, NEWEST])
@pytest.mark.parametrize(
    ("axes", "sample"),
    [((1,), (1, 3, 4)), ((3,), (3, 4, 1)), ((1, 4), (1, 3, 4, 1)), ((2, 1), (1, 1, 3, 4))],
)
def test_unsqueeze(model_of, check, opset, axes, sample):
    node, weights = with_axes("Unsqueeze", axes, opset)
    graph = check(model_of([node], {"x": ["n", 3, 4]}, weights, opset=opset))
    assert graph.type_of("y").sample_shape == sample


@given(order=st.permutations([1, 2, 3]), opset=st.sampled_from([9, 13, NEWEST]))
def test_transpose_keeps_the_batch_first(model_of, check, order, opset):
    node = make_node("Transpose", ["x"], ["y"], perm=[0, *order])
    (moved,) = check(model_of([node], CUBE, opset=opset)).nodes
    assert order == [1, 2, 3] or moved.op == Transpose((0, *order))


@given(first=st.permutations([1, 2, 3]), second=st.permutations([1, 2, 3]))
def test_transposes_in_a_row_are_one_or_none(model_of, check, first, second):
    nodes = [
        make_node("Transpose", ["x"], ["z"], perm=[0, *first]),
        make_node("Transpose", ["z"], ["y"], perm=[0, *second]),
    ]
    assert len(check(model_of(nodes, CUBE)).nodes) == 1


@pytest.mark.parametrize("opset", [9, 13, NEWEST])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(model_of, check, opset, axis):
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        make_node("Concat", ["r", "x", "r"], ["y"], axis=axis),
    ]
    graph = check(model_of(nodes, CUBE, opset=opset))
    assert graph.nodes[-1].op == Concat(axis % 4)


@st.composite
def parts_of(draw, size):
    """A start, an end and a step that select something, written in one of the ways there are."""
    start = draw(st.integers(0, size - 1))
    end = draw(st.integers(start + 1, size))
    starts = [start, start - size] + [-size - 2, -(2**63)] * (start == 0)
    ends = [end, end - size] if end < size else [end, size + 2, 2**31 - 1, 2**63 - 1]
    return draw(st.sampled_from(starts)), draw(st.sampled_from(ends)), draw(st.integers(1, 3))


@given(
    parts=st.tuples(parts_of(3), parts_of(4), parts_of(5)),
    count=st.integers(1, 3),
    opset=st.sampled_from([10, 11, 13, NEWEST]),
    negative=st.booleans(),
)
def test_slice_equals_the_executor_for_every_bound(model_of, check, parts, count, opset, negative):
    starts, ends, steps = zip(*parts[:count], strict=True)
    axes = [axis - 4 if negative else axis for axis in (1, 2, 3)[:count]]
    weights = {"s": ints(*starts), "e": ints(*ends), "a": ints(*axes), "t": ints(*steps)}
    node = make_node("Slice", ["x", "s", "e", "a", "t"], ["y"])
    check(model_of([node], CUBE, weights, opset=opset))


def test_slice_bounds_may_be_attributes(model_of, check):
    node = make_node("Slice", ["x"], ["y"], starts=[1, -3], ends=[3, -1], axes=[1, 3])
    (cut,) = check(model_of([node], CUBE, opset=9)).nodes
    assert cut.op == Slice((1, 0, 2), (3, 4, 4), (1, 1, 1))


def test_a_slice_may_name_the_whole_batch(model_of, check):
    node = make_node("Slice", ["x", "s", "e"], ["y"])
    weights = {"s": ints(0, 1), "e": ints(2**63 - 1, 3)}
    (cut,) = check(model_of([node], CUBE, weights)).nodes
    assert cut.op == Slice((1, 0, 0), (3, 4, 5), (1, 1, 1))


part = st.tuples(st.integers(0, 3), st.integers(4, 9), st.integers(1, 3))


@given(first=part, second=part)
def test_slices_in_a_row_are_one(model_of, check, first, second):
    assume(range(9)[slice(*first)][slice(*second)])
    names = "seat"
    weights = {
        f"{name}{index}": ints(value)
        for index, (start, end, step) in enumerate((first, second))
        for name, value in zip(names, (start, end, 1, step), strict=True)
    }
    nodes = [
        make_node("Slice", ["x", *(f"{name}0" for name in names)], ["z"]),
        make_node("Slice", ["z", *(f"{name}1" for name in names)], ["y"]),
    ]
    assert len(check(model_of(nodes, {"x": ["n", 9]}, weights)).nodes) == 1


def split_model(model_of, opset, sizes, axis):
    outputs = ["a", "b"]
    if sizes is None:
        extra = {"num_outputs": 2} if opset >= 18 else {}
        return model_of(
            [make_node("Split", ["x"], outputs, axis=axis, **extra)], CUBE, {}, outputs, opset
        )
    if opset < 13:
        node = make_node("Split", ["x"], outputs, axis=axis, split=sizes)
        return model_of([node], CUBE, {}, outputs, opset)
    node = make_node("Split", ["x", "sizes"], outputs, axis=axis)
    return model_of([node], CUBE, {"sizes": ints(*sizes)}, outputs, opset)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, NEWEST])
@pytest.mark.parametrize(("sizes", "axis"), [((1, 2), 1), (None, 2), ((3, 2), -1)])
def test_split_is_one_slice_per_part(model_of, check, opset, sizes, axis):
    axis = axis % 4 if opset < 11 else axis  # negative ones came with opset 11
    graph = check(split_model(model_of, opset, sizes, axis))
    assert [(node.name, type(node.op)) for node in graph.nodes] == [("a", Slice), ("b", Slice)]


def test_split_into_unequal_parts_by_count(model_of, check):
    graph = check(split_model(model_of, 18, None, 3))
    assert [graph.type_of(name).sample_shape[2] for name in ("a", "b")] == [3, 2]


PADS = (0, 1, 0, 2, 0, 0, 3, 1)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, NEWEST])
@pytest.mark.parametrize("value", [None, 0.0, -1.5])
def test_pad(model_of, check, opset, value):
    if opset < 11:
        extra = {} if value is None else {"value": value}
        node, weights = make_node("Pad", ["x"], ["y"], pads=PADS, **extra), {}
    else:
        names = ["x", "pads"] if value is None else ["x", "pads", "value"]
        node = make_node("Pad", names, ["y"])
        weights = {"pads": ints(*PADS), "value": np.float32(value or 0)}
    (pad,) = check(model_of([node], CUBE, weights, opset=opset)).nodes
    assert pad.op == Pad((1, 0, 2), (0, 3, 1), value or 0.0)


@pytest.mark.parametrize("axes", [(1, 3), (-3, -1)])
def test_pad_may_name_its_axes(model_of, check, axes):
    node = make_node("Pad", ["x", "pads", "", "axes"], ["y"])
    weights = {"pads": ints(1, 2, 3, 4), "axes": ints(*axes)}
    (pad,) = check(model_of([node], CUBE, weights, opset=18)).nodes
    assert pad.op == Pad((1, 0, 2), (3, 0, 4), 0.0)


def test_a_pad_of_nothing_vanishes(model_of, check):
    nodes = [make_node("Pad", ["x", "pads"], ["p"]), make_node("Relu", ["p"], ["y"])]
    graph = check(model_of(nodes, CUBE, {"pads": ints(*[0] * 8)}))
    assert [node.op.name for node in graph.nodes] == ["relu"]


def test_a_negative_pad_crops(model_of, check):
    node = make_node("Pad", ["x", "pads"], ["y"])
    model = model_of([node], CUBE, {"pads": ints(0, -1, 2, 0, 0, -1, 0, -2)})
    assert check(model).type_of("y").sample_shape == (1, 6, 3)


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    return str(caught.value)


KEEP = (
    "Each sample must keep its own rows: axis 0 is the batch, and nothing may merge or move it. A "
    "model whose axis 0 is no batch is imported with batch=False (--no-batch)."
)
WEIGHTS = {
    "merge": ints(-1, 4),
    "flat": ints(60),
    "far": ints(0, 0, 0, 0, 0, 1),
    "zero": ints(0),
    "one": ints(1),
    "two": ints(2),
    "pair": ints(3, 3),
    "four": ints(1, 1, 1, 1),
    "minus": ints(-1),
    "nine": ints(9),
    "pads": ints(1, 0, 0, 0, 0, 0, 0, 0),
    "side": ints(0, 0, 0, 0, 0, 0, 0, 1),
    "inf": np.float32(np.inf),
    "sizes": ints(1, 1),
    "constant": np.zeros((1, 3, 4, 5), np.float32),
}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            make_node("Reshape", ["x", "merge"], ["y"], name="r"),
            f"Node 'r' (Reshape): It reshapes float32[n,3,4,5] to (-1, 4). {KEEP}",
        ),
        (
            make_node("Reshape", ["x", "flat"], ["y"], name="r"),
            f"Node 'r' (Reshape): It reshapes float32[n,3,4,5] to (60). {KEEP}",
        ),
        (
            make_node("Reshape", ["x", "far"], ["y"], name="r"),
            "Node 'r' (Reshape): It copies axis 4 of float32[n,3,4,5]. Correct the 0 in its shape.",
        ),
        (
            make_node("Reshape", ["x", "x"], ["y"], name="r"),
            "Node 'r' (Reshape): Its operand 'x' is computed from the inputs of the network. Only "
            "a constant is supported there.",
        ),
        (
            make_node("Reshape", ["x", "inf"], ["y"], name="r"),
            "Node 'r' (Reshape): 'inf' is not a list of integers. Export the model again.",
        ),
        (
            make_node("Flatten", ["x"], ["y"], name="f", axis=0),
            "Node 'f' (Flatten): Attribute 'axis' = 0 merges the batch of float32[n,3,4,5] into "
            "its rows. Flatten from axis 1 on.",
        ),
        (
            make_node("Flatten", ["x"], ["y"], name="f", axis=2),
            "Node 'f' (Flatten): Attribute 'axis' = 2 merges the batch of float32[n,3,4,5] into "
            "its rows. Flatten from axis 1 on.",
        ),
        (
            make_node("Squeeze", ["x", "one"], ["y"], name="s"),
            "Node 's' (Squeeze): It squeezes axis 1 of float32[n,3,4,5]. Only axes of size 1 can "
            "be dropped.",
        ),
        (
            make_node("Squeeze", ["x", "zero"], ["y"], name="s"),
            f"Node 's' (Squeeze): It works along axis 0, the batch. {KEEP}",
        ),
        (
            make_node("Unsqueeze", ["x", "zero"], ["y"], name="u"),
            f"Node 'u' (Unsqueeze): It works along axis 0, the batch. {KEEP}",
        ),
        (
            make_node("Unsqueeze", ["x", "sizes"], ["y"], name="u"),
            "Node 'u' (Unsqueeze): Axes (1, 1) name one axis twice. Name each new axis once.",
        ),
        (
            make_node("Transpose", ["x"], ["y"], name="t"),
            "Node 't' (Transpose): It transposes float32[n,3,4,5] to the order (3, 2, 1, 0). "
            f"{KEEP}",
        ),
        (
            make_node("Transpose", ["x"], ["y"], name="t", perm=[0, 1, 1, 2]),
            "Node 't' (Transpose): (0, 1, 1, 2) is not an order of 4 axes. Name each axis once.",
        ),
        (
            make_node("Concat", ["x", "x"], ["y"], name="c", axis=0),
            f"Node 'c' (Concat): It works along axis 0, the batch. {KEEP}",
        ),
        (
            make_node("Concat", ["x", "constant"], ["y"], name="c", axis=1),
            "Node 'c' (Concat): It concatenates constants with activations. Every operand must be "
            "an activation; a constant border can be written as Pad.",
        ),
        (
            make_node("Slice", ["x", "zero", "one", "zero"], ["y"], name="s"),
            f"Node 's' (Slice): It slices the batch: 0:1:1. {KEEP}",
        ),
        (
            make_node("Slice", ["x", "zero", "two", "one", "minus"], ["y"], name="s"),
            "Node 's' (Slice): Its slice 0:2:-1 is empty. Correct the bounds.",
        ),
        (
            make_node("Slice", ["x", "nine", "nine", "one"], ["y"], name="s"),
            "Node 's' (Slice): Its slice 9:9:1 of axis 1 of float32[n,3,4,5] is empty. Correct the "
            "bounds.",
        ),
        (
            make_node("Slice", ["x", "sizes", "two"], ["y"], name="s"),
            "Node 's' (Slice): Its starts, ends, axes and steps are not equally many. Export the "
            "model again.",
        ),
        (
            make_node("Slice", ["x", "sizes", "pair", "sizes"], ["y"], name="s"),
            "Node 's' (Slice): Its axes (1, 1) name one axis twice. Export the model again.",
        ),
        (
            make_node("Pad", ["x", "four", "", "sizes"], ["y"], name="p"),
            "Node 'p' (Pad): Its axes (1, 1) name one axis twice. Export the model again.",
        ),
        (
            make_node("Slice", ["x"], ["y"], name="s"),
            "Node 's' (Slice): It has no bounds. Export the model again.",
        ),
        (
            make_node("Split", ["x", "sizes"], ["y", "z"], name="s", axis=1),
            "Node 's' (Split): It splits 3 elements into 2 parts of sizes (1, 1). The sizes must "
            "be positive, one per output, and add up.",
        ),
        (
            make_node("Split", ["x"], ["y", "z"], name="s"),
            f"Node 's' (Split): It works along axis 0, the batch. {KEEP}",
        ),
        (
            make_node("Pad", ["x", "pads"], ["y"], name="p"),
            f"Node 'p' (Pad): It pads the batch by 1 and 0. {KEEP}",
        ),
        (
            make_node("Pad", ["x", "sizes"], ["y"], name="p"),
            "Node 'p' (Pad): It has 2 pads for 4 axes. Give two pads per axis.",
        ),
        (
            make_node("Pad", ["x", "side", "inf"], ["y"], name="p"),
            "Node 'p' (Pad): It pads with inf. Pad with a finite number.",
        ),
        (
            make_node("Pad", ["x", "side"], ["y"], name="p", mode="mirror"),
            "Node 'p' (Pad): Attribute 'mode' = 'mirror' is not supported. Supported: 'constant', "
            "'edge', 'reflect', 'wrap'.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(model_of, node, message):
    assert refused(model_of([node], CUBE, WEIGHTS)) == message


def test_a_fixed_batch_of_one_may_not_be_squeezed_away(model_of):
    model = model_of([make_node("Squeeze", ["x"], ["y"], name="s")], {"x": [1, 1, 4]})
    assert refused(model) == (
        "Node 's' (Squeeze): It squeezes every axis of size 1, the batch too. Name the axes."
    )


def test_a_symbolic_batch_may_not_become_a_number(model_of):
    model = model_of([make_node("Reshape", ["x", "s"], ["y"], name="r")], CUBE, {"s": ints(1, -1)})
    assert refused(model) == (
        f"Node 'r' (Reshape): It reshapes float32[n,3,4,5] to (1, -1). {KEEP}"
    )
