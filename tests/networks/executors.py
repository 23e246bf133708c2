"""The codes of a model by the executor that its owner trusts, value by value."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx

from .rational import Array


def onnxruntime_codes(model: onnx.ModelProto, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every value of a model by onnxruntime, without its optimizations."""
    import onnxruntime as ort

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    names = [node.output[0] for node in model.graph.node]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session: Any = ort.InferenceSession(
        exposed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, inputs), strict=True))


def litert_codes(model: bytes, codes: Array) -> dict[str, Array]:
    """Every tensor of a TFLite model by LiteRT's reference kernels, sample by sample."""
    from ..frontend.tflite_models import interpreter

    made = interpreter(model, "tflite")
    (entry,) = made.get_input_details()
    rows: dict[str, list[Array]] = {}
    for index in range(len(codes)):
        made.set_tensor(entry["index"], codes[index : index + 1])
        made.invoke()
        for each in made.get_tensor_details():
            if re.fullmatch(r"v[0-9]+(\.part[0-9]+)?", each["name"]):
                rows.setdefault(each["name"], []).append(made.get_tensor(each["index"]))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def qonnx_values(model: onnx.ModelProto, x: Array) -> dict[str, Array]:
    """Every tensor of a QONNX model by the executor of qonnx."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    wrapped = ModelWrapper(model).transform(InferShapes())
    return execute_onnx(wrapped, {"v0": x}, return_full_exec_context=True)
