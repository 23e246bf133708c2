import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx

NEWEST = onnx.defs.onnx_opset_version()
CUBE = {"x": ["n", 3, 4, 5]}


def ints(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("batch", ["n", 1, 3])
@pytest.mark.parametrize("opset", [13, 15, NEWEST])
def test_the_shape_chain_of_view_folds_with_the_batch_in_it(model_of, check, batch, opset):
    nodes = [
        make_node("Shape", ["x"], ["shape"]),
        make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        make_node("Unsqueeze", ["batch", "axis"], ["first"]),
        make_node("Concat", ["first", "rest"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"zero": np.int64(0), "axis": ints(0), "rest": ints(-1)}
    graph = check(model_of(nodes, {"x": [batch, 3, 4, 5]}, weights, opset=opset))
    assert graph.type_of("y").sample_shape == (60,)


def test_the_shape_chain_of_flatten_folds(model_of, check):
    nodes = [
        make_node("Shape", ["x"], ["shape"]),
        make_node("Slice", ["shape", "zero", "one"], ["first"]),
        make_node("Concat", ["first", "rest"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"zero": ints(0), "one": ints(1), "rest": ints(60)}
    assert check(model_of(nodes, CUBE, weights)).type_of("y").sample_shape == (60,)


def test_sizes_are_multiplied_divided_and_cast(model_of, check):
    nodes = [
        make_node("Shape", ["x"], ["shape"]),
        make_node("Gather", ["shape", "one"], ["c"]),
        make_node("Gather", ["shape", "two"], ["h"]),
        make_node("Mul", ["c", "h"], ["ch"]),
        make_node("Div", ["ch", "six"], ["half"]),
        make_node("Add", ["half", "two"], ["four"]),
        make_node("Sub", ["four", "two"], ["again"]),
        make_node("Cast", ["again"], ["real"], to=TensorProto.FLOAT),
        make_node("Cast", ["real"], ["size"], to=TensorProto.INT64),
        make_node("Unsqueeze", ["size", "axis"], ["last"]),
        make_node("Concat", ["head", "last"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"one": np.int64(1), "two": np.int64(2), "six": np.int64(6), "axis": ints(0)}
    graph = check(model_of(nodes, CUBE, weights | {"head": ints(0, -1)}))
    assert graph.type_of("y").sample_shape == (30, 2)


def test_a_batch_that_is_cast_multiplied_by_one_and_squeezed_stays_the_batch(model_of, check):
    nodes = [
        make_node("Shape", ["x"], ["shape"], start=0, end=1),
        make_node("Cast", ["shape"], ["cast"], to=TensorProto.INT64),
        make_node("Mul", ["cast", "one"], ["same"]),
        make_node("Add", ["zero", "same"], ["still"]),
        make_node("Div", ["still", "one"], ["batch"]),
        make_node("Squeeze", ["batch", "zero"], ["scalar"]),
        make_node("Unsqueeze", ["scalar", "zero"], ["first"]),
        make_node("Concat", ["first", "rest"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"one": ints(1), "zero": ints(0), "rest": ints(12, 5)}
    graph = check(model_of(nodes, CUBE, weights, opset=15))
    assert graph.type_of("y").sample_shape == (12, 5)


def test_shapes_of_parts_and_of_constants(model_of, check):
    nodes = [
        make_node("Shape", ["x"], ["sample"], start=1),
        make_node("Gather", ["sample", "order"], ["sizes"]),
        make_node("Shape", ["table"], ["first"], end=1),
        make_node("Concat", ["minus", "first", "sizes"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"order": ints(2, 0), "table": np.ones((4, 7)), "minus": ints(-1)}
    graph = check(model_of(nodes, CUBE, weights, opset=15))
    assert graph.type_of("y").sample_shape == (4, 5, 3)


def test_the_pads_that_the_older_torch_exporter_computes(model_of, check):
    nodes = [
        make_node("ConstantOfShape", ["four"], ["zeros"], value=numpy_helper.from_array(ints(0))),
        make_node("Concat", ["given", "zeros"], ["all"], axis=0),
        make_node("Reshape", ["all", "pairs"], ["rows"]),
        make_node("Slice", ["rows", "last", "least", "zero", "last"], ["reversed"]),
        make_node("Transpose", ["reversed"], ["columns"], perm=[1, 0]),
        make_node("Reshape", ["columns", "flat"], ["pads"]),
        make_node("Cast", ["pads"], ["cast"], to=TensorProto.INT64),
        make_node("Pad", ["x", "cast"], ["y"]),
    ]
    weights = {
        "four": ints(4),
        "given": ints(1, 2, 0, 3),
        "pairs": ints(-1, 2),
        "zero": ints(0),
        "last": ints(-1),
        "least": ints(-(2**63)),
        "flat": ints(-1),
    }
    assert check(model_of(nodes, CUBE, weights)).type_of("y").sample_shape == (3, 7, 8)


def test_range_gives_axes(model_of, check):
    nodes = [
        make_node("Range", ["two", "four", "one"], ["axes"]),
        make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0),
    ]
    weights = {"one": np.int64(1), "two": np.int64(2), "four": np.int64(4)}
    assert check(model_of(nodes, CUBE, weights, opset=18)).type_of("y").sample_shape == (3,)


@pytest.mark.parametrize(
    "nodes",
    [
        [make_node("Transpose", ["w"], ["v"])],
        [make_node("Reshape", ["w", "swap"], ["v"])],
        [
            make_node("Unsqueeze", ["w", "axis"], ["u"]),
            make_node("Squeeze", ["u", "axis"], ["t"]),
            make_node("Reshape", ["t", "swap"], ["v"]),
        ],
        [make_node("Flatten", ["w"], ["u"], axis=2), make_node("Reshape", ["u", "swap"], ["v"])],
        [
            make_node("Concat", ["w", "w"], ["u"], axis=0),
            make_node("Slice", ["u", "axis", "four"], ["t"]),
            make_node("Transpose", ["t"], ["v"]),
        ],
        [make_node("Gather", ["w", "order"], ["u"], axis=1), make_node("Transpose", ["u"], ["v"])],
        [
            make_node("Abs", ["w"], ["u"]),
            make_node("Sqrt", ["u"], ["t"]),
            make_node("Exp", ["t"], ["s"]),
            make_node("Neg", ["s"], ["r"]),
            make_node("Div", ["r", "w"], ["q"]),
            make_node("Transpose", ["q"], ["v"]),
        ],
        [
            make_node("Cast", ["w"], ["u"], to=TensorProto.FLOAT16),
            make_node("Cast", ["u"], ["t"], to=TensorProto.FLOAT),
            make_node("Transpose", ["t"], ["v"]),
        ],
        [make_node("Identity", ["w"], ["u"]), make_node("Transpose", ["u"], ["v"])],
    ],
)
def test_rearranged_and_computed_weights_equal_the_executors(model_of, check, nodes):
    matrix = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    weights = {
        "w": matrix,
        "swap": ints(5, 4),
        "axis": ints(0),
        "four": ints(4),
        "order": ints(4, 3, 2, 1, 0),
    }
    product = make_node("MatMul", ["x", "v"], ["y"])
    check(model_of([*nodes, product], {"x": ["n", 5]}, weights))


def test_the_quotient_of_negative_integers_is_cut_toward_zero(model_of, check):
    nodes = [
        make_node("Div", ["seven", "two"], ["minus_three"]),
        make_node("Slice", ["x", "minus_three", "end", "axis"], ["y"]),
    ]
    weights = {"seven": ints(-7), "two": ints(2), "end": ints(9), "axis": ints(1)}
    assert check(model_of(nodes, {"x": ["n", 9]}, weights)).type_of("y").sample_shape == (3,)


@pytest.mark.parametrize(
    ("attribute", "value", "operator"),
    [
        ("value", numpy_helper.from_array(np.float32(2.5)), "Mul"),
        ("value_float", 2.5, "Mul"),
        ("value_floats", [1.0, 2.0, 3.0], "Add"),
        ("value_int", 1, "Squeeze"),
        ("value_ints", [1], "Squeeze"),
    ],
)
def test_a_constant_node_gives_its_value(model_of, check, attribute, value, operator):
    constant = make_node("Constant", [], ["c"], **{attribute: value})
    shape = ["n", 1, 3] if operator == "Squeeze" else ["n", 3]
    if attribute == "value_int":
        nodes = [constant, make_node("Reshape", ["c", "flat"], ["d"])]
    else:
        nodes = [constant, make_node("Identity", ["c"], ["d"])]
    nodes.append(make_node(operator, ["x", "d"], ["y"]))
    check(model_of(nodes, {"x": shape}, {"flat": ints(-1)}, opset=13))


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    return str(caught.value)


SHAPE = make_node("Shape", ["x"], ["shape"])
FIRST = make_node("Gather", ["shape", "zero"], ["batch"])


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [
                SHAPE,
                FIRST,
                make_node("Mul", ["batch", "four"], ["rows"], name="mul"),
                make_node("Reshape", ["x", "rows"], ["y"]),
            ],
            "Node 'mul' (Mul): The batch size takes part in arithmetic: n * 4. Keep the batch as "
            "an axis of its own and compute with the other sizes only.",
        ),
        (
            [
                SHAPE,
                FIRST,
                make_node("Sub", ["four", "batch"], ["rows"], name="sub"),
                make_node("Reshape", ["x", "rows"], ["y"]),
            ],
            "Node 'sub' (Sub): The batch size takes part in arithmetic: 4 - n. Keep the batch as "
            "an axis of its own and compute with the other sizes only.",
        ),
        (
            [SHAPE, FIRST, make_node("Add", ["x", "batch"], ["y"], name="add")],
            "Node 'add' (Add): 'batch' depends on the batch size but is used as a weight. Weights "
            "must be the same for every batch.",
        ),
        (
            [
                SHAPE,
                make_node("ConstantOfShape", ["shape"], ["zeros"], name="zeros"),
                make_node("Add", ["x", "zeros"], ["y"]),
            ],
            "Node 'zeros' (ConstantOfShape): Its 'shape' depends on the batch size. Give numbers, "
            "or keep the whole batch.",
        ),
        (
            [
                make_node("ConstantOfShape", ["huge"], ["zeros"], name="zeros"),
                make_node("Add", ["x", "zeros"], ["y"]),
            ],
            "Node 'zeros' (ConstantOfShape): A tensor of 1099511627776 elements is larger than the "
            "limit of 16777216. Check the shapes and pads of the model.",
        ),
        (
            [
                make_node("Range", ["zero", "many", "four"], ["r"], name="range"),
                make_node("Add", ["x", "r"], ["y"]),
            ],
            "Node 'range' (Range): A tensor of 274877906944 elements is larger than the limit of "
            "16777216. Check the shapes and pads of the model.",
        ),
        (
            [
                make_node("Range", ["zero", "four", "zero"], ["r"], name="range"),
                make_node("Add", ["x", "r"], ["y"]),
            ],
            "Node 'range' (Range): It counts by 0 or up to the batch size. Export the model again.",
        ),
        (
            [
                make_node("Gather", ["flat", "four"], ["g"], name="gather"),
                make_node("Add", ["x", "g"], ["y"]),
            ],
            "Node 'gather' (Gather): Its constants do not fit: index 4 is out of bounds for axis 0 "
            "with size 1. Export the model again.",
        ),
        (
            [make_node("Gather", ["x", "zero"], ["y"], name="gather", axis=1)],
            "Node 'gather' (Gather): Its operand 'x' is computed from the inputs of the network. "
            "Only a constant is supported there.",
        ),
        (
            [
                make_node("ConstantOfShape", ["flat"], ["z"], name="zeros"),
                make_node("Add", ["x", "z"], ["y"]),
            ],
            "Node 'zeros' (ConstantOfShape): It makes a tensor of shape (-1,). Export the model "
            "again.",
        ),
        (
            [
                SHAPE,
                FIRST,
                make_node("Unsqueeze", ["batch", "zeros"], ["end"]),
                make_node("Slice", ["x", "zeros", "end", "ones"], ["y"], name="cut"),
            ],
            "Node 'cut' (Slice): Its slice 0:n:1 has n, the batch size, for a bound. Give numbers "
            "instead.",
        ),
        (
            [make_node("Constant", [], ["c"], name="c"), make_node("Add", ["x", "c"], ["y"])],
            "Node 'c' (Constant): It has 0 values. Export the model again.",
        ),
        (
            [
                make_node("Constant", [], ["c"], name="c", value_string="a"),
                make_node("Add", ["x", "c"], ["y"]),
            ],
            "Node 'c' (Constant): Attribute 'value_string' = 'a' is not supported. Supported "
            "attributes: value, value_float, value_floats, value_int, value_ints.",
        ),
    ],
)
def test_what_cannot_be_folded_is_refused_by_name(model_of, nodes, message):
    weights = {
        "zero": np.int64(0),
        "four": np.int64(4),
        "many": np.int64(2**40),
        "huge": ints(2**20, 2**20),
        "zeros": ints(0),
        "ones": ints(1),
        "flat": ints(-1),
    }
    assert refused(model_of(nodes, CUBE, weights)) == message


def test_folded_constants_are_bounded_in_all(model_of):
    names = [f"z{index}" for index in range(5)]
    nodes = [make_node("ConstantOfShape", ["size"], [name], name=name) for name in names]
    nodes.append(make_node("Concat", names, ["all"]))
    assert refused(
        model_of([*nodes, make_node("Add", ["x", "all"], ["y"])], CUBE, {"size": ints(2**24)})
    ) == (
        "Node 'z4' (ConstantOfShape): The constants of this model exceed the limit of import. Fold "
        "the constants of the model before importing it."
    )


def test_constants_that_multiply_by_broadcasting_are_bounded(model_of):
    nodes = [
        make_node("Mul", ["row", "column"], ["table"], name="table"),
        make_node("Add", ["x", "table"], ["y"]),
    ]
    weights = {"row": np.ones((1, 2**13), np.float32), "column": np.ones((2**13, 1), np.float32)}
    assert refused(model_of(nodes, CUBE, weights)) == (
        "Node 'table' (Mul): A tensor of 67108864 elements is larger than the limit of 16777216. "
        "Check the shapes and pads of the model."
    )
