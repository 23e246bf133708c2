"""A model whose axis 0 is no batch, on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

Call = Callable[..., Any]


def write_model(path: Path) -> None:
    """A matrix product of the transposed input, which merges nothing but moves axis 0."""
    weight = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    nodes = [make_node("Transpose", ["x"], ["t"]), make_node("MatMul", ["t", "w"], ["y"])]
    x = make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])
    y = make_tensor_value_info("y", TensorProto.FLOAT, [3, 5])
    graph = make_graph(nodes, "turned", [x], [y], [numpy_helper.from_array(weight, "w")])
    opset = [make_opsetid("", 17)]
    onnx.save(make_model(graph, opset_imports=opset, ir_version=10), path)


def test_no_batch_compiles_and_compares_it(tmp_path: Path, monkeypatch: Any, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "turned.onnx")
    data = np.random.default_rng(1).standard_normal((64, 4, 3)).astype(np.float32)
    np.save("x.npy", data)
    refused = call("compile", "turned.onnx", "--data", "x.npy")
    assert refused.code == 2
    assert refused.err.rstrip().endswith(
        "A model whose axis 0 is no batch is imported with batch=False (--no-batch)."
    )
    made = call("compile", "turned.onnx", "--data", "x.npy", "--no-batch", "--json")
    assert made.code == 0
    assert made.json["import"]["outputs"][0]["relative"] < 1e-6
    assert call("check", "turned.intg").code == 0
    layers = call("diff", "turned.onnx", "turned.intg", "x.npy", "--no-batch", "--json").json
    assert [each["name"] for each in layers["layers"]] != []
