"""Products as torch functions: conv, dense, multiply, matmul."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from ...ir.op import Op
from ...ir.ops_linear import Conv, Dense
from ...ir.ops_product import MatMul, Multiply
from .function import Function, border


def _conv(
    op: Conv, x: Tensor, weight: Tensor, bias: Tensor | None = None, edge: Tensor | None = None
) -> Tensor:
    top, left, bottom, right = op.pads
    inner = x
    if op.pad_value or (top, left) != (bottom, right):
        x, top, left = border(x, op.pads, op.pad_value), 0, 0
    found = functional.conv2d(x, weight, bias, op.strides, (top, left), op.dilations, op.groups)
    return found if edge is None else found + _edge_sums(op, inner, edge)


def _edge_sums(op: Conv, x: Tensor, edge: Tensor) -> Tensor:
    """What the places of the kernel that lie in the border add: ``edge`` ``(co, kh, kw)``."""
    outside = border(x.new_zeros(1, 1, *x.shape[2:]), op.pads, 1)
    return functional.conv2d(outside, edge.unsqueeze(1), None, op.strides, 0, op.dilations)


def _dense(op: Dense, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight, bias)


def _multiply(op: Multiply, x: Tensor, y: Tensor) -> Tensor:
    left, right = op.zero_points
    return centered(x, left) * centered(y, right)


def _matmul(op: MatMul, x: Tensor, y: Tensor) -> Tensor:
    left, right = op.zero_points
    return centered(x, left) @ centered(y, right)


def centered(x: Tensor, zero_point: int) -> Tensor:
    """x less its zero point."""
    return x - zero_point if zero_point else x


FUNCTIONS: Mapping[type[Op], Function] = {
    Conv: _conv,
    Dense: _dense,
    Multiply: _multiply,
    MatMul: _matmul,
}
