import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.helper import make_node
from torch import nn

from intaglio.errors import MismatchError
from intaglio.frontend.compare import (
    Comparison,
    Difference,
    compare,
    compare_onnx,
    compare_torch,
    random_inputs,
)
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.frontend.torch.importer import import_torch
from intaglio.ir.evaluate import evaluate


def shift(model_of, value, batch="n"):
    """A model that adds ``value`` to three numbers."""
    node = make_node("Add", ["x", "c"], ["y"])
    return model_of([node], {"x": [batch, 3]}, {"c": np.float32(value)})


def test_a_comparison_is_one_line_about_its_worst_output():
    outputs = (Difference("boxes", 0.5, 1e-7), Difference("logits", 0.25, 3.14159e-6))
    assert str(Comparison("onnxruntime 1.32.0", outputs)) == (
        "onnxruntime 1.32.0: greatest difference 0.25, 3.1e-06 of the range, in output 'logits'"
    )


def test_the_difference_is_measured_absolutely_and_against_the_range(model_of):
    graph = import_onnx(shift(model_of, 1.5))
    inputs = {"x": np.array([[0, 1, 4], [2, 2, 2]], np.float32)}
    comparison = compare_onnx(shift(model_of, 1.0), graph, inputs)
    assert comparison.outputs == (Difference("y", 0.5, 0.125),)
    assert comparison.executor == f"onnxruntime {onnxruntime.__version__}"


def test_an_output_without_a_range_is_measured_against_its_size(model_of):
    graph = import_onnx(shift(model_of, 0.5))
    ones, zeros = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    assert compare("other", graph, {"x": ones}, {"y": 2 * ones}).worst.relative == 0.25
    assert compare("other", graph, {"x": zeros}, {"y": zeros}).worst.relative == 0.5


def test_equal_results_differ_by_nothing_even_when_they_are_no_numbers(model_of):
    model = model_of([make_node("Sqrt", ["x"], ["y"])], {"x": ["n", 2]})
    with np.errstate(invalid="ignore"):
        comparison = compare_onnx(model, import_onnx(model), {"x": np.float32([[-1, 4]])})
    assert comparison.outputs == (Difference("y", 0.0, 0.0),)


def test_every_output_is_compared(model_of):
    nodes = [make_node("Abs", ["x"], ["a"]), make_node("Neg", ["a"], ["b"])]
    model = model_of(nodes, {"x": ["n", 3]}, outputs=["b", "a"])
    comparison = compare_onnx(model, import_onnx(model))
    assert [difference.output for difference in comparison.outputs] == ["b", "a"]


def test_shapes_must_agree(model_of):
    graph = import_onnx(shift(model_of, 1.0))
    with pytest.raises(MismatchError) as caught:
        compare("other", graph, random_inputs(graph, 2), {"y": np.zeros((2, 3, 1), np.float32)})
    assert str(caught.value) == (
        "Output 'y': The executor gives the shape (2, 3, 1) and the graph (2, 3). Please report "
        "this with the model: the import is wrong."
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_is_run_several_times(model_of, batch):
    model = shift(model_of, 1.0, batch)
    graph = import_onnx(model)
    inputs = random_inputs(graph, 2 * batch)
    assert compare_onnx(model, graph, inputs).worst.absolute == 0
    assert compare_onnx(model, graph).worst.absolute == 0


def test_random_inputs_follow_the_seed(model_of):
    graph = import_onnx(shift(model_of, 1.0))
    first, again, other = (random_inputs(graph, 4, seed)["x"] for seed in (1, 1, 2))
    assert first.shape == (4, 3)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_onnxruntime_the_reference_of_onnx_is_the_executor(model_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = shift(model_of, 1.0)
    comparison = compare_onnx(model, import_onnx(model))
    assert comparison == Comparison(
        f"onnx.reference {onnx.__version__}", (Difference("y", 0.0, 0.0),)
    )


@pytest.mark.parametrize("dtype", [onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16])
def test_the_executor_gets_the_type_that_its_inputs_ask_for(model_of, dtype):
    model = model_of([make_node("Abs", ["x"], ["y"])], {"x": ["n", 3]})
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = dtype
    assert compare_onnx(model, import_onnx(model)).worst.relative < 1e-3


def test_a_torch_module_is_compared_output_by_output():
    class Tree(nn.Module):
        def forward(self, x):
            return {"b": x + 1, "a": [x * 2]}

    module = Tree().eval()
    graph = import_torch(module, (torch.zeros(1, 3),))
    comparison = compare_torch(module, graph)
    assert comparison.executor == f"torch {torch.__version__}"
    assert [difference.output for difference in comparison.outputs] == ["add", "mul"]
    assert comparison.worst.absolute == 0


def test_a_changed_torch_module_differs():
    module = nn.Linear(3, 2).eval()
    graph = import_torch(module, (torch.zeros(1, 3),))
    with torch.no_grad():
        module.bias += 0.5
    inputs = random_inputs(graph, 8)
    comparison = compare_torch(module, graph, inputs)
    span = np.ptp(evaluate(graph, inputs)[graph.outputs[0]])
    assert comparison.worst.absolute == pytest.approx(0.5, abs=1e-6)
    assert comparison.worst.relative == pytest.approx(0.5 / span, rel=1e-5)
