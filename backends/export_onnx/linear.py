"""conv, gather_conv, dense, pools: integer convolutions of bytes, exact whatever the widths."""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array, NumericType
from ...ir.ops_linear import Conv, Dense, GatherConv, border_sums
from ...ir.ops_pool import MaxPool, SumPool
from ...ir.program import Step
from ...ir.windows import Pads
from .build import Build, sequence
from .values import Values


def _bytes_of(b: Build, x: str, dtype: NumericType) -> list[tuple[str, int]]:
    """x as bytes, uint8, lowest first, and what each has as zero: the last is signed if x is."""
    found = []
    for _ in range(1, -(-dtype.bits // 8)):
        low = b.binary("Mod", x, 256)
        found.append((b.cast(low, np.uint8), 0))
        x = b.binary("Div", b.add("Sub", x, low), 256)
    zero = 128 if dtype.lo < 0 else 0
    return [*found, (b.cast(b.binary("Add", x, zero), np.uint8), zero)]


def _weight_bytes(weight: Array) -> list[Array]:
    """The weight as bytes, lowest first: uint8, the last int8 if there are negative weights."""
    found, rest = [], weight.astype(np.int64)
    signed = bool((rest < 0).any())
    while rest.size and not _fits(rest, signed):
        found.append((rest % 256).astype(np.uint8))
        rest = rest // 256
    return [*found, rest.astype(np.int8 if signed else np.uint8)]


def _fits(values: Array, signed: bool) -> bool:
    lo, hi = (-128, 127) if signed else (0, 255)
    return bool(values.min() >= lo and values.max() <= hi)


def _convolution(b: Build, x: str, dtype: NumericType, weight: Array, **attributes: object) -> str:
    """The sum over bytes of x and of the weight, each an integer convolution without a border."""
    total = ""
    for i, (part, zero) in enumerate(_bytes_of(b, x, dtype)):
        for j, factor in enumerate(_weight_bytes(weight)):
            zeros = [b.constant(zero, np.uint8), b.constant(0, factor.dtype)]
            inputs = part, b.constant(factor, factor.dtype), *zeros
            product = b.cast(b.add("ConvInteger", *inputs, **attributes), np.int64)
            product = b.binary("Mul", product, 256 ** (i + j)) if i + j else product
            total = b.add("Add", total, product) if total else product
    return total


def _padded(b: Build, x: str, pads: Pads, value: int) -> str:
    if not any(pads):
        return x
    ends = b.constant([0, 0, *pads[:2], 0, 0, *pads[2:]])
    return b.add("Pad", x, ends, b.constant(value))


def _finished(b: Build, v: Values, total: str, step: Step, first: int) -> str:
    """With bias and border, the operands from number ``first`` on."""
    more = [v.array(index).astype(np.int64) for index in step.inputs[first:]]
    if more:
        total = b.binary("Add", total, more[0].reshape(1, -1, 1, 1))
    if more[1:]:
        size = v.type(step.inputs[0]).sample_shape[1:]
        assert isinstance(step.op, Conv | GatherConv)
        total = b.binary("Add", total, border_sums(step.op, size, more[1])[None])
    return total


def conv(b: Build, v: Values, step: Step) -> str:
    """x in its border, convolved."""
    op = step.op
    assert isinstance(op, Conv)
    x = _padded(b, v.name(step.inputs[0]), op.pads, op.pad_value)
    total = _convolution(
        b,
        x,
        _with(v.type(step.inputs[0]).dtype, op.pad_value if any(op.pads) else 0),
        v.array(step.inputs[1]),
        strides=sequence(op.strides),
        dilations=sequence(op.dilations),
        group=op.groups,
    )
    return _finished(b, v, total, step, 2)


def _with(dtype: NumericType, value: int) -> NumericType:
    """A type of dtype's values and of ``value``."""
    if dtype.lo <= value <= dtype.hi:
        return dtype
    return NumericType("int", max(dtype.bits + 1, value.bit_length() + 1))


def gather_conv(b: Build, v: Values, step: Step) -> str:
    """The conv whose weights are the listed ones, and 0."""
    op = step.op
    assert isinstance(op, GatherConv)
    channels = v.type(step.inputs[0]).sample_shape[0]
    listed = v.array(step.inputs[1])
    whole = np.zeros((len(listed), op.kernel[0] * op.kernel[1] * channels), np.int64)
    np.add.at(whole.T, v.array(step.inputs[2]).astype(np.int64), listed.astype(np.int64).T)
    weight = whole.reshape(len(listed), *op.kernel, channels).transpose(0, 3, 1, 2)
    x = _padded(b, v.name(step.inputs[0]), op.pads, op.pad_value)
    dtype = _with(v.type(step.inputs[0]).dtype, op.pad_value if any(op.pads) else 0)
    options = {"strides": sequence(op.strides), "dilations": sequence(op.dilations)}
    return _finished(b, v, _convolution(b, x, dtype, weight, **options), step, 3)


def dense(b: Build, v: Values, step: Step) -> str:
    """A matrix product of int32, to which every total is proved to fit."""
    assert isinstance(step.op, Dense)
    weight = b.constant(v.array(step.inputs[1]).T, np.int32)
    x = b.cast(v.name(step.inputs[0]), np.int32)
    total = b.cast(b.add("MatMul", x, weight), np.int64)
    if step.inputs[2:]:
        total = b.binary("Add", total, v.array(step.inputs[2]).astype(np.int64))
    return total


def sum_pool(b: Build, v: Values, step: Step) -> str:
    """A conv of one filter per channel whose weights are 1."""
    op = step.op
    assert isinstance(op, SumPool)
    type_ = v.type(step.inputs[0])
    channels = type_.sample_shape[0]
    x = _padded(b, v.name(step.inputs[0]), op.pads, op.pad_value)
    dtype = _with(type_.dtype, op.pad_value if any(op.pads) else 0)
    ones = np.ones((channels, 1, *op.kernel), np.int64)
    return _convolution(b, x, dtype, ones, strides=sequence(op.strides), group=channels)


def max_pool(b: Build, v: Values, step: Step) -> str:
    """Of bytes as such, of wider codes as float64, which holds them."""
    op = step.op
    assert isinstance(op, MaxPool)
    dtype = v.type(step.inputs[0]).dtype
    narrow = dtype.container if dtype.container.itemsize == 1 else np.dtype(np.float64)
    x = _padded(b, v.name(step.inputs[0]), op.pads, dtype.lo)  # the least never wins
    pooled = b.add(
        "MaxPool",
        b.cast(x, narrow),
        kernel_shape=sequence(op.kernel),
        strides=sequence(op.strides),
        dilations=sequence(op.dilations),
    )
    return b.cast(pooled, np.int64)
