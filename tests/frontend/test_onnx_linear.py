import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Affine

NEWEST = onnx.defs.onnx_opset_version()


def weight(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    sizes=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    kernel=pairs,
    strides=pairs,
    dilations=pairs,
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    groups=st.integers(1, 3),
    per_group=st.integers(1, 2),
    bias=st.booleans(),
    opset=st.sampled_from([9, 11, NEWEST]),
)
def test_conv_equals_the_executor_for_every_geometry(
    model_of, check, sizes, kernel, strides, dilations, pads, groups, per_group, bias, opset
):
    for size, k, d, before, after in zip(sizes, kernel, dilations, pads[:2], pads[2:], strict=True):
        assume(size + before + after > d * (k - 1))
    weights = {"w": weight(2 * groups, per_group, *kernel), "b": weight(2 * groups)}
    node = make_node(
        "Conv",
        ["x", "w", "b"] if bias else ["x", "w"],
        ["y"],
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=pads,
        group=groups,
    )
    model = model_of([node], {"x": ["n", groups * per_group, *sizes]}, weights, opset=opset)
    (conv,) = check(model).nodes
    assert conv.op == Conv(strides, pads, dilations, groups)


@given(
    length=st.integers(4, 9),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_a_conv_over_one_axis_is_a_conv_of_height_one(
    model_of, check, length, kernel, stride, dilation, pads
):
    assume(length + sum(pads) > dilation * (kernel - 1))
    node = make_node("Conv", ["x", "w"], ["y"], strides=[stride], dilations=[dilation], pads=pads)
    graph = check(model_of([node], {"x": ["n", 2, length]}, {"w": weight(3, 2, kernel)}))
    (conv,) = (node for node in graph.nodes if isinstance(node.op, Conv))
    assert conv.op == Conv((1, stride), (0, pads[0], 0, pads[1]), (1, dilation))
    assert graph.outputs == ("y",)


def test_convs_over_one_axis_in_a_row_reshape_only_at_the_ends(model_of, check):
    nodes = [make_node("Conv", ["x", "w"], ["a"]), make_node("Conv", ["a", "v"], ["y"])]
    weights = {"w": weight(3, 2, 3), "v": weight(4, 3, 3)}
    graph = check(model_of(nodes, {"x": ["n", 2, 9]}, weights))
    assert [node.op.name for node in graph.nodes] == ["reshape", "conv", "conv", "reshape"]


@given(
    auto_pad=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]),
    sizes=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    kernel=pairs,
    strides=pairs,
)
def test_auto_pad_equals_the_executor(model_of, check, auto_pad, sizes, kernel, strides):
    node = make_node("Conv", ["x", "w"], ["y"], auto_pad=auto_pad, strides=strides)
    check(model_of([node], {"x": ["n", 2, *sizes]}, {"w": weight(2, 2, *kernel)}))


@given(
    trans=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5, -2.0]),
    beta=st.sampled_from([1.0, 0.25]),
    shape=st.sampled_from([None, (), (1,), (5,), (1, 5), (1, 1)]),
    opset=st.sampled_from([9, 11, 13, NEWEST]),
)
def test_gemm_is_a_dense_layer(model_of, check, trans, alpha, beta, shape, opset):
    assume(opset > 9 or shape is not None)  # the addend became optional in opset 11
    weights = {"w": weight(5, 4) if trans else weight(4, 5)}
    operands = ["x", "w"]
    if shape is not None:
        weights["c"] = weight(*shape)
        operands.append("c")
    node = make_node("Gemm", operands, ["y"], transB=int(trans), alpha=alpha, beta=beta)
    (dense,) = check(model_of([node], {"x": ["n", 4]}, weights, opset=opset)).nodes
    assert dense.op == Dense()


def test_gemm_keeps_a_weight_that_is_already_as_the_ir_wants_it(model_of, check):
    weights = {"w": weight(5, 4), "c": weight(5)}
    model = model_of(
        [make_node("Gemm", ["x", "w", "c"], ["y"], transB=1)], {"x": ["n", 4]}, weights
    )
    assert check(model).nodes[0].inputs == ("x", "w", "c")


@pytest.mark.parametrize("sizes", [(4,), (3, 4), (2, 3, 4)])
def test_matmul_with_a_constant_matrix_is_a_dense_layer(model_of, check, sizes):
    model = model_of(
        [make_node("MatMul", ["x", "w"], ["y"])], {"x": ["n", *sizes]}, {"w": weight(4, 5)}
    )
    (dense,) = check(model).nodes
    assert dense.op == Dense()


@pytest.mark.parametrize("sizes", [(4,), (3, 4)])
def test_matmul_with_a_vector_drops_the_last_axis(model_of, check, sizes):
    model = model_of(
        [make_node("MatMul", ["x", "w"], ["y"])], {"x": ["n", *sizes]}, {"w": weight(4)}
    )
    graph = check(model)
    assert graph.type_of("y").sample_shape == sizes[:-1]


NORM = ["x", "gamma", "beta", "mean", "var"]


def norm_weights(channels):
    values = {name: weight(channels, seed=seed) for seed, name in enumerate(NORM[1:])}
    return values | {"var": np.abs(values["var"]) + np.float32(0.1)}


@pytest.mark.parametrize("opset", [7, 9, 14, 15, NEWEST])
@pytest.mark.parametrize("sizes", [(3,), (3, 4), (3, 4, 5)])
def test_batch_normalization_is_one_affine(model_of, check, opset, sizes):
    node = make_node("BatchNormalization", NORM, ["y"], epsilon=0.01, momentum=0.8)
    (affine,) = check(model_of([node], {"x": ["n", *sizes]}, norm_weights(3), opset=opset)).nodes
    assert affine.op == Affine()


def test_one_weight_read_by_two_nodes_stays_one_constant(model_of, check):
    nodes = [
        make_node("MatMul", ["x", "w"], ["a"]),
        make_node("MatMul", ["a", "w"], ["b"]),
        make_node("Add", ["b", "c"], ["d"]),
        make_node("Add", ["d", "c"], ["y"]),
    ]
    graph = check(model_of(nodes, {"x": ["n", 4]}, {"w": weight(4, 4), "c": weight(4)}))
    assert sorted(graph.constants) == ["c", "scalar_1", "w.T"]


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            make_node("Conv", ["x", "x"], ["y"], name="conv"),
            "Node 'conv' (Conv): Its operand 'x' is computed from the inputs of the network. Only "
            "a constant is supported there.",
        ),
        (
            make_node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[5, 5]),
            "Node 'conv' (Conv): Attribute 'kernel_shape' = (5, 5) differs from the weight 'w' of "
            "shape (4, 3, 3, 3). Export the model again.",
        ),
        (
            make_node("Conv", ["x", "w"], ["y"], name="conv", group=0),
            "Node 'conv' (Conv): Attribute 'group' = 0. It must be positive.",
        ),
        (
            make_node("Conv", ["x", "w"], ["y"], name="conv", group=2),
            "Node 'conv' (Conv): 3 input channels in 2 groups do not fit weight float32[4,3,3,3]. "
            "Check the shapes of its operands in the model.",
        ),
        (
            make_node("Conv", ["x", "w"], ["y"], name="conv", strides=[0, 1]),
            "Node 'conv' (Conv): Kernel (3, 3), strides (0, 1), dilations (1, 1) and pads (0, 0) "
            "(0, 0) do not describe a window over 2 axes. Sizes must be positive and pads not "
            "negative, with one entry per spatial axis, all at most 1048576.",
        ),
        (
            make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1], auto_pad="VALID"),
            "Node 'conv' (Conv): Attributes 'pads' = (1, 1, 1, 1) and 'auto_pad' = 'VALID' "
            "contradict each other. Give one of them.",
        ),
        (
            make_node("Conv", ["x", "w"], ["y"], name="conv", auto_pad="SAME"),
            "Node 'conv' (Conv): Attribute 'auto_pad' = 'SAME' is not supported. Supported: "
            "'NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'.",
        ),
        (
            make_node("Conv", ["x", "cube"], ["y"], name="conv"),
            "Node 'conv' (Conv): Kernel (1, 1, 1), strides (1, 1), dilations (1, 1) and pads (0, "
            "0) (0, 0) do not describe a window over 2 axes. Sizes must be positive and pads not "
            "negative, with one entry per spatial axis, all at most 1048576.",
        ),
        (
            make_node("Gemm", ["row", "m"], ["y"], name="gemm", transA=1),
            "Node 'gemm' (Gemm): Attribute 'transA' = 1 moves the batch of 'row' behind its "
            "elements. Each sample must keep its own rows: axis 0 is the batch, and nothing may "
            "merge or move it. A model whose axis 0 is no batch is imported with batch=False "
            "(--no-batch).",
        ),
        (
            make_node("Gemm", ["row", "m", "row"], ["y"], name="gemm"),
            "Node 'gemm' (Gemm): It combines float32[n,5] and float32[n,4]. Sizes of an axis must "
            "be equal, or one of them 1.",
        ),
        (
            make_node("Gemm", ["row", "m", "long"], ["y"], name="gemm"),
            "Node 'gemm' (Gemm): The bias 'long' of shape (7,) is not one number per output. It "
            "must be a scalar or have 5 elements.",
        ),
        (
            make_node("MatMul", ["row", "row"], ["y"], name="attention"),
            "Node 'attention' (MatMul): It multiplies float32[n,4] and float32[n,4]. Both must "
            "have equally many axes, at least 3 with the batch in front.",
        ),
        (
            make_node("MatMul", ["m", "row"], ["y"], name="left"),
            "Node 'left' (MatMul): It multiplies 'm' of shape (4, 5) with float32[n,4]. A constant "
            "on the left must be a matrix, and axis 0 of the other operand the batch.",
        ),
        (
            make_node("MatMul", ["row", "stack"], ["y"], name="batched"),
            "Node 'batched' (MatMul): The constant 'stack' of shape (2, 4, 5) has a matrix for "
            "each sample of float32[n,4]. Each sample must keep its own rows: axis 0 is the "
            "batch, and nothing may merge or move it. A model whose axis 0 is no batch is "
            "imported with batch=False (--no-batch).",
        ),
        (
            make_node("BatchNormalization", NORM, ["y"], name="bn", training_mode=1),
            "Node 'bn' (BatchNormalization): Attribute 'training_mode' = 1 is not supported. "
            "Supported: 0.",
        ),
        (
            make_node("BatchNormalization", [*NORM[:4], "minus"], ["y"], name="bn"),
            "Node 'bn' (BatchNormalization): Variance 'minus' plus epsilon 1e-05 is not positive "
            "everywhere. Repair the running statistics of the layer.",
        ),
        (
            make_node("BatchNormalization", [*NORM[:4], "long"], ["y"], name="bn"),
            "Node 'bn' (BatchNormalization): Its parameters have the shapes (3,), (3,), (3,), "
            "(7,). Scale, bias, mean and variance must be equally long.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(model_of, node, message):
    weights = {
        "w": weight(4, 3, 3, 3),
        "cube": weight(4, 3, 1, 1, 1),
        "m": weight(4, 5),
        "stack": weight(2, 4, 5),
        "long": weight(7),
        "minus": -np.ones(3, np.float32),
    } | norm_weights(3)
    assert refused(model_of([node], {"x": ["n", 3, 6, 6], "row": ["n", 4]}, weights)) == message


@pytest.mark.parametrize(("bad", "name"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_weight_that_is_not_finite_is_named_with_its_reader(model_of, bad, name):
    broken = weight(4, 3, 3, 3)
    broken[1, 2, 0, 1] = bad
    node = make_node("Conv", ["x", "conv.weight"], ["y"], name="/features/conv")
    assert refused(model_of([node], {"x": ["n", 3, 6, 6]}, {"conv.weight": broken})) == (
        "Node '/features/conv' (Conv): Weight 'conv.weight' has 1 of 108 elements that are not "
        f"finite in float32 (the first, at [1, 2, 0, 1], is {name}). No integer stands for them: "
        "repair or retrain the weights."
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_other_float_types_become_float32(model_of, dtype):
    values = weight(4, 5).astype(dtype)
    graph = import_onnx(
        model_of([make_node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 4]}, {"w": values})
    )
    assert np.array_equal(graph.constants["w.T"].array, values.T.astype(np.float32))


def test_a_float64_weight_beyond_float32_is_not_finite(model_of):
    node = make_node("MatMul", ["x", "w"], ["y"], name="fc")
    model = model_of([node], {"x": ["n", 1]}, {"w": np.array([[1e300]])})
    assert refused(model) == (
        "Node 'fc' (MatMul): Weight 'w' has 1 of 1 elements that are not finite in float32 (the "
        "first, at [0, 0], is inf). No integer stands for them: repair or retrain the weights."
    )
