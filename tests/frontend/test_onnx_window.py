import numpy as np
import onnx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_pool import AveragePool, MaxPool

NEWEST = onnx.defs.onnx_opset_version()
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.tuples(*[st.integers(0, 2)] * 4)
sizes = st.tuples(st.integers(3, 9), st.integers(3, 9))


def fits(size, kernel, dilation, border):
    """Whether the executor takes the geometry: pads smaller than the kernel, a window that fits."""
    for axis in range(2):
        before, after = border[axis], border[axis + 2]
        span = dilation[axis] * (kernel[axis] - 1) + 1
        if max(before, after) >= kernel[axis] or size[axis] + before + after < span:
            return False
    return True


@given(
    size=sizes,
    kernel=pairs,
    strides=pairs,
    dilations=pairs,
    border=pads,
    ceil_mode=st.booleans(),
    opset=st.sampled_from([10, 11, 12, NEWEST]),
)
def test_max_pool_equals_the_executor_for_every_geometry(
    model_of, check, size, kernel, strides, dilations, border, ceil_mode, opset
):
    assume(fits(size, kernel, dilations, border))
    node = make_node(
        "MaxPool",
        ["x"],
        ["y"],
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=border,
        ceil_mode=int(ceil_mode),
    )
    (pool,) = check(model_of([node], {"x": ["n", 2, *size]}, opset=opset)).nodes
    assert isinstance(pool.op, MaxPool)


@given(
    size=sizes,
    kernel=pairs,
    strides=pairs,
    border=pads,
    ceil_mode=st.booleans(),
    count=st.booleans(),
    opset=st.sampled_from([19, NEWEST]),
)
@example(  # the border counts, what ceil mode adds after it does not
    size=(3, 3),
    kernel=(3, 1),
    strides=(2, 1),
    border=(0, 0, 1, 0),
    ceil_mode=True,
    count=True,
    opset=19,
)
def test_average_pool_equals_the_executor_for_every_geometry(
    model_of, check, size, kernel, strides, border, ceil_mode, count, opset
):
    assume(fits(size, kernel, (1, 1), border))
    node = make_node(
        "AveragePool",
        ["x"],
        ["y"],
        kernel_shape=kernel,
        strides=strides,
        pads=border,
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count),
    )
    check(model_of([node], {"x": ["n", 2, *size]}, opset=opset))


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize("count", [0, 1])
def test_average_pool_of_older_opsets(model_of, check, opset, count):
    node = make_node(
        "AveragePool",
        ["x"],
        ["y"],
        kernel_shape=[3, 2],
        pads=[1, 0, 2, 1],
        strides=[2, 1],
        count_include_pad=count,
    )
    (pool,) = check(model_of([node], {"x": ["n", 2, 6, 7]}, opset=opset)).nodes
    assert pool.op == AveragePool((3, 2), (2, 1), (1, 0, 2, 1), count)


@given(
    operator=st.sampled_from(["MaxPool", "AveragePool"]),
    auto_pad=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]),
    size=sizes,
    kernel=pairs,
    strides=pairs,
    count=st.booleans(),
)
def test_auto_pad_equals_the_executor(
    model_of, check, operator, auto_pad, size, kernel, strides, count
):
    for n, k, s in zip(size, kernel, strides, strict=True):
        assume((-(-n // s) - 1) * s + k >= n)  # the executor fails where nothing is to be padded
    extra = {"count_include_pad": int(count)} if operator == "AveragePool" else {}
    node = make_node(
        operator, ["x"], ["y"], auto_pad=auto_pad, kernel_shape=kernel, strides=strides, **extra
    )
    check(model_of([node], {"x": ["n", 2, *size]}))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_pools_over_one_axis(model_of, check, operator, ceil_mode):
    node = make_node(
        operator, ["x"], ["y"], kernel_shape=[3], strides=[2], pads=[1, 0], ceil_mode=ceil_mode
    )
    graph = check(model_of([node], {"x": ["n", 2, 7]}, opset=19))
    assert graph.type_of("y").sample_shape == (2, 3 + ceil_mode)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("spatial", [(5,), (4, 3)])
def test_global_pools_read_everything(model_of, check, operator, spatial):
    graph = check(model_of([make_node(operator, ["x"], ["y"])], {"x": ["n", 2, *spatial]}))
    assert graph.type_of("y").sample_shape == (2, *(1 for _ in spatial))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, NEWEST])
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2), (2,), (-1,)])
def test_a_mean_over_spatial_axes_is_an_average_pool(model_of, check, keepdims, opset, axes):
    if opset < 18:
        node = make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=keepdims)
        model = model_of([node], {"x": ["n", 2, 4, 5]}, opset=opset)
    else:
        node = make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)
        model = model_of([node], {"x": ["n", 2, 4, 5]}, {"axes": np.array(axes)}, opset=opset)
    graph = check(model)
    assert isinstance(graph.nodes[0].op, AveragePool)


def test_a_mean_over_the_last_of_three_axes(model_of, check):
    node = make_node("ReduceMean", ["x"], ["y"], axes=[2], keepdims=0)
    graph = check(model_of([node], {"x": ["n", 3, 7]}))
    assert graph.type_of("y").sample_shape == (3,)


def test_a_mean_over_no_axes_may_do_nothing(model_of, check):
    node = make_node("ReduceMean", ["x"], ["y"], noop_with_empty_axes=1)
    graph = check(model_of([node], {"x": ["n", 3]}, opset=18))
    assert [node.op.name for node in graph.nodes] == ["reshape"]  # the input under its other name


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    return str(caught.value)


BATCH_ADVICE = (
    "Each sample must keep its own rows: axis 0 is the batch, and nothing may merge or move it. A "
    "model whose axis 0 is no batch is imported with batch=False (--no-batch)."
)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            make_node("MaxPool", ["x"], ["y", "i"], name="pool", kernel_shape=[2, 2]),
            "Node 'pool' (MaxPool): Its output 'i', the indices, is read. Only its first output is "
            "supported.",
        ),
        (
            make_node("MaxPool", ["x"], ["y"], name="pool", kernel_shape=[2, 2], storage_order=1),
            "Node 'pool' (MaxPool): Attribute 'storage_order' = 1 is not supported. Supported: 0.",
        ),
        (
            make_node("MaxPool", ["x"], ["y"], name="pool"),
            "Node 'pool' (MaxPool): Attribute 'kernel_shape' is missing. Export the model again.",
        ),
        (
            make_node("MaxPool", ["x"], ["y"], name="pool", kernel_shape=[2, 2], pads=[2, 2, 0, 0]),
            "Node 'pool' (MaxPool): A window of (2, 2) lies entirely in the border (2, 2, 0, 0) of "
            "float32[n,2,4,5]. Check the shapes of its operands in the model.",
        ),
        (
            make_node(
                "AveragePool",
                ["x"],
                ["y"],
                name="pool",
                kernel_shape=[2, 2],
                dilations=[2, 1],
                pads=[1, 1, 1, 1],
            ),
            "Node 'pool' (AveragePool): Its windows have dilations (2, 1) and a border that does "
            "not count. Let the border count (count_include_pad = 1), or give no pads.",
        ),
        (
            make_node("ReduceMean", ["x"], ["y"], name="mean"),
            f"Node 'mean' (ReduceMean): It works along axis 0, the batch. {BATCH_ADVICE}",
        ),
        (
            make_node("ReduceMean", ["x"], ["y"], name="mean", axes=[4]),
            "Node 'mean' (ReduceMean): Axis 4 is not one of the 4 axes. Correct the axis.",
        ),
        (
            make_node("GlobalAveragePool", ["row"], ["y"], name="pool"),
            "Node 'pool' (GlobalAveragePool): Its input is float32[n,2]. Supported are (n, "
            "channels, length) and (n, channels, height, width).",
        ),
        (
            make_node("ReduceMax", ["x"], ["y"], name="max", axes=[2, 3]),
            "Node 'max' (ReduceMax): Operator 'ReduceMax' of domain 'ai.onnx', opset 17, is not "
            "supported. Nearest supported operators: ReduceMean, ReduceSum. Replace it.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(model_of, node, message):
    outputs = [name for name in node.output if name]
    model = model_of([node], {"x": ["n", 2, 4, 5], "row": ["n", 2]}, outputs=outputs)
    assert refused(model) == message
