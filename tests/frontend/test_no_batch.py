"""Models whose axis 0 is no batch: imported with batch=False, one sample is the whole input."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node

import intaglio
from intaglio.errors import ImportModelError
from intaglio.frontend.compare import compare_onnx
from intaglio.frontend.onnx.importer import import_onnx

RNG = np.random.default_rng(0)


def weight(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def checked(model):
    """The graph, after its outputs equalled the executor's sample by sample."""
    graph = import_onnx(model, batch=False)
    assert compare_onnx(model, graph).worst.relative < 1e-5
    return graph


CASES = {
    "transpose": ([make_node("Transpose", ["x"], ["y"])], {"x": [2, 3, 4]}, {}),
    "merge": ([make_node("Reshape", ["x", "s"], ["y"])], {"x": [2, 3, 4]}, {"s": ints(-1, 4)}),
    "copy": ([make_node("Reshape", ["x", "s"], ["y"])], {"x": [2, 3, 4]}, {"s": ints(0, 12)}),
    "flatten": ([make_node("Flatten", ["x"], ["y"], axis=2)], {"x": [2, 3, 4]}, {}),
    "flatten all": ([make_node("Flatten", ["x"], ["y"], axis=0)], {"x": [2, 3, 4]}, {}),
    "softmax": ([make_node("Softmax", ["x"], ["y"], axis=0)], {"x": [5, 4]}, {}),
    "concat": ([make_node("Concat", ["x", "z"], ["y"], axis=0)], {"x": [2, 3], "z": [4, 3]}, {}),
    "squeeze": ([make_node("Squeeze", ["x", "a"], ["y"])], {"x": [1, 3, 4]}, {"a": ints(0)}),
    "squeeze all": ([make_node("Squeeze", ["x"], ["y"])], {"x": [1, 3, 1]}, {}),
    "unsqueeze": ([make_node("Unsqueeze", ["x", "a"], ["y"])], {"x": [3, 4]}, {"a": ints(0, -1)}),
    "slice": (
        [make_node("Slice", ["x", "s", "e", "", "t"], ["y"])],
        {"x": [6, 5]},
        {"s": ints(5, 0), "e": ints(0, 4), "t": ints(-2, 1)},
    ),
    "pad": ([make_node("Pad", ["x", "p"], ["y"])], {"x": [2, 3]}, {"p": ints(1, 0, 2, 1)}),
    "mean": ([make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=0)], {"x": [3, 4]}, {}),
    "conv": (
        [make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        {"x": [1, 2, 5, 5]},
        {"w": weight(3, 2, 3, 3)},
    ),
    "conv of images": (
        [make_node("Conv", ["x", "w"], ["y"])],
        {"x": [3, 2, 5, 5]},
        {"w": weight(3, 2, 3, 3)},
    ),
    "pools": (
        [
            make_node("MaxPool", ["x"], ["m"], kernel_shape=[2]),
            make_node("GlobalAveragePool", ["m"], ["y"]),
        ],
        {"x": [2, 3, 6]},
        {},
    ),
    "norm": (
        [make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
        {"x": [1, 3, 4]},
        {"s": weight(3), "b": weight(3), "m": weight(3), "v": np.ones(3, np.float32)},
    ),
    "gemm": (
        [make_node("Gemm", ["x", "z", "c"], ["y"], transA=1, transB=1, alpha=0.5, beta=2.0)],
        {"x": [4, 3], "z": [5, 4]},
        {"c": weight(3, 5)},
    ),
    "vectors": ([make_node("MatMul", ["x", "z"], ["y"])], {"x": [4], "z": [2, 4, 3]}, {}),
    "dot": ([make_node("MatMul", ["x", "z"], ["y"])], {"x": [4], "z": [4]}, {}),
    "broadcast": ([make_node("Sub", ["x", "z"], ["y"])], {"x": [3, 1, 5], "z": [4, 1]}, {}),
    "products": ([make_node("Mul", ["x", "z"], ["y"])], {"x": [3, 1], "z": [1, 4]}, {}),
    "grown": ([make_node("Add", ["x", "c"], ["y"])], {"x": [3, 1]}, {"c": weight(2, 3, 4)}),
    "row": ([make_node("Relu", ["x"], ["y"])], {"x": [7]}, {}),
    "shape": (
        [make_node("Shape", ["x"], ["s"]), make_node("Reshape", ["z", "s"], ["y"])],
        {"x": [2, 6], "z": [3, 4]},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_axis_0_is_an_axis_like_any_other(model_of, name):
    nodes, inputs, weights = CASES[name]
    graph = checked(model_of(nodes, inputs, weights))
    for value in graph.inputs:
        assert value.type.sample_shape == tuple(inputs[value.name])


@pytest.mark.parametrize("name", ["conv of images", "gemm", "dot", "broadcast", "mean"])
def test_such_a_model_compiles(model_of, name):
    nodes, inputs, weights = CASES[name]
    model = model_of(nodes, inputs, weights)
    names = [n for n in inputs if any(n in node.input for node in nodes)]
    data = {n: RNG.standard_normal((8, *inputs[n])).astype(np.float32) for n in names}
    network = intaglio.compile(model, data, batch=False)
    assert network.check(data) > 0
    graph = import_onnx(model, batch=False)
    assert network.run(data).real.shape == (8, *graph.type_of("y").sample_shape)


def refused(model):
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model, batch=False)
    return str(caught.value)


def test_all_sizes_must_be_numbers(model_of):
    model = model_of([make_node("Relu", ["x"], ["y"])], {"x": ["n", 3]})
    assert refused(model) == (
        "Input 'x': Axis 0 has the symbolic size 'n'. Every size but the batch must be a number: "
        "export with fixed sizes, or run 'python -m onnxruntime.tools.make_dynamic_shape_fixed "
        "--dim_param n --dim_value 224 model.onnx fixed.onnx' with your size."
    )


def test_more_axes_than_a_network_has_are_refused(model_of):
    node = make_node("Unsqueeze", ["x", "a"], ["y"], name="u")
    assert refused(model_of([node], {"x": [2, 3, 4, 5]}, {"a": ints(0)})) == (
        "Node 'Unsqueeze:y' (reshape): 'y' has 5 axes per sample, (1, 2, 3, 4, 5); a network can "
        "have 4. Merge axes in the model."
    ).replace("Unsqueeze:y", "u")


def test_many_images_are_refused(model_of):
    model = model_of([make_node("GlobalMaxPool", ["x"], ["y"], name="g")], {"x": [99, 3, 4]})
    assert refused(model) == (
        "Node 'g' (GlobalMaxPool): Its input is float32[n,99,3,4] per sample. Axis 0 of the model "
        "counts images, 1 to 64, and axis 1 channels."
    )


def test_axes_of_quantize_points_are_those_of_the_model():
    scales = np.array([0.5, 0.25, 0.125], dtype=np.float32)
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [3, 4])],
        [numpy_helper.from_array(scales, "s"), numpy_helper.from_array(np.zeros(3, np.int8), "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    x = np.ones((1, 3, 4), np.float32)
    network = intaglio.compile(model, batch=False)
    assert network.run(x).codes[0, :, 0].tolist() == [2, 4, 8]
