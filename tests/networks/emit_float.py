"""A network as plain ONNX on reals, which calibration quantizes."""

from __future__ import annotations

import numpy as np
import onnx

from .onnx_real import Model, emit, real_input
from .rational import Array
from .spec import MOVES, UNARY, Dialect, Network

DIALECT = Dialect(
    "float",
    (
        *("conv", "conv_transpose", "dense", "add", "sub", "mul", "matmul", "concat", "affine"),
        *("average_pool", "global_average", "softmax", *MOVES, *UNARY),
    ),
)


def emit_float(network: Network) -> onnx.ModelProto:
    """The model; value i is ``v{i}``."""
    model = Model()
    for index, layer in enumerate(network.layers, 1):
        name, parameters = f"v{index}", []
        if layer.weight is not None:
            reals = layer.weight.reals.astype(np.float32)
            parameters.append(model.constant(f"{name}.weight", reals))
            if layer.weight.bias is not None:
                step = network.grid_of(layer.sources[0]).scale
                bias = (layer.weight.bias * layer.weight.bias_scale * step).astype(np.float32)
                parameters.append(model.constant(f"{name}.bias", bias))
        emit(model, layer, [f"v{each}" for each in layer.sources], name, *parameters)
    model.outputs = [f"v{each}" for each in network.outputs]
    return model.build([real_input(network)])


def data_for(network: Network) -> Array:
    """Samples to calibrate with."""
    codes = network.codes(16, len(network.layers))
    return network.grid.decode(codes.astype(np.float64)).astype(np.float32)
