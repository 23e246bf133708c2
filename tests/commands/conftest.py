"""A small real network, and a way to call the command line in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import intaglio
from intaglio.cli import app


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


def _call(*arguments: object) -> Called:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return Called(result.exit_code, result.stdout, result.stderr)


def _tiny_model(scale: float = 1.0) -> onnx.ModelProto:
    """conv, relu, pool, flatten, gemm on (n, 1, 6, 6) with fixed random weights."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((scale * rng.normal(size=shape)).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "/conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "/relu/Relu"),
        helper.make_node(
            "MaxPool", ["r"], ["p"], "/pool/MaxPool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Flatten", ["p"], ["f"], "/flatten/Flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], "/fc/Gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [weight("w1", 2, 1, 3, 3), weight("b1", 2), weight("w2", 3, 18), weight("b2", 3)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _samples(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 1, 6, 6)).astype(np.float32)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny.onnx, calib.npz, x.npy and the blobs w4.intg and w8.intg."""
    folder = tmp_path_factory.mktemp("made")
    onnx.save(_tiny_model(), folder / "tiny.onnx")
    np.savez(folder / "calib.npz", x=_samples(64))
    np.save(folder / "x.npy", _samples(5, seed=2))
    for bits in (4, 8):
        net = intaglio.compile(folder / "tiny.onnx", _samples(64), weight_bits=bits)
        net.save(folder / f"w{bits}.intg")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty; ``made`` is its sibling."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTAGLIO_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def call() -> Callable[..., Called]:
    """Run the command line: call("run", blob, x) -> exit code, stdout, stderr."""
    return _call


@pytest.fixture
def compile_tiny(made: Path) -> Callable[..., Called]:
    """Compile tiny.onnx with more arguments."""
    return partial(_call, "compile", made / "tiny.onnx", "--data", made / "calib.npz")


@pytest.fixture
def samples() -> Callable[..., np.ndarray]:
    """Inputs of the tiny network: samples(count, seed=1)."""
    return _samples


@pytest.fixture
def tiny_model() -> Callable[..., onnx.ModelProto]:
    """The tiny network: tiny_model(scale=1.0)."""
    return _tiny_model


@pytest.fixture
def wrong() -> np.ndarray:
    """Inputs of another shape."""
    return np.zeros((3, 1, 7, 6), np.float32)
