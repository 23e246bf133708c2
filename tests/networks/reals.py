"""The layers of a network on float64, roughly: only to choose scales that fit what occurs."""

from __future__ import annotations

import numpy as np

from intaglio.ir.ops_linear import Conv
from intaglio.ir.ops_pointwise import UNARY
from intaglio.ir.ops_pool import AveragePool, MaxPool

from .spec import Array, Layer

CLIP = (-1.0, 3.0)
RESCALED = ("hard_sigmoid",)


def value_of(layer: Layer, *x: Array) -> Array:
    """The result on float64 arrays of samples."""
    result = _value(layer, *x)
    if layer.fused == "relu":
        return np.maximum(result, 0)
    return np.clip(result, *CLIP) if layer.fused == "clip" else result


def _value(layer: Layer, *x: Array) -> Array:
    options = layer.options
    if layer.kind in ("conv", "conv_transpose", "dense"):
        return _linear(layer, x[0])
    if layer.kind in UNARY:
        alpha = {"elu": 1.0, "hard_sigmoid": 0.2}.get(layer.kind, options.get("alpha", 0.0))
        return UNARY[layer.kind](x[0], alpha)
    simple = {
        "add": lambda: x[0] + x[-1],
        "sub": lambda: x[0] - x[-1],
        "mul": lambda: x[0] * x[-1],
        "matmul": lambda: x[0] @ x[-1],
        "concat": lambda: np.concatenate(x, axis=options["axis"]),
        "relu": lambda: np.maximum(x[0], 0),
        "clip": lambda: np.clip(x[0], *CLIP),
        "max_pool": lambda: MaxPool(*_pool(layer)).reference(x[0]),
        "average_pool": lambda: AveragePool(*_pool(layer)).reference(x[0]),
        "global_average": lambda: x[0].mean(axis=(2, 3), keepdims=True),
        "global_max": lambda: x[0].max(axis=(2, 3), keepdims=True),
        "reshape": lambda: x[0].reshape(-1, *layer.shape),
        "flatten": lambda: x[0].reshape(-1, *layer.shape),
        "softmax": lambda: np.exp(x[0] - x[0].max()) / np.exp(x[0] - x[0].max()).sum(),
    }
    if layer.kind in simple:
        return simple[layer.kind]()
    if layer.kind == "resize":
        return x[0].repeat(options["factors"][0], axis=2).repeat(options["factors"][1], axis=3)
    if layer.kind == "pad":
        pads = zip(options["before"], options["after"], strict=True)
        return np.pad(x[0], ((0, 0), *pads))
    if layer.kind == "transpose":
        return x[0].transpose(0, *(axis + 1 for axis in options["order"]))
    if layer.kind == "slice":
        bounds = (options["starts"], options["stops"], options["steps"])
        return x[0][(slice(None), *map(slice, *bounds))]
    factor, shift = (
        options[key].reshape(-1, *(1,) * (x[0].ndim - 2)) for key in ("factor", "shift")
    )
    return x[0] * factor + shift


def _pool(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return layer.options["kernel"], layer.options["strides"], layer.options["pads"]


def _linear(layer: Layer, x: Array) -> Array:
    assert layer.weight is not None
    weight = layer.weight.reals
    if layer.kind == "dense":
        return x @ weight.T
    if layer.kind == "conv":
        options = layer.options
        window = (options["strides"], options["pads"], options["dilations"], options["groups"])
        return Conv(*window).reference(x, weight)
    spread = np.sqrt(np.square(weight).sum() / max(1, layer.shape[0]) + 1e-12)
    return np.random.default_rng(0).normal(0, spread * x.std() + 1e-6, (len(x), *layer.shape))
