"""The codes of a model by the executor that its owner trusts, value by value."""

from __future__ import annotations

from typing import Any

import onnx

from intaglio.tests.networks.rational import Array


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
