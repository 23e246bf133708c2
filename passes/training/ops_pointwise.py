"""Functions of one element as torch functions: affine, relu and their like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...ir.op import Op
from ...ir.ops_pointwise import Add, Affine, Clip, PRelu, Relu, ScaleGradient, Unary
from .function import Function, along_channels


def _add(op: Add, x: Tensor, y: Tensor) -> Tensor:
    left, right = op.multipliers
    return (x if left == 1 else x * left) + (y if right == 1 else y * right)


def _affine(op: Affine, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return x * along_channels(scale, x.ndim) + along_channels(shift, x.ndim)


def _relu(op: Relu, x: Tensor) -> Tensor:
    return torch.relu(x)


def _clip(op: Clip, x: Tensor) -> Tensor:
    """The ends are float32, as in the reference."""
    return x.clamp(float(np.float32(op.lo)), float(np.float32(op.hi)))


def _hard_sigmoid(x: Tensor, alpha: float) -> Tensor:
    return (x * alpha + 0.5).clamp(0, 1)


UNARY: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "sigmoid": lambda x, alpha: torch.sigmoid(x),
    "tanh": lambda x, alpha: torch.tanh(x),
    "leaky_relu": lambda x, alpha: torch.where(x < 0, alpha * x, x),
    "elu": lambda x, alpha: torch.where(x < 0, alpha * torch.expm1(x.clamp(max=0)), x),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x, alpha: x * _hard_sigmoid(x, 1 / 6),
    "silu": lambda x, alpha: functional.silu(x),
    "abs": lambda x, alpha: x.abs(),
    "exp": lambda x, alpha: x.exp(),
    "sqrt": lambda x, alpha: x.sqrt(),
    "rsqrt": lambda x, alpha: (x + alpha).rsqrt(),
    "neg": lambda x, alpha: -x,
}
"""The functions of ``ir.ops_pointwise.UNARY``."""


def _unary(op: Unary, x: Tensor) -> Tensor:
    return UNARY[op.function](x, op.alpha)


def _prelu(op: PRelu, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * along_channels(slope, x.ndim), x)


def _scale_gradient(op: ScaleGradient, x: Tensor) -> Tensor:
    return x.detach() + op.factor * (x - x.detach()) if op.factor else x.detach()


FUNCTIONS: Mapping[type[Op], Function] = {
    Add: _add,
    Affine: _affine,
    Relu: _relu,
    Clip: _clip,
    Unary: _unary,
    PRelu: _prelu,
    ScaleGradient: _scale_gradient,
}
