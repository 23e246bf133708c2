"""Codes as torch functions: dequantize."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...ir.op import Op
from ...ir.ops_quant import Dequantize
from .function import Function, along_channels


def _dequantize(op: Dequantize, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    steps = x - along_channels(zero_point, x.ndim, op.axis)
    return steps * along_channels(scale, x.ndim, op.axis)


FUNCTIONS: Mapping[type[Op], Function] = {Dequantize: _dequantize}
