import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Add, Affine, Clip, Relu, Unary
from intaglio.ir.ops_product import Multiply

NEWEST = onnx.defs.onnx_opset_version()
IMAGE = {"x": ["n", 3, 4, 5]}
LARGEST = float(np.finfo(np.float32).max)


def weight(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("opset", [9, 13, NEWEST])
@pytest.mark.parametrize(
    ("operator", "attributes", "op"),
    [
        ("Relu", {}, Relu()),
        ("LeakyRelu", {}, Unary("leaky_relu", float(np.float32(0.01)))),
        ("LeakyRelu", {"alpha": 0.25}, Unary("leaky_relu", 0.25)),
        ("Elu", {}, Unary("elu", 1.0)),
        ("Elu", {"alpha": 0.5}, Unary("elu", 0.5)),
        ("Sigmoid", {}, Unary("sigmoid")),
        ("Tanh", {}, Unary("tanh")),
        ("HardSigmoid", {}, Unary("hard_sigmoid", float(np.float32(0.2)))),
        ("HardSigmoid", {"alpha": 0.125}, Unary("hard_sigmoid", 0.125)),
        ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, Clip(0.0, 1.0)),
        ("Abs", {}, Unary("abs")),
        ("Exp", {}, Unary("exp")),
        ("Neg", {}, Unary("neg")),
    ],
)
def test_a_function_of_one_value_becomes_one_op(model_of, check, operator, attributes, op, opset):
    graph = check(model_of([make_node(operator, ["x"], ["y"], **attributes)], IMAGE, opset=opset))
    assert graph.nodes[-1].op == op


def test_hard_swish_and_the_root_of_an_absolute_value(model_of, check):
    nodes = [
        make_node("HardSwish", ["x"], ["h"]),
        make_node("Abs", ["h"], ["a"]),
        make_node("Sqrt", ["a"], ["y"]),
    ]
    graph = check(model_of(nodes, IMAGE))
    assert [node.op for node in graph.nodes] == [Unary("hard_swish"), Unary("abs"), Unary("sqrt")]


CLIPS = [
    (-0.5, 0.5, Clip(-0.5, 0.5)),
    (None, 0.5, Clip(-LARGEST, 0.5)),
    (-0.5, None, Clip(-0.5, LARGEST)),
    (0.0, None, Relu()),
    (0.0, np.inf, Relu()),
    (0.0, 6.0, Clip(0.0, 6.0)),
    (None, None, Clip(-LARGEST, LARGEST)),
]


@pytest.mark.parametrize(("low", "high", "op"), CLIPS)
def test_clip_bounds_may_be_attributes(model_of, check, low, high, op):
    bounds = {"min": low, "max": high}
    given_bounds = {name: value for name, value in bounds.items() if value is not None}
    graph = check(model_of([make_node("Clip", ["x"], ["y"], **given_bounds)], IMAGE, opset=9))
    assert graph.nodes[0].op == op


@pytest.mark.parametrize("opset", [11, 13, 17, NEWEST])
@pytest.mark.parametrize(("low", "high", "op"), CLIPS)
def test_clip_bounds_may_be_operands(model_of, check, low, high, op, opset):
    bounds = {"lo": low, "hi": high}
    weights = {name: np.float32(value) for name, value in bounds.items() if value is not None}
    names = [name if name in weights else "" for name in bounds]
    graph = check(model_of([make_node("Clip", ["x", *names], ["y"])], IMAGE, weights, opset=opset))
    assert graph.nodes[0].op == op


CONSTANTS = [(), (1,), (3, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1)]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", CONSTANTS)
def test_arithmetic_with_a_constant_is_one_affine(model_of, check, operator, shape):
    model = model_of([make_node(operator, ["x", "c"], ["y"])], IMAGE, {"c": weight(*shape)})
    (node,) = check(model).nodes
    assert node.op == Affine()


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("shape", CONSTANTS)
def test_the_constant_may_come_first(model_of, check, operator, shape):
    model = model_of([make_node(operator, ["c", "x"], ["y"])], IMAGE, {"c": weight(*shape)})
    (node,) = check(model).nodes
    assert node.op == Affine()


@given(
    operator=st.sampled_from(["Add", "Sub", "Mul", "Div"]),
    rank=st.integers(2, 5),
    axis=st.integers(1, 4),
    first=st.booleans(),
    trailing_only=st.booleans(),
)
def test_a_constant_may_vary_along_any_axis_after_the_batch(
    model_of, check, operator, rank, axis, first, trailing_only
):
    axis = min(axis, rank - 1)
    sizes = [2, 3, 4, 5][: rank - 1]
    shape = [sizes[axis - 1] if a == axis else 1 for a in range(rank)]
    constant = weight(*(shape[axis:] if trailing_only else shape))
    operands = ["c", "x"] if first and operator != "Div" else ["x", "c"]
    node = make_node(operator, operands, ["y"])
    check(model_of([node], {"x": ["n", *sizes]}, {"c": constant}))


def test_a_constant_equal_along_an_axis_counts_as_constant_there(model_of, check):
    constant = np.broadcast_to(weight(3, 1, 1), (3, 4, 5))
    graph = check(model_of([make_node("Mul", ["x", "c"], ["y"])], IMAGE, {"c": constant}))
    assert graph.constants["c"].array.shape == (3,)


def test_a_bias_along_the_last_axis_joins_the_matrix_product_before_it(model_of, check):
    nodes = [make_node("MatMul", ["x", "w"], ["m"]), make_node("Add", ["m", "b"], ["y"])]
    graph = check(model_of(nodes, {"x": ["n", 3, 4]}, {"w": weight(4, 5), "b": weight(5)}))
    assert [(node.op, node.inputs) for node in graph.nodes] == [(Dense(), ("x", "w.T", "b"))]


@pytest.mark.parametrize(("operator", "sign"), [("Add", 1), ("Sub", -1)])
def test_two_activations_of_one_shape_are_added(model_of, check, operator, sign):
    nodes = [make_node("Relu", ["x"], ["r"]), make_node(operator, ["x", "r"], ["y"])]
    assert check(model_of(nodes, IMAGE)).nodes[-1].op == Add((1, sign))


def test_an_activation_may_be_added_to_itself(model_of, check):
    graph = check(model_of([make_node("Add", ["x", "x"], ["y"])], IMAGE))
    assert graph.nodes[0].inputs == ("x", "x")


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("gate", "attributes", "function"),
    [("Sigmoid", {}, "silu"), ("HardSigmoid", {"alpha": 1 / 6}, "hard_swish")],
)
def test_a_value_times_its_own_gate_is_one_function(
    model_of, check, gate, attributes, function, flip
):
    operands = ["g", "x"] if flip else ["x", "g"]
    nodes = [make_node(gate, ["x"], ["g"], **attributes), make_node("Mul", operands, ["y"])]
    assert [node.op for node in check(model_of(nodes, IMAGE)).nodes] == [Unary(function)]


@pytest.mark.parametrize("opset", [9, 11, 13, 17, NEWEST])
def test_identity_dropout_and_float_casts_vanish(model_of, check, opset):
    nodes = [
        make_node("Identity", ["x"], ["i"]),
        make_node("Dropout", ["i"], ["d"]),
        make_node("Cast", ["d"], ["c"], to=onnx.TensorProto.DOUBLE),
        make_node("Cast", ["c"], ["f"], to=onnx.TensorProto.FLOAT),
        make_node("Relu", ["f"], ["r"]),
        make_node("Identity", ["r"], ["y"]),
    ]
    graph = check(model_of(nodes, IMAGE, opset=opset))
    assert [(node.name, node.op) for node in graph.nodes] == [("y", Relu())]


@pytest.mark.parametrize("opset", [12, 13, NEWEST])
def test_dropout_may_state_that_it_does_not_train(model_of, check, opset):
    weights = {"ratio": np.float32(0.3), "mode": np.array(False)}
    node = make_node("Dropout", ["x", "ratio", "mode"], ["y"], seed=1)
    (copy,) = check(model_of([node], IMAGE, weights, opset=opset)).nodes
    assert copy.inputs == ("x",)


def test_a_gate_of_another_slope_is_a_product_of_two_activations(model_of, check):
    nodes = [
        make_node("HardSigmoid", ["x"], ["g"]),
        make_node("Mul", ["x", "g"], ["y"], name="gate"),
    ]
    assert check(model_of(nodes, IMAGE)).nodes[-1].op == Multiply()


def test_a_constant_of_higher_rank_moves_the_batch_and_is_refused(model_of):
    node = make_node("Add", ["x", "c"], ["y"], name="add")
    assert refused(model_of([node], {"x": ["n", 3]}, {"c": weight(1, 1, 3)})) == (
        "Node 'add' (Add): The constant 'c' of shape (1, 1, 3) does not fit float32[n,3]. "
        "A constant may vary along all axes but the batch."
    )


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [make_node("Dropout", ["x", "half", "true"], ["y"], name="drop")],
            "Node 'drop' (Dropout): It is in training mode. Export the model in evaluation mode.",
        ),
        (
            [
                make_node("Dropout", ["x"], ["d", "m"], name="drop"),
                make_node("Add", ["d", "m"], ["y"]),
            ],
            "Node 'drop' (Dropout): Its output 'm', the mask, is read. Only its first output is "
            "supported.",
        ),
        (
            [make_node("Cast", ["x"], ["y"], name="cast", to=onnx.TensorProto.INT64)],
            "Node 'cast' (Cast): Attribute 'to' = INT64 is not supported for activations. "
            "Supported are FLOAT, DOUBLE, FLOAT16 and BFLOAT16.",
        ),
        (
            [make_node("Div", ["x", "x"], ["y"], name="ratio")],
            "Node 'ratio' (Div): It divides two activations, 'x' and 'x'. Only division by "
            "constants is supported.",
        ),
        (
            [make_node("Div", ["half", "x"], ["y"], name="inverse")],
            "Node 'inverse' (Div): It divides the constant 'half' by the activation 'x'. Only "
            "division by constants is supported.",
        ),
        (
            [make_node("Div", ["x", "zeros"], ["y"], name="div")],
            "Node 'div' (Div): It divides by 'zeros', which holds zeros. Repair the model.",
        ),
        (
            [
                make_node("GlobalAveragePool", ["x"], ["g"]),
                make_node("Flatten", ["g"], ["f"]),
                make_node("Add", ["x", "f"], ["y"], name="add"),
            ],
            "Node 'add' (Add): It broadcasts float32[n,3,4,5] and float32[n,3]: the batch of one "
            "meets another axis of the other. Insert axes of size 1 after the batch.",
        ),
        (
            [
                make_node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
                make_node("Add", ["x", "t"], ["y"], name="add"),
            ],
            "Node 'add' (Add): It combines float32[n,3,4,5] and float32[n,3,5,4]. Sizes of an axis "
            "must be equal, or one of them 1.",
        ),
        (
            [make_node("Add", ["x", "batch"], ["y"], name="add")],
            "Node 'add' (Add): The constant 'batch' of shape (2, 1, 1, 1) does not fit "
            "float32[n,3,4,5]. A constant may vary along all axes but the batch.",
        ),
        (
            [make_node("HardSigmoid", ["half"], ["h"]), make_node("Add", ["x", "h"], ["y"])],
            "Node 'HardSigmoid:h' (HardSigmoid): Its operand 'half' is a constant. Fold the "
            "constants of the model first.",
        ),
        (
            [make_node("Relu", ["x"], ["y"], name="relu", slope=2)],
            "Node 'relu' (Relu): Attribute 'slope' = 2 is not supported. Supported attributes: "
            "none.",
        ),
        (
            [
                make_node(
                    "Relu", ["x"], ["y"], name="relu", table=numpy_helper.from_array(np.ones(3))
                )
            ],
            "Node 'relu' (Relu): Attribute 'table' = <tensor> is not supported. Supported "
            "attributes: none.",
        ),
        (
            [make_node("Elu", ["x"], ["y"], name="elu", alpha=2)],
            "Node 'elu' (Elu): Attribute 'alpha' = 2 is not of the kind 'float'. Export the model "
            "again.",
        ),
        (
            [make_node("Clip", ["x", "zeros"], ["y"], name="clip")],
            "Node 'clip' (Clip): 'zeros' is not one number. Export the model again.",
        ),
        (
            [make_node("Clip", ["x", "nan"], ["y"], name="clip")],
            "Node 'clip' (Clip): A bound is not a number. Give finite bounds, or leave them out.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(model_of, nodes, message):
    weights = {
        "half": np.float32(0.5),
        "true": np.array(True),
        "zeros": np.zeros((3, 1, 1), np.float32),
        "plane": weight(4, 5),
        "batch": weight(2, 1, 1, 1),
        "nan": np.float32(np.nan),
    }
    assert refused(model_of(nodes, IMAGE, weights)) == message


def test_a_constant_that_differs_between_samples_is_refused(model_of):
    model = model_of(
        [make_node("Add", ["x", "c"], ["y"], name="add")], {"x": [2, 3]}, {"c": weight(2, 1)}
    )
    assert refused(model) == (
        "Node 'add' (Add): The constant 'c' of shape (2, 1) varies along the batch of "
        "float32[n,3]. A constant may vary along all axes but the batch."
    )
