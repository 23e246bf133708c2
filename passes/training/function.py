"""What a torch function of an op is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ...ir.windows import Pads

Function = Callable[..., Tensor]
"""``function(op, *operands)``: differentiable, and in float64 equal to ``op.reference``."""


def border(x: Tensor, pads: Pads, value: float) -> Tensor:
    """x ``(n, c, h, w)`` with a border of ``value``; pads are top, left, bottom, right."""
    top, left, bottom, right = pads
    return functional.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def along_channels(parameter: Tensor, rank: int, axis: int = 1) -> Tensor:
    """A per-channel ``(c,)`` or scalar parameter, shaped to broadcast along ``axis``."""
    if parameter.numel() == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if i == axis else 1 for i in range(rank)])


def at_least_single(x: Tensor) -> Tensor:
    """x, but halves as float32: for sums and indices that halves cannot hold."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
