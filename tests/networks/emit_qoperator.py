"""A network as ONNX in the format QOperator: operators of ONNX and of onnxruntime on codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from .onnx_real import Model, move, window
from .spec import MOVES, Array, Dialect, Grid, Layer, Network, Weight

MICROSOFT = "com.microsoft"
_KEEPS = tuple(kind for kind in MOVES if kind != "global_max")
UNSIGNED = Dialect(
    "qoperator uint8",
    (
        *("conv", "dense", "add", "mul", "matmul", "concat", "leaky_relu", "sigmoid", "clip"),
        *("average_pool", "global_average", *_KEEPS),
    ),
    activations=((8, False),),
    weights=((8, True), (8, False)),
    weight_zeros="shared",
    keeps=frozenset((*_KEEPS, "clip", "relu")),
    fused=(),
    bordered_pools=False,
)
SIGNED = replace(
    UNSIGNED,
    name="qoperator int8",
    kinds=(*UNSIGNED.kinds, "relu"),
    activations=((8, True),),
    weights=((8, True),),
)


def emit_qoperator(network: Network) -> onnx.ModelProto:
    """The model; value i is ``v{i}``, all of them outputs."""
    model = Model()
    grids = [network.grid_of(value) for value in range(len(network.layers) + 1)]
    for index, layer in enumerate(network.layers, 1):
        _emit(model, layer, f"v{index}", [grids[each] for each in layer.sources])
    model.outputs = [f"v{each}" for each in network.outputs]
    dtype = helper.np_dtype_to_tensor_dtype(network.grid.container)
    given = helper.make_tensor_value_info("v0", dtype, ["n", *network.shape])
    return model.build([given], 17, MICROSOFT)


def _parameters(model: Model, name: str, grid: Grid) -> list[str]:
    return [
        model.constant(f"{name}.scale", np.float32(grid.scale)),
        model.constant(f"{name}.zero", np.array(grid.zero, grid.container)),
    ]


def _weight(model: Model, name: str, weight: Weight, codes: Array) -> tuple[list[str], list[str]]:
    """Operands of weights and of the bias."""
    container = Grid(1.0, 0, weight.bits, weight.signed).container
    single = weight.scale.size == 1
    scale, zero = (each[0] if single else each for each in (weight.scale, weight.zero))
    held = [
        model.constant(f"{name}.weight", codes, container),
        model.constant(f"{name}.weight_scale", scale),
        model.constant(f"{name}.weight_zero", zero, container),
    ]
    if weight.bias is None:
        return held, []
    return held, [model.constant(f"{name}.bias", weight.bias, np.int32)]


def _emit(model: Model, layer: Layer, name: str, grids: list[Grid]) -> None:
    assert layer.grid is not None
    x = [f"v{each}" for each in layer.sources]
    kind, options = layer.kind, layer.options
    if kind == "max_pool":
        model.node("MaxPool", x, name, **window(layer, dilated=False))
        return
    if kind in ("relu", "clip"):
        _clip(model, layer, x, name, grids[0])
        return
    if kind in MOVES:
        border = model.constant(f"{name}.border", np.array(grids[0].zero, grids[0].container))
        made = "Flatten" if kind == "flatten" else ""
        if made:
            model.node(made, x, name)
        else:
            move(model, layer, x[0], name, border)
        return
    to = _parameters(model, f"{name}.to", layer.grid)
    given = [
        [each, *_parameters(model, f"{name}.from{index}", grid)]
        for index, (each, grid) in enumerate(zip(x, grids, strict=True))
    ]
    flat = [operand for part in given for operand in part]
    if kind in ("conv", "dense"):
        _linear(model, layer, name, flat, to)
    elif kind == "concat":
        model.node("QLinearConcat", [*to, *flat], name, MICROSOFT, axis=options["axis"])
    elif kind == "matmul":
        model.node("QLinearMatMul", [*flat, *to], name)
    else:
        operator, attributes = _MICROSOFT[kind]
        more: dict[str, Any] = {"alpha": options["alpha"]} if kind == "leaky_relu" else {}
        if kind == "average_pool":
            more = window(layer, dilated=False)
        model.node(operator, [*flat, *to], name, MICROSOFT, **attributes, **more)


_MICROSOFT: dict[str, tuple[str, dict[str, Any]]] = {
    "add": ("QLinearAdd", {}),
    "mul": ("QLinearMul", {}),
    "leaky_relu": ("QLinearLeakyRelu", {}),
    "sigmoid": ("QLinearSigmoid", {}),
    "average_pool": ("QLinearAveragePool", {"count_include_pad": 1}),
    "global_average": ("QLinearGlobalAveragePool", {"channels_last": 0}),
}


def _clip(model: Model, layer: Layer, x: list[str], name: str, grid: Grid) -> None:
    if layer.kind == "relu":
        model.node("Relu", x, name)
        return
    ends = [grid.zero - 30, grid.zero + 60]
    codes = [int(np.clip(end, grid.lo, grid.hi)) for end in ends]
    bounds = [
        model.constant(f"{name}.{key}", np.array(code, grid.container))
        for key, code in zip(("lo", "hi"), codes, strict=True)
    ]
    model.node("Clip", [*x, *bounds], name)


def _linear(model: Model, layer: Layer, name: str, x: list[str], to: list[str]) -> None:
    assert layer.weight is not None
    if layer.kind == "conv":
        held, bias = _weight(model, name, layer.weight, layer.weight.codes)
        given = window(layer, dilated=True) | {"group": layer.options["groups"]}
        model.node("QLinearConv", [*x, *held, *to, *bias], name, **given)
        return
    held, bias = _weight(model, name, layer.weight, layer.weight.codes)
    operands = [*x, *held, *(bias or [""]), *to]
    model.node("QGemm", operands, name, MICROSOFT, transB=1)
