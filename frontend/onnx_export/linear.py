"""conv, gather_conv, dense and matmul as ONNX nodes: integer products that no executor rounds.

Operands of 8 bits go to ConvInteger and MatMulInteger, both as uint8 with a zero point: for uint8
by int8 some executors add pairs of products in 16 bits, which saturate. Wider ones are gathered
into patches for MatMul, of int32 where no sum can leave it, else of int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense, GatherConv, border_sums
from ...ir.ops_product import MatMul
from .emitter import INT32, INT64, UINT8, Emitter, Operand, Ref, along_channels
from .windows import padded, picked, places

SIGN = 128
LIMIT = 1 << 31
Factor = Ref | Array
"""An activation, or the array of a constant in its container."""


def conv(
    e: Emitter,
    op: Conv,
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    border: Operand | None = None,
) -> Ref:
    """conv (1)."""
    image = padded(e, x, op.pads, op.pad_value)
    filters = _array(weight)
    co, per_group, kh, kw = filters.shape
    depth = per_group * kh * kw
    if _octets_fit(image, filters, depth):
        (left, zero), (right, origin) = _octets(e, image), _octets(e, filters)
        sums = e.node(
            *("ConvInteger", left, right, zero, origin),
            dtype=INT32,
            strides=op.strides,
            dilations=op.dilations,
            group=op.groups,
            kernel_shape=(kh, kw),
        )
        return _added(e, op, x, e.wide(sums), bias, border)
    where = places(x, op.pads, (kh, kw), op.strides, op.dilations).transpose(0, 3, 4, 1, 2)
    patches = picked(e, x, op.pads, image, where.reshape(op.groups, depth, -1))
    rows = filters.reshape(op.groups, co // op.groups, depth)
    sums = _matmul(e, rows, patches, depth, _most(x, rows))
    return _added(e, op, x, e.reshape(sums, co, *where.shape[3:]), bias, border)


def gather_conv(
    e: Emitter,
    op: GatherConv,
    x: Operand,
    weight: Operand,
    columns: Operand,
    bias: Operand | None = None,
    border: Operand | None = None,
) -> Ref:
    """gather_conv (19)."""
    image, rows = padded(e, x, op.pads, op.pad_value), _array(weight)
    where = places(x, op.pads, op.kernel, op.strides, op.dilations).transpose(3, 4, 0, 1, 2)
    chosen = where.reshape(-1, where.shape[3] * where.shape[4])[columns.constant]
    sums = _matmul(e, rows, picked(e, x, op.pads, image, chosen), rows.shape[1], _most(x, rows))
    return _added(e, op, x, e.reshape(sums, len(rows), *where.shape[3:]), bias, border)


def dense(e: Emitter, op: Dense, x: Operand, weight: Operand, bias: Operand | None = None) -> Ref:
    """dense (2)."""
    rows = _array(weight)
    sums = _matmul(e, x.value, np.ascontiguousarray(rows.T), rows.shape[1], _most(x, rows))
    return sums if bias is None else e.node("Add", sums, e.constant(bias.constant, "bias"))


def matmul(e: Emitter, op: MatMul, x: Operand, y: Operand) -> Ref:
    """matmul (15)."""
    left, right = (
        e.node("Sub", e.wide(each.value), e.scalar(zero, INT64)) if zero else e.wide(each.value)
        for each, zero in zip((x, y), op.zero_points, strict=True)
    )
    return e.node("MatMul", left, right)


def _array(weight: Operand) -> Array:
    assert weight.array is not None
    return weight.array


def _most(x: Operand, rows: Array) -> int:
    """What no sum of products exceeds: weights are the last axis of ``rows``."""
    reach = max(-x.type.dtype.lo, x.type.dtype.hi)
    return reach * int(np.abs(rows.astype(INT64)).sum(axis=-1).max(initial=0))


def _octets_fit(a: Factor, b: Factor, depth: int) -> bool:
    """Whether both have 8 bits and sums of uint8 products stay in int32."""
    return a.dtype.itemsize == b.dtype.itemsize == 1 and depth * 255 * 255 < LIMIT


def _octets(e: Emitter, factor: Factor) -> tuple[Ref, Ref]:
    """8-bit numbers as uint8, and the zero point that it moves them by."""
    signed = factor.dtype.kind == "i"
    zero = e.scalar(SIGN if signed else 0, UINT8)
    if isinstance(factor, Ref):
        raw = e.cast(factor, UINT8)
        return (e.node("BitwiseXor", raw, e.scalar(SIGN, UINT8)) if signed else raw), zero
    moved = factor.astype(np.int16) + (SIGN if signed else 0)
    return e.constant(moved.astype(UINT8), "weight"), zero


def _matmul(e: Emitter, a: Factor, b: Factor, depth: int, most: int) -> Ref:
    """a times b as int64; ``most`` is the greatest magnitude of a sum of ``depth`` products."""
    if _octets_fit(a, b, depth):
        (left, zero), (right, origin) = _octets(e, a), _octets(e, b)
        return e.wide(e.node("MatMulInteger", left, right, zero, origin, dtype=INT32))
    dtype = INT32 if most < LIMIT else INT64
    return e.wide(e.node("MatMul", _as(e, a, dtype), _as(e, b, dtype)))


def _as(e: Emitter, factor: Factor, dtype: np.dtype[Any]) -> Ref:
    if isinstance(factor, Ref):
        return e.cast(factor, dtype)
    return e.constant(factor.astype(dtype), "weight")


def _added(
    e: Emitter,
    op: Conv | GatherConv,
    x: Operand,
    sums: Ref,
    bias: Operand | None,
    border: Operand | None,
) -> Ref:
    """The sums with the bias and with what the border adds."""
    if bias is None and border is None:
        return sums
    total: Array = np.zeros((), INT64)
    if bias is not None:
        total = total + along_channels(bias.constant, 4)
    if border is not None:
        total = total + border_sums(op, x.type.sample_shape[1:], border.constant)
    return e.node("Add", sums, e.constant(total, "bias"))
