"""Products of activations, softmax and means, imported and compared with their executors."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that torch's users know)
from hypothesis import given
from hypothesis import strategies as st
from onnx.helper import make_node

from intaglio.errors import ImportModelError
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_product import MatMul, Multiply
from intaglio.ir.ops_softmax import Softmax

NEWEST = onnx.defs.onnx_opset_version()


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


@given(repeated=st.sets(st.integers(1, 3)), first=st.booleans())
def test_a_product_repeats_axes_of_size_one(model_of, check, repeated, first):
    gate = [1 if axis in repeated else size for axis, size in enumerate((3, 4, 5), 1)]
    operands = ["g", "x"] if first else ["x", "g"]
    model = model_of([make_node("Mul", operands, ["y"])], {"x": ["n", 3, 4, 5], "g": ["n", *gate]})
    (node,) = check(model).nodes
    assert node.op == Multiply()


@pytest.mark.parametrize("shapes", [((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4))])
def test_products_of_matrices_are_imported(model_of, check, shapes):
    sizes = {"x": ["n", *shapes[0]], "z": ["n", *shapes[1]]}
    (node,) = check(model_of([make_node("MatMul", ["x", "z"], ["y"])], sizes)).nodes
    assert node.op == MatMul()


def test_a_constant_may_stand_on_the_left_of_a_product(model_of, check):
    matrix = np.arange(8, dtype=np.float32).reshape(2, 4)
    check(model_of([make_node("MatMul", ["w", "x"], ["y"])], {"x": ["n", 4, 3]}, {"w": matrix}))


@pytest.mark.parametrize("shape", [(1, 2, 4), (3, 2, 4), (1, 3, 2, 4), (4,)])
@pytest.mark.parametrize("left", [True, False])
def test_a_stack_of_constant_matrices_multiplies_matrix_by_matrix(model_of, check, shape, left):
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    matrix = weight if left or weight.ndim == 1 else weight.swapaxes(-1, -2)
    operands = ["w", "x"] if left else ["x", "w"]
    inputs = {"x": ["n", 3, 4, 5] if left else ["n", 3, 5, 4]}
    graph = check(model_of([make_node("MatMul", operands, ["y"])], inputs, {"w": matrix}))
    assert sum(isinstance(node.op, Dense) for node in graph.nodes) in (1, 3)


def test_a_stack_with_a_matrix_for_each_sample_is_refused(model_of):
    node = make_node("MatMul", ["w", "x"], ["y"], name="left")
    model = model_of([node], {"x": ["n", 4, 3]}, {"w": np.ones((2, 2, 4), np.float32)})
    with pytest.raises(ImportModelError) as caught:
        import_onnx(model)
    assert str(caught.value) == (
        "Node 'left' (MatMul): The constant 'w' of shape (2, 2, 4) has a matrix for each sample of "
        "float32[n,3,4]. Each sample must keep its own rows: axis 0 is the batch, and nothing may "
        "merge or move it. A model whose axis 0 is no batch is imported with batch=False "
        "(--no-batch)."
    )


@pytest.mark.parametrize("opset", [9, 11, 13, NEWEST])
@pytest.mark.parametrize("axis", [None, 1, 2, 3])
def test_softmax_means_what_its_opset_says(model_of, check, opset, axis):
    given_axis = {} if axis is None else {"axis": axis}
    node = make_node("Softmax", ["x"], ["y"], **given_axis)
    graph = check(model_of([node], {"x": ["n", 2, 3, 4]}, opset=opset))
    assert sum(isinstance(node.op, Softmax) for node in graph.nodes) == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean(1),
        lambda x: x.mean((1, 3), keepdim=True),
        lambda x: x.mean((1, 2, 3)),
        lambda x: torch.softmax(x, 1) * x.mean((2, 3), keepdim=True),
        lambda x: x @ x.transpose(-1, -2),
        lambda x: torch.bmm(x[:, 0], x[:, 1].transpose(1, 2)),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: F.scaled_dot_product_attention(x[:, 0], x[:, 1], x[:, 1], scale=0.3),
    ],
)
def test_torch_functions_are_imported(check_torch, function):
    check_torch(Call(function).eval(), torch.randn(2, 2, 4, 5))
