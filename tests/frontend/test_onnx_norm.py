"""LayerNormalization, ArgMax, PRelu, sums, borders and crops, against onnxruntime."""

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.ops_pointwise import PRelu

RNG = np.random.default_rng(0)
CUBE = {"x": ["n", 3, 4, 5]}
NEWEST = min(onnx.defs.onnx_opset_version(), 22)


def weight(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
@pytest.mark.parametrize("given", ["scale", "scale and bias"])
def test_layer_normalization(model_of, check, axis, given):
    shape = (3, 4, 5)[(axis if axis > 0 else axis + 4) - 1 :]
    operands = ["x", "w", "b"] if given == "scale and bias" else ["x", "w"]
    node = make_node("LayerNormalization", operands, ["y"], axis=axis, epsilon=0.1)
    graph = check(model_of([node], CUBE, {"w": weight(*shape), "b": weight(*shape)}))
    assert sum(isinstance(node.op, LayerNorm) for node in graph.nodes) == 1


def test_the_other_outputs_of_layer_normalization(model_of, check):
    node = make_node("LayerNormalization", ["x", "w"], ["y", "mean", "inverse"], axis=2)
    model = model_of([node], CUBE, {"w": weight(4, 5)}, outputs=("y", "mean", "inverse"))
    graph = check(model)
    assert graph.type_of("mean").sample_shape == (3, 1, 1)


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
def test_the_index_of_the_greatest_or_least(model_of, operator, axis, keepdims, last):
    options = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
    model = model_of([make_node(operator, ["x"], ["y"], **options)], CUBE)
    graph = import_onnx(model)
    x = RNG.integers(-2, 3, (2, 3, 4, 5)).astype(np.float32)
    from onnx.reference import ReferenceEvaluator

    from intaglio.ir.evaluate import evaluate

    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.array_equal(evaluate(graph, {"x": x})["y"], expected)


@pytest.mark.parametrize("shape", [(1,), (3, 1, 1), (5,), (4, 5), (3, 4, 5)])
def test_prelu(model_of, check, shape):
    graph = check(model_of([make_node("PRelu", ["x", "s"], ["y"])], CUBE, {"s": weight(*shape)}))
    assert sum(isinstance(node.op, PRelu) for node in graph.nodes) == 1


@pytest.mark.parametrize("axes", [(2, 3), (1,), (-1,), (1, 2, 3)])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [11, 13])
def test_sums(model_of, check, axes, keepdims, opset):
    if opset == 11:
        node = make_node("ReduceSum", ["x"], ["y"], axes=axes, keepdims=keepdims)
        check(model_of([node], CUBE, opset=opset))
    else:
        node = make_node("ReduceSum", ["x", "a"], ["y"], keepdims=keepdims)
        check(model_of([node], CUBE, {"a": ints(*axes)}, opset=opset))


def test_a_sum_over_no_axes_may_be_nothing(model_of):
    node = make_node("ReduceSum", ["x"], ["y"], noop_with_empty_axes=1)
    graph = import_onnx(model_of([node], CUBE, opset=13))
    assert [node.op.name for node in graph.nodes] == ["reshape"]


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 2, 0, 0, 2, 1), (0, 1, 0, 0, 0, 2, 3, 0)])
def test_borders_of_what_is_there(model_of, check, mode, pads):
    node = make_node("Pad", ["x", "p"], ["y"], mode=mode)
    graph = check(model_of([node], CUBE, {"p": ints(*pads)}, opset=19))
    assert {node.op.name for node in graph.nodes} <= {"slice", "concat"}


@pytest.mark.parametrize("shape", [(2, 7), (6, 3), (4, 4)])
def test_crops_and_pads_around_the_center(model_of, shape):
    from onnx.reference import ReferenceEvaluator

    from intaglio.ir.evaluate import evaluate

    node = make_node("CenterCropPad", ["x", "s"], ["y"], axes=[2, 3])
    model = model_of([node], CUBE, {"s": ints(*shape)}, opset=18)
    x = weight(2, 3, 4, 5)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.array_equal(evaluate(import_onnx(model), {"x": x})["y"], expected)


def test_slices_may_count_down(model_of, check):
    node = make_node("Slice", ["x", "s", "e", "a", "t"], ["y"])
    bounds = {"s": ints(3, 0), "e": ints(-9, 5), "a": ints(2, 3), "t": ints(-2, 2)}
    check(model_of([node], CUBE, bounds))


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("axes", [(2, 3), (1,), (1, 2, 3)])
def test_activations_broadcast(model_of, check, operator, axes):
    nodes = [
        make_node("ReduceMean", ["x"], ["m"], axes=axes),
        make_node(operator, ["m", "x"], ["y"]),
    ]
    check(model_of(nodes, CUBE))


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 1, 5), (3, 4, 5), (1, 3, 4, 1)])
def test_constants_may_vary_along_several_axes(model_of, check, operator, shape):
    constant = 1 + np.abs(weight(*shape))
    check(model_of([make_node(operator, ["x", "c"], ["y"])], CUBE, {"c": constant}))


@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
def test_average_pools_of_three_axes_and_with_gaps(model_of, check, counts, ceil):
    pool = {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2], "pads": [0, 1, 0, 1, 1, 0]}
    node = make_node("AveragePool", ["x"], ["y"], count_include_pad=counts, **pool)
    check(model_of([node], {"x": ["n", 2, 4, 5, 6]}))
    gaps = make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 1])
    check(model_of([gaps], CUBE, opset=NEWEST))
    most = make_node("MaxPool", ["x"], ["y"], ceil_mode=ceil, dilations=[1, 2, 1], **pool)
    check(model_of([most], {"x": ["n", 2, 4, 6, 6]}))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            make_node("LayerNormalization", ["x", "w"], ["y"], name="l", axis=0),
            "Node 'l' (LayerNormalization): It works along axis 0, the batch. Each sample must keep "
            "its own rows: axis 0 is the batch, and nothing may merge or move it. A model whose "
            "axis 0 is no batch is imported with batch=False (--no-batch).",
        ),
        (
            make_node("LayerNormalization", ["x", "w"], ["y"], name="l", axis=2),
            "Node 'l' (LayerNormalization): The parameter 'w' of shape (7,) does not fit the sizes "
            "(4, 5). It must have the sizes of the axes that are normalized.",
        ),
        (
            make_node("PRelu", ["x", "x"], ["y"], name="p"),
            "Node 'p' (PRelu): Its operand 'x' is computed from the inputs of the network. Only a "
            "constant is supported there.",
        ),
        (
            make_node("CenterCropPad", ["x", "s"], ["y"], name="c", axes=[1]),
            "Node 'c' (CenterCropPad): It makes 1 axes of the sizes (4, 4). Give one size per "
            "axis.",
        ),
        (
            make_node("Pad", ["x", "far"], ["y"], name="p", mode="edge"),
            "Node 'p' (Pad): It pads the batch by 1 and 0. Pad other axes.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(model_of, node, message):
    weights = {"w": weight(7), "s": ints(4, 4), "far": ints(1, 0, 0, 0, 0, 0, 0, 0)}
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model_of([node], CUBE, weights, opset=18))
    assert str(caught.value) == message
