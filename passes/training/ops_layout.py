"""Moves as torch functions: reshape, transpose, slice, pad, concat, and crop."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from ...ir.op import Op
from ...ir.ops_crop import ONE, Crop
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


def _crop(op: Crop, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Without y the window is as large as can be, in the middle."""
    told = x.new_tensor([[1.0, 0.5, 0.5]]).expand(len(x), 3) if y is None else y
    share = (op.least + (op.most - op.least) * told[:, 0]) / ONE
    if y is None:
        share = torch.full_like(share, op.most / ONE)
    axes = []
    for place, samples in ((told[:, 1], op.size[1]), (told[:, 2], op.size[0])):
        steps = torch.linspace(-1, 1, samples, dtype=x.dtype, device=x.device)
        axes.append(((2 * place - 1) * (1 - share))[:, None] + share[:, None] * steps)
    across, down = (
        axes[0][:, None, :].expand(-1, op.size[0], -1),
        axes[1][:, :, None].expand(-1, -1, op.size[1]),
    )
    grid = torch.stack([across, down], dim=-1)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=True)


FUNCTIONS: Mapping[type[Op], Function] = {
    Reshape: _reshape,
    Transpose: _transpose,
    Slice: _cut,
    Pad: _pad,
    Concat: _concat,
    Crop: _crop,
}
