"""intaglio compile of models that are quantized already: what it compares them with."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Call = Callable[..., Any]


def qonnx_model() -> onnx.ModelProto:
    """Quant, MatMul, without an opset of its domain, as Brevitas exported them."""
    constants = {"s": 0.5, "z": 0.0, "b": 4.0, "w": np.arange(-3, 3).reshape(3, 2)}
    quant = {"domain": "onnx.brevitas", "signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["q"], "quant", **quant),
        helper.make_node("Quant", ["w", "s", "z", "b"], ["wq"], "weight", **quant),
        helper.make_node("MatMul", ["q", "wq"], ["y"], "matmul"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.float32(each), name) for name, each in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(qonnx_model(), "net.onnx")
    return Path("net.onnx")


def test_a_qonnx_model_is_compared_with_qonnx(call: Call, file: Path) -> None:
    pytest.importorskip("qonnx", reason="the executor of QONNX models")
    result = call("compile", file)
    assert (result.code, result.err) == (0, "")
    assert "import  as qonnx " in result.out
    assert "greatest difference 0, 0 of the range, in output 'y'" in result.out


def test_without_qonnx_it_is_compiled_and_not_compared(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qonnx.core.modelwrapper", None)
    result = call("compile", file)
    assert (result.code, result.err) == (0, "")
    assert "import  not compared: install qonnx to compare it with qonnx" in result.out
    found = call("compile", file, "--json").json
    assert found["import"] == {"reason": "install qonnx to compare it with qonnx"}


def test_a_model_that_its_executor_refuses_is_compiled_and_not_compared(
    call: Call, file: Path
) -> None:
    ort = pytest.importorskip("onnxruntime", reason="what refuses the model")
    model = onnx.load(file)
    for node in model.graph.node:
        node.domain = ""
    points = (
        helper.make_node("QuantizeLinear", ["x", "s", "z8"], ["q"], "quant"),
        helper.make_node("DequantizeLinear", ["q", "s", "z8"], ["y"], "back"),
    )
    del model.graph.node[:]
    model.graph.node.extend(points)
    model.graph.initializer.append(numpy_helper.from_array(np.int8(0), "z8"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    model.opset_import[0].version = 13
    model.ir_version = 99  # newer than any that onnxruntime reads
    onnx.save(model, file)
    reason = call("compile", file, "--json").json["import"]["reason"]
    assert reason.startswith(f"onnxruntime {ort.__version__} fails with '")
