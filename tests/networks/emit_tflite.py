"""A network as a TFLite model of int8 or int16 codes; images lie as (n, h, w, c) there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..frontend.tflite_models import NONE, RELU, RELU6, SAME, VALID, Written
from .spec import Array, Dialect, Grid, Layer, Network, Shape

_KEEPS = ("max_pool", "average_pool", "resize", "pad", "reshape", "flatten", "transpose", "slice")
_SHARES = Grid(1 / 256, -128, 8, True)
DIALECT = Dialect(
    "tflite",
    (
        *("conv", "conv_transpose", "dense", "add", "sub", "mul", "concat", "global_average"),
        *("relu", "leaky_relu", "sigmoid", "tanh", "hard_swish", "clip", "softmax", *_KEEPS),
    ),
    activations=((8, True),),
    keeps=frozenset(_KEEPS),
    padding=("VALID", "SAME"),
    groups=False,
    fixed={"sigmoid": _SHARES, "softmax": _SHARES, "tanh": Grid(1 / 128, 0, 8, True)},
)
_WIDE_SHARES = Grid(2.0**-15, 0, 16, True)
WIDE = replace(
    DIALECT,
    name="tflite 16 bits",
    kinds=tuple(kind for kind in DIALECT.kinds if kind != "hard_swish"),
    activations=((16, True),),
    zeros=False,
    fixed=dict.fromkeys(("sigmoid", "softmax", "tanh"), _WIDE_SHARES),
)
"""Activations of 16 bits, weights of 8."""
_UNARY = {
    "relu": "RELU",
    "clip": "RELU6",
    "leaky_relu": "LEAKY_RELU",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "hard_swish": "HARD_SWISH",
}
_NHWC = {1: 1, 2: 2, 3: 0}
"""By an axis of the file, the axis of a sample (c, h, w)."""


def emit_tflite(network: Network) -> bytes:
    """The file; value i is the tensor ``v{i}``."""
    making = _Making(network)
    for index, layer in enumerate(network.layers, 1):
        making.add(index, layer)
    outputs = [making.values[each] for each in network.outputs]
    return making.file.model([making.values[0]], outputs)


def filed(shape: Shape) -> Shape:
    """The shape of a tensor of the file."""
    return (1, *shape[1:], shape[0]) if len(shape) == 3 else (1, *shape)


def places(given: Any) -> list[int]:
    """Numbers per axis of a sample, in the order of the file."""
    return [given[_NHWC[axis]] for axis in (1, 2, 3)] if len(given) == 3 else list(given)


class _Making:
    def __init__(self, network: Network) -> None:
        self.network, self.file = network, Written()
        self.values = {0: self.tensor("v0", network.shape, network.grid)}

    def tensor(self, name: str, shape: Shape, grid: Grid) -> int:
        made = self.file.tensor(filed(shape), grid.name, grid.scale, grid.zero)
        self.file.tensors[made].name = name.encode()
        return made

    def add(self, index: int, layer: Layer) -> None:
        assert layer.grid is not None
        y = self.tensor(f"v{index}", layer.shape, layer.grid)
        x = [self.values[each] for each in layer.sources]
        self.values[index] = y
        if layer.kind in _UNARY:
            more = {"alpha": layer.options["alpha"]} if layer.kind == "leaky_relu" else {}
            self.file.operator(_UNARY[layer.kind], x, [y], **more)
        elif layer.kind in ("conv", "conv_transpose", "dense"):
            self.linear(layer, x[0], y)
        elif layer.kind in ("add", "sub", "mul"):
            name = layer.kind.upper()
            self.file.operator(name, x, [y], fusedActivationFunction=_fused(layer))
        elif layer.kind == "concat":
            self.concat(index, layer, x, y)
        elif layer.kind in ("max_pool", "average_pool"):
            self.pool(layer, x, y)
        else:
            self.move(layer, x[0], y)

    def linear(self, layer: Layer, x: int, y: int) -> None:
        weight, options = layer.weight, layer.options
        assert weight is not None
        depthwise = layer.kind == "conv" and options["groups"] > 1
        scale = weight.scale if layer.kind != "dense" else weight.scale[:1]
        codes, axis = weight.codes, 0
        if depthwise:
            codes, axis = codes[:, 0].transpose(1, 2, 0)[None], 3
        elif layer.kind == "conv":
            codes = codes.transpose(0, 2, 3, 1)
        elif layer.kind == "conv_transpose":
            codes = codes.transpose(1, 2, 3, 0)
        held = self.file.tensor(codes.shape, "int8", scale, 0, codes, axis)
        step = np.float32(self.network.grid_of(layer.sources[0]).scale)
        bias = weight.bias if weight.bias is not None else np.zeros(layer.shape[0], np.int64)
        wide = self.network.grid_of(layer.sources[0]).bits > 8
        sums = "int64" if wide else "int32"
        biases = self.file.tensor(bias.shape, sums, step * scale, 0, bias)
        fused = {"fusedActivationFunction": _fused(layer)}
        if layer.kind == "dense":
            self.file.operator("FULLY_CONNECTED", [x, held, biases], [y], **fused)
            return
        window = {
            "padding": SAME if options["padding"] == "SAME" else VALID,
            "strideH": options["strides"][0],
            "strideW": options["strides"][1],
            **fused,
        }
        if layer.kind == "conv_transpose":
            shape = self.file.ints(filed(layer.shape))
            operands = [shape, held, x, *([] if weight.bias is None else [biases])]
            self.file.operator("TRANSPOSE_CONV", operands, [y], **window)
            return
        window["dilationHFactor"], window["dilationWFactor"] = options["dilations"]
        if depthwise:
            window["depthMultiplier"] = layer.shape[0] // options["groups"]
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self.file.operator(name, [x, held, biases], [y], **window)

    def concat(self, index: int, layer: Layer, x: list[int], y: int) -> None:
        """Parts on another grid are brought to that of the result by QUANTIZE."""
        assert layer.grid is not None
        parts = []
        for number, (value, source) in enumerate(zip(x, layer.sources, strict=True)):
            shape, grid = self.network.shape_of(source), self.network.grid_of(source)
            part = value
            if grid != layer.grid:
                part = self.tensor(f"v{index}.part{number}", shape, layer.grid)
                self.file.operator("QUANTIZE", [value], [part])
            parts.append(part)
        axis = layer.options["axis"]
        axis = {1: 3, 2: 1, 3: 2}[axis] if len(layer.shape) == 3 else axis
        self.file.operator("CONCATENATION", parts, [y], axis=axis, fusedActivationFunction=NONE)

    def pool(self, layer: Layer, x: list[int], y: int) -> None:
        options = layer.options
        self.file.operator(
            f"{layer.kind.split('_')[0].upper()}_POOL_2D",
            x,
            [y],
            padding=SAME if options["padding"] == "SAME" else VALID,
            strideH=options["strides"][0],
            strideW=options["strides"][1],
            filterHeight=options["kernel"][0],
            filterWidth=options["kernel"][1],
            fusedActivationFunction=NONE,
        )

    def move(self, layer: Layer, x: int, y: int) -> None:
        kind, options, file = layer.kind, layer.options, self.file
        if kind == "global_average":
            file.operator("MEAN", [x, file.ints([1, 2])], [y], keepDims=True)
        elif kind == "softmax":
            file.operator("SOFTMAX", [x], [y], beta=1.0)
        elif kind == "resize":
            sizes = file.ints(layer.shape[1:])
            file.operator("RESIZE_NEAREST_NEIGHBOR", [x, sizes], [y])
        elif kind == "pad":
            pairs = zip(places(options["before"]), places(options["after"]), strict=True)
            file.operator("PAD", [x, file.ints([(0, 0), *pairs])], [y])
        elif kind in ("reshape", "flatten"):
            shape = filed(layer.shape)
            file.operator("RESHAPE", [x, file.ints(shape)], [y], newShape=list(shape))
        elif kind == "transpose":
            file.operator("TRANSPOSE", [x, file.ints(order_of(options["order"]))], [y])
        else:
            assert kind == "slice", kind
            bounds = [file.ints([0, *places(options["starts"])])]
            bounds.append(file.ints([1, *places(options["stops"])]))
            bounds.append(file.ints([1, *places(options["steps"])]))
            file.operator("STRIDED_SLICE", [x, *bounds], [y])


def order_of(order: Shape) -> list[int]:
    """Axes of the file in the order that moves samples by ``order``."""
    back = {sample: axis for axis, sample in _NHWC.items()}
    return [0, *(back[order[_NHWC[axis]]] for axis in (1, 2, 3))]


def _fused(layer: Layer) -> int:
    return {"": NONE, "relu": RELU, "clip": RELU6}[layer.fused]


def file_order(codes: Array) -> Array:
    """Images (n, c, h, w) as (n, h, w, c)."""
    return np.ascontiguousarray(codes.transpose(0, 2, 3, 1)) if codes.ndim == 4 else codes
