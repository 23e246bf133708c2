"""Reductions as torch functions: max_pool, average_pool, softmax, layer_norm, arg_max."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ...ir.op import Op
from ...ir.ops_arg import ArgMax
from ...ir.ops_norm import LayerNorm
from ...ir.ops_pool import AveragePool, MaxPool
from ...ir.ops_softmax import Softmax
from .function import Function, at_least_single, border


def _max_pool(op: MaxPool, x: Tensor) -> Tensor:
    padded = border(x, op.pads, -math.inf)
    return functional.max_pool2d(padded, op.kernel, op.strides, 0, op.dilations)


def _average_pool(op: AveragePool, x: Tensor) -> Tensor:
    total = _window_sums(op, x)
    if op.count_border or not any(op.pads):
        return total / (op.kernel[0] * op.kernel[1])
    return total / _window_sums(op, x.new_ones(1, 1, *x.shape[2:]))


def _window_sums(op: AveragePool, x: Tensor) -> Tensor:
    padded = border(x, op.pads, 0)
    return functional.avg_pool2d(padded, op.kernel, op.strides, divisor_override=1)


def _softmax(op: Softmax, x: Tensor) -> Tensor:
    return torch.softmax(x, op.axis)


def _layer_norm(op: LayerNorm, x: Tensor, epsilon: Tensor) -> Tensor:
    x = at_least_single(x)
    centered = x - x.mean(op.axis, keepdim=True)
    variance = centered.square().mean(op.axis, keepdim=True)
    return centered / (variance + epsilon).sqrt()


def _arg_max(op: ArgMax, x: Tensor) -> Tensor:
    """Constant almost everywhere: no gradient goes through it."""
    turned = x.detach().flip(op.axis) if op.last else x.detach()
    found = turned.argmax(op.axis, keepdim=True)
    indices = x.shape[op.axis] - 1 - found if op.last else found
    return indices.to(at_least_single(turned[:0]).dtype)


FUNCTIONS: Mapping[type[Op], Function] = {
    MaxPool: _max_pool,
    AveragePool: _average_pool,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    ArgMax: _arg_max,
}
