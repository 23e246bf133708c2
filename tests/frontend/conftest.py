"""Building tiny ONNX models, and checking imported graphs against the executor of their format."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.frontend.compare import compare_onnx, compare_torch
from intaglio.frontend.onnx_import import import_onnx
from intaglio.frontend.torch_import import import_torch
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
