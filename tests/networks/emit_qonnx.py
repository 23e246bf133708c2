"""A network in QONNX: operators on reals, each followed by a quantizer, weights behind quantizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from .onnx_real import Model, emit
from .spec import MOVES, UNARY, Dialect, Grid, Layer, Network, Weight

DOMAIN = "qonnx.custom_op.general"
ROUNDINGS = ("ROUND",) * 6 + ("CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
DIALECT = Dialect(
    "qonnx",
    (
        *("conv", "conv_transpose", "dense", "add", "sub", "mul", "matmul", "concat", "affine"),
        *("average_pool", "global_average", "softmax", *MOVES, *UNARY),
    ),
    activations=(
        *((8, True), (8, False), (6, True), (5, False), (4, True), (4, False), (3, False)),
        *((2, True), (2, False), (1, True)),
    ),
    weights=((8, True), (6, True), (4, True), (4, True), (3, True), (2, True), (1, True)),
)


def emit_qonnx(network: Network, batch: int) -> onnx.ModelProto:
    """The model; value i is ``v{i}`` and ``v{i}.real`` behind its quantizer.

    Nothing is quantized after the layers ``network.unquantized``.
    """
    model, unquantized = Model(), network.unquantized
    _quantizer(model, "v0", network.grid, "ROUND", 0)
    real = {0: "v0.real"}
    for index, layer in enumerate(network.layers, 1):
        name = f"v{index}"
        parameters: list[str] = []
        if layer.weight is not None:
            step = network.grid_of(layer.sources[0]).scale
            parameters = _weights(model, layer, layer.weight, name, step)
        emit(model, layer, [real[each] for each in layer.sources], name, *parameters)
        assert layer.grid is not None
        if index in unquantized:
            real[index] = name
            continue
        rounding = ROUNDINGS[(7 * index) % len(ROUNDINGS)]
        real[index] = _quantizer(model, name, layer.grid, rounding, index % 5 == 0)
    model.outputs = [real[each] for each in network.outputs]
    given = helper.make_tensor_value_info("v0", TensorProto.FLOAT, [batch, *network.shape])
    made = model.build([given], 17, DOMAIN)
    for output, index in zip(made.graph.output, network.outputs, strict=True):
        shape = [batch, *network.shape_of(index)]
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape))
    return made


def _quantizer(model: Model, name: str, grid: Grid, rounding: str, narrow: int) -> str:
    """Append Quant, or BipolarQuant for one signed bit."""
    scale = model.constant(f"{name}.scale", np.float32(grid.scale))
    if grid.signed and grid.bits == 1:
        return model.node("BipolarQuant", [name, scale], f"{name}.real", DOMAIN)
    zero = model.constant(f"{name}.zero", np.float32(grid.zero))
    bits = model.constant(f"{name}.bits", np.float32(grid.bits))
    given: dict[str, Any] = {"signed": int(grid.signed), "rounding_mode": rounding}
    keeps = grid.bits == 1 and not grid.signed
    return model.node(
        "Quant",
        [name, scale, zero, bits],
        f"{name}.real",
        DOMAIN,
        narrow=0 if keeps else int(narrow),
        **given,
    )


def _weights(model: Model, layer: Layer, weight: Weight, name: str, step: float) -> list[str]:
    """Float weights, near their codes, behind a quantizer; a float bias."""
    rng = np.random.default_rng(int(name[1:]))
    scale = weight.along(weight.scale) if weight.scale.size > 1 else weight.scale.reshape(())
    reals = weight.reals + rng.uniform(-0.4, 0.4, weight.codes.shape) * scale
    held = [
        model.constant(f"{name}.weight", reals, np.float32),
        model.constant(f"{name}.weight_scale", scale, np.float32),
    ]
    if weight.bits == 1:
        found = [model.node("BipolarQuant", held, f"{name}.weights", DOMAIN)]
    else:
        held.append(model.constant(f"{name}.weight_zero", np.float32(0)))
        held.append(model.constant(f"{name}.weight_bits", np.float32(weight.bits)))
        given: dict[str, Any] = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
        found = [model.node("Quant", held, f"{name}.weights", DOMAIN, **given)]
    if weight.bias is not None:
        bias = weight.bias * (weight.bias_scale * np.float32(step))
        found.append(model.constant(f"{name}.bias", bias, np.float32))
    return found
