"""Layers as ONNX operators on reals, and the frame of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .reals import CLIP
from .spec import Array, Layer, Network

PLAIN = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "matmul": "MatMul",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hard_swish": "HardSwish",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "flatten": "Flatten",
    "global_average": "GlobalAveragePool",
    "global_max": "GlobalMaxPool",
}


@dataclass
class Model:
    """An ONNX model under construction."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def constant(self, name: str, array: Any, dtype: Any = None) -> str:
        """Add an initializer; ``dtype`` may be a type that numpy lacks."""
        values = np.asarray(array)
        if isinstance(dtype, int):
            flat = values.reshape(-1).tolist()
            self.constants.append(helper.make_tensor(name, dtype, values.shape, flat))
        else:
            held = values if dtype is None else values.astype(dtype)
            self.constants.append(numpy_helper.from_array(held, name))
        return name

    def node(
        self, operator: str, inputs: list[str], output: str, domain: str = "", **given: Any
    ) -> str:
        """Append a node with one output, whose name it bears."""
        given = {key: value for key, value in given.items() if value is not None}
        made = helper.make_node(operator, inputs, [output], f"/{output}", domain=domain, **given)
        self.nodes.append(made)
        return output

    def build(self, inputs: list[Any], opset: int = 21, *domains: str) -> onnx.ModelProto:
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def real_input(network: Network) -> Any:
    return helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["n", *network.shape])


def window(layer: Layer, *, dilated: bool) -> dict[str, Any]:
    options = layer.options
    found = {key: list(options[key]) for key in ("strides", "pads")}
    found["kernel_shape"] = list(options["kernel"])
    return found | ({"dilations": list(options["dilations"])} if dilated else {})


def emit(model: Model, layer: Layer, x: list[str], name: str, *parameters: str) -> str:
    """Append the operators of a layer on the values ``x``; the name of the result is ``name``."""
    made = _emit(model, layer, x, name + (".fused" if layer.fused else ""), *parameters)
    if layer.fused == "relu":
        return model.node("Relu", [made], name)
    return _clip(model, made, name) if layer.fused == "clip" else made


def _clip(model: Model, x: str, name: str) -> str:
    ends = [
        model.constant(f"{name}.{key}", np.float32(end))
        for key, end in zip(("lo", "hi"), CLIP, strict=True)
    ]
    return model.node("Clip", [x, *ends], name)


def _emit(model: Model, layer: Layer, x: list[str], name: str, *parameters: str) -> str:
    kind, options = layer.kind, layer.options
    if kind in PLAIN:
        return model.node(PLAIN[kind], x, name)
    if kind == "conv":
        given = window(layer, dilated=True) | {"group": options["groups"]}
        return model.node("Conv", [*x, *parameters], name, **given)
    if kind == "conv_transpose":
        given = window(layer, dilated=True) | {"group": options["groups"]}
        extra = list(options["extra"])
        return model.node("ConvTranspose", [*x, *parameters], name, output_padding=extra, **given)
    if kind == "dense":
        return model.node("Gemm", [*x, *parameters], name, transB=1)
    if kind == "max_pool":
        return model.node("MaxPool", x, name, **window(layer, dilated=False))
    if kind == "average_pool":
        return model.node(
            "AveragePool", x, name, count_include_pad=1, **window(layer, dilated=False)
        )
    if kind == "clip":
        return _clip(model, x[0], name)
    if kind == "leaky_relu":
        return model.node("LeakyRelu", x, name, alpha=options["alpha"])
    if kind == "concat":
        return model.node("Concat", x, name, axis=options["axis"])
    if kind == "softmax":
        return model.node("Softmax", x, name, axis=-1)
    if kind == "affine":
        rows = (-1, *(1,) * (len(layer.shape) - 1))
        factor, shift = (
            model.constant(f"{name}.{key}", options[key].reshape(rows))
            for key in ("factor", "shift")
        )
        return model.node("Add", [model.node("Mul", [x[0], factor], f"{name}.times"), shift], name)
    return move(model, layer, x[0], name)


def move(model: Model, layer: Layer, x: str, name: str, border: str = "") -> str:
    """Append an operator that moves elements; a pad holds the constant ``border`` or 0."""
    kind, options = layer.kind, layer.options
    if kind == "reshape":
        return model.node("Reshape", [x, _ints(model, f"{name}.shape", (0, *layer.shape))], name)
    if kind == "transpose":
        return model.node("Transpose", [x], name, perm=[0, *(a + 1 for a in options["order"])])
    if kind == "pad":
        pads = _ints(model, f"{name}.pads", (0, *options["before"], 0, *options["after"]))
        return model.node("Pad", [x, pads, *([border] if border else [])], name)
    if kind == "slice":
        axes = tuple(range(1, 1 + len(layer.shape)))
        bounds = [
            _ints(model, f"{name}.{key}", values)
            for key, values in (
                ("starts", options["starts"]),
                ("ends", options["stops"]),
                ("axes", axes),
                ("steps", options["steps"]),
            )
        ]
        return model.node("Slice", [x, *bounds], name)
    assert kind == "resize", kind
    factors: Array = np.array([1, 1, *options["factors"]], dtype=np.float32)
    scales = model.constant(f"{name}.scales", factors)
    return model.node(
        "Resize",
        [x, "", scales],
        name,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _ints(model: Model, name: str, values: Any) -> str:
    return model.constant(name, np.asarray(values, dtype=np.int64))
