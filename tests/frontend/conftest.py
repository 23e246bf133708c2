"""Building tiny ONNX models, and checking imported graphs against the executor of their format."""

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from intaglio.frontend.compare import compare_onnx, compare_torch
from intaglio.frontend.onnx.importer import import_onnx
from intaglio.frontend.torch.importer import import_torch
from intaglio.ir.graph import Graph

TOLERANCE = 1e-5  # of the range of an output: floats are added up in another order

ModelOf = Callable[..., onnx.ModelProto]
Check = Callable[..., Graph]


def _model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    weights: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of float inputs with those shapes and initializers with those arrays."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def _check(model: onnx.ModelProto | Path, **options: Any) -> Graph:
    """The imported graph, after its outputs equalled the executor's but for rounding."""
    graph = import_onnx(model, **options)
    comparison = compare_onnx(model, graph)
    assert comparison.worst.relative <= TOLERANCE, str(comparison)
    return graph


def _check_torch(module: Any, *examples: Any) -> Graph:
    """The same for a torch module."""
    graph = import_torch(module, examples)
    comparison = compare_torch(module, graph)
    assert comparison.worst.relative <= TOLERANCE, str(comparison)
    return graph


@pytest.fixture(scope="session")
def model_of() -> ModelOf:
    return _model_of


@pytest.fixture(scope="session")
def check() -> Check:
    return _check


@pytest.fixture(scope="session")
def check_torch() -> Check:
    return _check_torch


@pytest.fixture(scope="session")
def resnet_cifar() -> ModuleType:
    """The module examples/resnet_cifar.py."""
    path = Path(__file__).parents[2] / "examples" / "resnet_cifar.py"
    spec = importlib.util.spec_from_file_location("resnet_cifar", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of data sets and trained models; the test is skipped where there is none."""
    folder = Path(os.environ.get("INTAGLIO_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no data in '{folder}': set INTAGLIO_DATA")
    return folder


class LeNet(nn.Sequential):
    """Two convolutions and two dense layers for ``(n, 1, 28, 28)``."""

    def __init__(self) -> None:
        features = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5)
        head = nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 30), nn.ReLU()
        super().__init__(*features, *head, nn.Linear(30, 10))


class Mobile(nn.Module):
    """An inverted-residual block with the activations of mobile networks, ``(n, 3, 16, 16)``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _norm(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.ReLU6())
        self.depth = _norm(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.Hardswish())
        self.point = _norm(nn.Conv2d(8, 8, 1, bias=False), nn.Hardsigmoid())
        self.gate = nn.SiLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.pool(self.gate(x + self.point(self.depth(x))))
        return self.head(self.drop(x.view(x.size(0), -1)))


def _norm(conv: nn.Conv2d, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), activation)


@pytest.fixture(scope="session")
def networks(resnet_cifar: ModuleType) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Small networks in evaluation mode with lively statistics, and the shapes of their samples."""
    torch.manual_seed(0)
    found = {
        "lenet": (LeNet(), (1, 28, 28)),
        "resnet": (resnet_cifar.ResNet(1), (3, 32, 32)),
        "mobile": (Mobile(), (3, 16, 16)),
    }
    for network, _ in found.values():
        for module in network.eval().modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return found
