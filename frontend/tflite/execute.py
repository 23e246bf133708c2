"""Running TFLite models with LiteRT, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...ir.numeric import Array

PACKAGE = "ai_edge_litert"


def litert_is_there() -> bool:
    """Whether LiteRT can be imported."""
    return find_spec(PACKAGE) is not None


def execute(path: Path, semantics: str, inputs: Mapping[str, Array]) -> tuple[str, list[Array]]:
    """The executor's name and the outputs in order, for inputs in the order of the file.

    ``tflite`` runs the reference kernels, ``xnnpack`` and ``onnx`` what LiteRT chooses by default.
    """
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    reference = semantics == "tflite"
    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    made = Interpreter(model_path=str(path), experimental_op_resolver_type=resolver)
    for detail, array in zip(made.get_input_details(), inputs.values(), strict=True):
        made.resize_tensor_input(detail["index"], array.shape)
    made.allocate_tensors()
    for detail, array in zip(made.get_input_details(), inputs.values(), strict=True):
        made.set_tensor(detail["index"], array.astype(detail["dtype"]))
    made.invoke()
    kernels = "reference kernels" if reference else "default kernels"
    results: list[Any] = [made.get_tensor(each["index"]) for each in made.get_output_details()]
    name = f"LiteRT {version('ai-edge-litert')}, {kernels}"
    return name, [np.asarray(each) for each in results]
