"""Moves as torch functions: reshape, transpose, slice, pad, concat."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from ...ir.op import Op
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from .function import Function


def _reshape(op: Reshape, x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], *op.shape)


def _transpose(op: Transpose, x: Tensor) -> Tensor:
    return x.permute(op.axes)


def _cut(op: Slice, x: Tensor) -> Tensor:
    return x[(slice(None), *op.parts)]


def _pad(op: Pad, x: Tensor) -> Tensor:
    """torch counts axes from the last."""
    axes = reversed(tuple(zip(op.before, op.after, strict=True)))
    return functional.pad(x, tuple(chain(*axes)), value=op.value)


def _concat(op: Concat, *operands: Tensor) -> Tensor:
    return torch.cat(operands, op.axis)


FUNCTIONS: Mapping[type[Op], Function] = {
    Reshape: _reshape,
    Transpose: _transpose,
    Slice: _cut,
    Pad: _pad,
    Concat: _concat,
}
