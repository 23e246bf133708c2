"""What a quantized graph means, evaluated on rationals: the judge of what lowering makes of it.

Operators on codes follow their references; reals between codes are never rounded but where a
Quantize says so. Only the softmax has a meaning in integers of its own (docs/numerics.md, (10)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from intaglio.ir.graph import Graph, Node

from . import rational
from .rational import Array, Rational

Value = Array | Rational
"""Codes, or reals."""


def walk_exactly(
    graph: Graph, inputs: Mapping[str, Value], given: Mapping[str, Array] | None = None
) -> Iterator[tuple[Node, Value]]:
    """Yield each node with what it means; codes in ``given`` are then taken instead of its own."""
    values: dict[str, Value] = dict(inputs)
    for name, tensor in graph.constants.items():
        real = not tensor.dtype.is_integer
        values[name] = Rational.of_floats(tensor.array) if real else tensor.array
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        result = meaning(node, operands, graph)
        yield node, result
        values[node.name] = (given or {}).get(node.name, result)


def meaning(node: Node, operands: list[Value], graph: Graph) -> Value:
    """The result of one node."""
    if not any(isinstance(each, Rational) for each in operands):
        found: Array = node.op.reference(*operands)
        return found
    if node.op.name not in RULES:
        raise NotImplementedError(f"{node.op.name} has no exact rule.")
    return RULES[node.op.name](node.op, *operands)


def _along(parameter: Array, rank: int, axis: int) -> Array:
    if parameter.size == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if each == axis else 1 for each in range(rank)])


def _spread(x: Rational, rank: int, axis: int = 1) -> Rational:
    return x.map(lambda num: _along(num, rank, axis))


def dequantize(op: Any, x: Array, scale: Rational, zero: Array) -> Rational:
    """``scale * (x - zero)``."""
    centered = x.astype(np.int64) - _along(zero.astype(np.int64), x.ndim, op.axis)
    return rational.multiply(Rational(centered, Fraction(1)), _spread(scale, x.ndim, op.axis))


def quantize(op: Any, x: Rational, scale: Rational, zero: Array) -> Array:
    """``clip(round(x / scale) + zero)``, for every channel by itself."""
    if op.dtype.kind == "bipolar":
        return np.where(x.num >= 0, 1, -1).astype(np.int8)
    channels = max(scale.num.size, zero.size)
    axis = op.axis if channels > 1 else 0
    parts = np.moveaxis(x.num, axis, 0)
    steps = [scale.unit * int(each) for each in scale.num.reshape(-1)]
    zeros = [int(each) for each in zero.reshape(-1)]
    made = np.empty(parts.shape, dtype=np.int64)
    for channel in range(channels):
        rows = slice(channel, channel + 1) if channels > 1 else slice(None)
        step, point = steps[channel % len(steps)], zeros[channel % len(zeros)]
        before, after = (point, 0) if op.zero_first else (0, point)
        part = Rational(parts[rows], x.unit)
        codes = rational.quotient(part, step, before, op.rounding) + after
        made[rows] = np.clip(codes, op.lo, _hi(op)).astype(np.int64)
    return np.moveaxis(made, 0, axis).astype(op.dtype.container)


def _hi(op: Any) -> int:
    return int(getattr(op, "hi", op.dtype.hi))


def _windows(x: Array, kernel: Any, strides: Any, dilations: Any) -> Iterator[tuple[Any, Array]]:
    """For each place in the kernel the elements of ``(n, c, h, w)`` that it meets."""
    sizes = [
        (x.shape[2 + a] - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1 for a in range(2)
    ]
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows, columns = (
                slice(d * k, d * k + s * (size - 1) + 1, s)
                for d, k, s, size in zip(dilations, (i, j), strides, sizes, strict=True)
            )
            yield (i, j), x[:, :, rows, columns]


def _bordered(x: Array, pads: Any, value: Any = 0) -> Array:
    top, left, bottom, right = pads
    return rational.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), value)


def conv(op: Any, x: Rational, weight: Rational, bias: Rational | None = None) -> Rational:
    image, groups = _bordered(x.num, op.pads), op.groups
    filters = weight.num
    co, each = filters.shape[:2]
    fan = each * prod(filters.shape[2:])
    unit = x.unit * weight.unit
    total: Any = None
    for (i, j), part in _windows(image, filters.shape[2:], op.strides, op.dilations):
        n, c, h, w = part.shape
        rows = part.reshape(n, groups, c // groups, h * w)
        matrix = filters[:, :, i, j].reshape(groups, co // groups, each)
        wide = rational._reach(image) * rational._reach(filters) * fan >= rational.SAFE
        product = (matrix.astype(object) if wide else matrix) @ rows
        total = product if total is None else total + product
    summed = Rational(total.reshape(n, co, h, w), unit)
    return summed if bias is None else rational.add(summed, _spread(bias, 4))


def dense(op: Any, x: Rational, weight: Rational, bias: Rational | None = None) -> Rational:
    found = rational.matmul(x, weight.map(np.transpose))
    return found if bias is None else rational.add(found, bias)


def average_pool(op: Any, x: Rational) -> Rational:
    """Sums over windows by their number of elements, which at a border may be fewer."""
    image = _bordered(x.num, op.pads)
    sums = sum(part for _, part in _windows(image, op.kernel, op.strides, (1, 1)))
    counts = np.broadcast_to(op.counts(*x.num.shape[2:]), sums.shape[2:])
    shares = [Fraction(1, int(each)) for each in counts.reshape(-1)]
    one = np.array([int(share * 5040) for share in shares], dtype=object)
    if all(5040 % int(each) == 0 for each in counts.reshape(-1)):
        return Rational(sums.astype(object) * one.reshape(counts.shape), x.unit / 5040)
    assert len(set(shares)) == 1
    return Rational(sums, x.unit * shares[0])


def max_pool(op: Any, x: Rational) -> Rational:
    low = int(x.num.min()) - 1
    image = _bordered(x.num, op.pads, low)
    parts = [part for _, part in _windows(image, op.kernel, op.strides, op.dilations)]
    return Rational(np.maximum.reduce(parts), x.unit)


def add(op: Any, x: Rational, y: Rational) -> Rational:
    left, right = (
        Rational(rational.times(each.num, factor), each.unit)
        for each, factor in zip((x, y), op.multipliers, strict=True)
    )
    return rational.add(left, right)


def affine(op: Any, x: Rational, scale: Rational, shift: Rational) -> Rational:
    rank = x.num.ndim
    return rational.add(rational.multiply(x, _spread(scale, rank)), _spread(shift, rank))


def clip(op: Any, x: Rational) -> Rational:
    lo, hi = (Rational.of_floats(np.asarray(np.float32(end))) for end in (op.lo, op.hi))
    return rational.greatest(rational.greatest(x, lo), hi, -1)


def relu(op: Any, x: Rational) -> Rational:
    return Rational(np.maximum(x.num, 0), x.unit)


def unary(op: Any, x: Rational) -> Rational:
    function, alpha = rational.FUNCTIONS[op.function], Fraction(op.alpha)
    return rational.apply(x, lambda real: function(real, alpha))


def pad(op: Any, x: Rational) -> Rational:
    value = Rational.of_floats(np.clip(np.float32(op.value), -(2.0**40), 2.0**40))
    unit, (num, border) = rational.common(x, value)
    widths = ((0, 0), *zip(op.before, op.after, strict=True))
    return Rational(rational.pad(num, widths, int(border)), unit)


def concat(op: Any, *parts: Rational) -> Rational:
    unit, nums = rational.common(*parts)
    return Rational(np.concatenate(nums, axis=op.axis), unit)


def softmax(op: Any, x: Rational) -> Rational:
    """The integers of equation (10): shares of 2^16, from powers rounded to b bits."""
    below = x.num.max(axis=op.axis, keepdims=True) - x.num
    bits = 30 - (x.num.shape[op.axis] - 1).bit_length()
    power = {
        int(each): round(rational.exponential(-x.unit * int(each)) * (1 << bits))
        for each in set(below.reshape(-1).tolist())
    }
    e = np.array([power[int(each)] for each in below.reshape(-1)]).reshape(below.shape)
    total = e.sum(axis=op.axis, keepdims=True)
    return Rational(((e << 17) + total) // (2 * total), Fraction(1, 1 << 16))


def _moved(op: Any, x: Rational) -> Rational:
    return x.map(op.reference)


RULES: dict[str, Callable[..., Value]] = {
    "quantize": quantize,
    "dequantize": dequantize,
    "conv": conv,
    "dense": dense,
    "average_pool": average_pool,
    "max_pool": max_pool,
    "add": add,
    "affine": affine,
    "relu": relu,
    "clip": clip,
    "unary": unary,
    "multiply": lambda op, x, y: rational.multiply(x, y),
    "matmul": lambda op, x, y: rational.matmul(x, y),
    "softmax": softmax,
    "pad": pad,
    "concat": concat,
    "reshape": _moved,
    "transpose": _moved,
    "slice": _moved,
}
