"""ONNX's own node cases: none may be wrong, and what is refused says why."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

OPERATORS = (
    *("MatMul", "Gemm", "Concat", "Pad", "Transpose", "Reshape", "Softmax", "PRelu", "Mul"),
    *("Upsample", "CenterCropPad", "QLinearMatMul", "QuantizeLinear", "MatMulInteger"),
)
PASSED = {
    "MatMul": 7,
    "Gemm": 11,
    "Concat": 12,
    "Pad": 6,
    "Transpose": 7,
    "Reshape": 9,
    "Mul": 3,
    "Softmax": 7,
    "PRelu": 2,
    "Upsample": 1,
    "CenterCropPad": 6,
    "QLinearMatMul": 8,
    "QuantizeLinear": 8,
    "MatMulInteger": 1,
}
"""Of onnx 1.23; another version may have more."""
REFUSED = {
    "test_reshape_allowzero_reordered": (
        "Node 'Reshape:reshaped' (Reshape): It reshapes float32[n,3,4] to (3, 4, 0). Each sample "
        "must keep its own rows: axis 0 is the batch, and nothing may merge or move it. A model "
        "whose axis 0 is no batch is imported with batch=False (--no-batch). | Input 'data': Axis "
        "0 has the size 0. A tensor without elements is not supported: remove it from the model."
    ),
    "test_quantizelinear_blocked_asymmetric": (
        "Node 'QuantizeLinear:y' (QuantizeLinear): Attribute 'block_size' = 2 is not supported. "
        "Give one scale per tensor or per channel."
    ),
}


@pytest.fixture(scope="module")
def nodes():
    """The module benchmarks/onnx_nodes.py."""
    path = Path(__file__).parents[1] / "benchmarks" / "onnx_nodes.py"
    spec = importlib.util.spec_from_file_location("onnx_nodes", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["onnx_nodes"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["onnx_nodes"]


@pytest.fixture(scope="module")
def results(nodes):
    return [nodes.run(case) for case in nodes.cases(OPERATORS)]


def test_no_case_is_wrong(results):
    assert [(r.case.name, r.reason) for r in results if r.verdict == "failed"] == []


def test_as_many_pass_as_ever(results):
    passed = Counter(r.case.operator for r in results if r.verdict == "passed")
    assert all(passed[operator] >= count for operator, count in PASSED.items()), passed


def test_what_is_refused_says_why(results):
    reasons = {r.case.name: r.reason for r in results if r.verdict == "refused"}
    assert {name: reasons.get(name) for name in REFUSED} == REFUSED
    assert len(reasons) <= 0.1 * len(results)


def test_the_table_counts_every_operator(nodes, results):
    lines = nodes.table(results).split("\n")
    assert lines[0].split() == ["operator", "passed", "refused", "failed"]
    assert lines[1].split() == ["MatMul", "7", "0", "0"]
    assert lines[1 + len(OPERATORS)].split()[0] == "total"


def relu_case(nodes, expected):
    """A case of one Relu that claims to give ``expected``."""
    values = [make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
    graph = make_graph([make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=10)
    x = np.array([[-1, 2]], np.float32)
    return nodes.Case("relu", "Relu", model, {"x": x}, (expected,), 1e-3, 1e-7)


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ([[0, 3]], "Output 'y': 1 of 2 elements differ"),
        ([[[0, 2]]], "Output 'y': the shape (1, 2) instead of (1, 1, 2)"),
    ],
)
def test_a_wrong_result_fails(nodes, expected, reason):
    result = nodes.run(relu_case(nodes, np.array(expected, np.float32)))
    assert (result.verdict, result.reason) == ("failed", reason)


def test_a_right_result_passes(nodes):
    result = nodes.run(relu_case(nodes, np.array([[0, 2]], np.float32)))
    assert (result.verdict, result.batch) == ("passed", True)
