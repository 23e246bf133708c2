"""A network as ONNX in the format QDQ: operators on reals between QuantizeLinear and its inverse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from .onnx_real import Model, emit, real_input
from .spec import MOVES, UNARY, Dialect, Grid, Layer, Network, Weight

DIALECT = Dialect(
    "qdq",
    (
        *("conv", "conv_transpose", "dense", "add", "sub", "mul", "matmul", "concat", "affine"),
        *("average_pool", "global_average", "softmax", *MOVES, *UNARY),
    ),
    activations=((8, True), (8, False), (8, False), (4, True), (4, False)),
    weights=((8, True), (8, True), (8, False), (4, True)),
    weight_zeros="own",
)

WIDE = replace(
    DIALECT,
    name="qdq 16 bits",
    kinds=tuple(k for k in DIALECT.kinds if k not in ("add", "sub", "mul", "matmul", "softmax")),
    activations=((16, True), (16, False), (8, False)),
    weights=((4, True),),
)
"""Codes of 16 bits; their sums and products have other limits."""


def emit_qdq(network: Network) -> onnx.ModelProto:
    """The model; value i is ``v{i}``, its codes ``v{i}.codes`` and what they stand for ``v{i}.real``.

    Nothing is quantized after some layers: ``network.unquantized``, and at times a layer whose
    accumulators are an output.
    """
    used = {source for layer in network.layers for source in layer.sources}
    model, unquantized = Model(), network.unquantized
    quantized(model, "v0", network.grid)
    real = {0: "v0.real"}
    for index, layer in enumerate(network.layers, 1):
        name = f"v{index}"
        parameters: list[str] = []
        if layer.weight is not None:
            step = network.grid_of(layer.sources[0]).scale
            parameters = weights(model, layer, layer.weight, name, step)
        emit(model, layer, [real[each] for each in layer.sources], name, *parameters)
        bare = (
            layer.kind in ("conv", "dense") and not layer.fused and index % 2 and index not in used
        )
        if index in unquantized or bare:
            real[index] = name
        else:
            assert layer.grid is not None
            real[index] = quantized(model, name, layer.grid)
    model.outputs = [real[each] for each in network.outputs]
    return model.build([real_input(network)])


def element_type(grid: Any) -> int:
    return int(getattr(TensorProto, grid.name.upper()))


def quantized(model: Model, name: str, grid: Grid) -> str:
    """Append QuantizeLinear and DequantizeLinear."""
    scale = model.constant(f"{name}.scale", np.float32(grid.scale))
    zero = model.constant(f"{name}.zero", np.array(grid.zero), element_type(grid))
    codes = model.node("QuantizeLinear", [name, scale, zero], f"{name}.codes")
    return model.node("DequantizeLinear", [codes, scale, zero], f"{name}.real")


def weights(model: Model, layer: Layer, weight: Weight, name: str, step: float) -> list[str]:
    """Weights as codes; the bias as int32, in odd layers as reals."""
    grid = Grid(1.0, 0, weight.bits, weight.signed)
    single = weight.scale.size == 1
    scale, zero = (each[0] if single else each for each in (weight.scale, weight.zero))
    held = [
        model.constant(f"{name}.weight", weight.codes, element_type(grid)),
        model.constant(f"{name}.weight_scale", scale),
        model.constant(f"{name}.weight_zero", zero, element_type(grid)),
    ]
    found = [
        model.node(
            "DequantizeLinear", held, f"{name}.weights", axis=None if single else weight.axis
        )
    ]
    if weight.bias is None:
        return found
    worth = (np.float32(step) * weight.bias_scale).astype(np.float32)
    if int(name[1:]) % 2:
        bias = (weight.bias * worth).astype(np.float32)
        return [*found, model.constant(f"{name}.bias", bias)]
    codes = model.constant(f"{name}.bias", weight.bias, np.int32)
    scale = model.constant(f"{name}.bias_scale", worth[0] if single else worth)
    made = model.node(
        "DequantizeLinear", [codes, scale], f"{name}.biases", axis=None if single else 0
    )
    return [*found, made]
