"""intaglio diff of quantized models and their blobs: what is compared under which name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Call = Callable[..., Any]
make = helper.make_node


def point(x: str, scale: str, zero: str, y: str) -> list[onnx.NodeProto]:
    """x quantized and dequantized."""
    return [
        make("QuantizeLinear", [x, scale, zero], [f"{y}.q"], f"{y}.q"),
        make("DequantizeLinear", [f"{y}.q", scale, zero], [y], y),
    ]


def saved(path: Path, nodes: list[onnx.NodeProto], *outputs: str) -> Path:
    """A layer ``a`` of 3 outputs on real x ``(n, 4)``, and what follows it."""
    rng = np.random.default_rng(0)
    constants = {
        "fine": np.float32(1 / 128),  # saturates
        "coarse": np.float32(0.5),
        "zero": np.int8(0),
        "three": np.int8(3),
        "w": rng.integers(-127, 128, (4, 3)).astype(np.int8),
    }
    layer = [
        *point("x", "fine", "zero", "r"),
        make("DequantizeLinear", ["w", "coarse", "zero"], ["wr"], "wr"),
        make("MatMul", ["r", "wr"], ["a"], "layer"),
    ]
    graph = helper.make_graph(
        [*layer, *nodes],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.save(model, path)
    return path


def layers(call: Call, model: Path) -> list[str]:
    """The layers that a model and its blob name, all equal."""
    assert call("compile", model, "-o", "net.intg").code == 0
    found = call("diff", model, "net.intg", "--json").json
    assert found["equal"], found
    return [each["name"] for each in found["layers"]]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("net.onnx")


def test_an_accumulator_that_is_an_output_is_compared_as_real(call: Call, path: Path) -> None:
    model = saved(path, point("a", "fine", "zero", "y"), "a", "y")
    assert layers(call, model) == ["a", "y"]


def test_a_real_that_becomes_codes_in_two_ways_is_not_compared(call: Call, path: Path) -> None:
    nodes = [
        make("Relu", ["a"], ["p"], "relu"),
        make("Reshape", ["p", "sizes"], ["m"], "reshape"),
        make("Constant", [], ["sizes"], "sizes", value_ints=[0, 1, 3]),
        *point("m", "fine", "zero", "y"),
        *point("m", "coarse", "three", "z"),
    ]
    nodes[:3] = [nodes[2], *nodes[:2]]
    assert layers(call, saved(path, nodes, "y", "z")) == ["y", "z"]


def test_an_input_that_is_moved_and_scaled_is_compared_where_it_is_codes(
    call: Call, path: Path
) -> None:
    nodes = [
        make("Constant", [], ["sizes"], "sizes", value_ints=[0, 2, 2]),
        make("Reshape", ["x", "sizes"], ["s"], "reshape"),
        make("Mul", ["s", "coarse"], ["m"], "mul"),
        *point("m", "fine", "three", "y"),
        make("Relu", ["y"], ["t"], "relu"),
        *point("t", "fine", "three", "z"),
    ]
    assert layers(call, saved(path, nodes, "z")) == ["m", "z"]


def test_a_function_beside_ties_does_not_part_for_the_rounding_of_float32(
    call: Call, path: Path
) -> None:
    nodes = [
        make("LeakyRelu", ["r"], ["leaky"], "leaky", alpha=0.1),
        *point("leaky", "fine", "zero", "end"),
    ]
    assert layers(call, saved(path, nodes, "a", "end")) == ["a", "end"]
