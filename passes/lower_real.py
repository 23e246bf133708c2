"""Lowering reals: one rule per operator, what its value means in integers (meaning.py)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..ir.graph import Node
from ..ir.numeric import Array, Encoding, narrowest
from ..ir.ops_layout import Concat, Pad
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Add, Clip, Unary
from ..ir.ops_quant import Dequantize, Quantize
from ..ir.tensor import Tensor
from .lower_channels import dequantized, settled
from .lower_emit import rising
from .lower_monotone import RISING
from .lowering import Lowering, fractions, refuse
from .meaning import UNBOUNDED, Codes, Curve, Function, Image, Joined, Meaning, Moved, Sum
from .rescale import round_fraction

MAX_WEIGHT_BITS = 16


def lower_dequantize(self: Lowering, node: Node) -> None:
    """Codes behind their encoding; weights and biases are read by the ops that use them."""
    source, scale, zero_point = node.inputs
    if source in self.graph.constants:
        return  # A weight: conv and dense read its codes and scale themselves.
    if max(self.array(scale).size, self.array(zero_point).size) > 1:
        self.meanings[node.name] = dequantized(self, node)
        return
    step = Fraction(self.scalar(scale, node))
    zero = int(self.scalar(zero_point, node))
    if source not in self.integers and source not in self.graph.producers:
        encoding = Encoding(float(step), zero)
        self.integers[source] = self.input(replace(self.graph.values[source], encoding=encoding))
    name = self.integer(source)
    if isinstance(getattr(self.graph.producers.get(source), "op", None), Quantize):
        self.encode(name, Encoding(float(step), zero))
    self.meanings[node.name] = Codes(name, step, zero)


def weight_of(self: Lowering, node: Node) -> tuple[Tensor, tuple[Fraction, ...]]:
    """The integers of a conv's or dense's weight, zero point taken off, and each row's scale."""
    name = node.inputs[1]
    if name in self.graph.constants:
        return integers_of(self, node)
    source = self.graph.producers.get(name)
    if source is None or not isinstance(source.op, Dequantize):
        raise refuse(node, "has a weight that is not quantised")
    codes, scale, zero_point = source.inputs
    if codes not in self.graph.constants:
        raise refuse(node, "has a weight that is not constant codes")
    weight, zero = self.graph.constants[codes], self.array(zero_point)
    if self.array(scale).size > 1 and source.op.axis != 0:
        raise refuse(node, f"has a weight with a scale per axis {source.op.axis}, not per output")
    if zero.any():
        wide = weight.array.astype(np.int64) - _rows(zero.astype(np.int64), weight.array.ndim)
        weight = Tensor(wide, narrowest(int(wide.min()), int(wide.max())))
    return weight, fractions(self.array(scale), len(weight.array))


def _rows(parameter: Array, rank: int) -> Array:
    """A parameter ``()`` or ``(c,)``, shaped to broadcast along axis 0."""
    return (
        parameter.reshape(-1, *(1,) * (rank - 1)) if parameter.size > 1 else parameter.reshape(())
    )


def integers_of(self: Lowering, node: Node) -> tuple[Tensor, tuple[Fraction, ...]]:
    """A real weight whose elements are few multiples of a power of two, as integers times that."""
    weight = self.array(node.inputs[1]).astype(np.float64)
    for bits in range(2 * MAX_WEIGHT_BITS):
        steps = weight * 2.0**bits
        if np.abs(steps).max(initial=0) >= 1 << (MAX_WEIGHT_BITS - 1):
            break
        if np.array_equal(steps, np.rint(steps)):
            integers = steps.astype(np.int64)
            span = narrowest(int(integers.min()), int(integers.max()))
            return Tensor(integers, span), (Fraction(1, 1 << bits),) * len(weight)
    raise refuse(node, "has a weight that is not quantised")


def lower_linear(self: Lowering, node: Node) -> None:
    """value = sx sw (sum of x w - zx sum of w) + b; the border holds zx and so counts as 0."""
    x = self.codes(node)
    if isinstance(node.op, Dense) and len(node.type.shape) > 2:
        raise refuse(node, "multiplies along the last of several axes")
    weight, weight_scale = weight_of(self, node)
    name = self.constant(f"{node.name}.weight", weight.array, weight.dtype)
    op = replace(node.op, pad_value=x.zero_point) if isinstance(node.op, Conv) else node.op
    acc = self.emit(f"{node.name}.acc", op, x.name, name, node=node)
    channels = len(weight.array)
    scale = tuple(x.scale * each for each in weight_scale)
    sums = weight.array.astype(np.int64).reshape(channels, -1).sum(axis=1).tolist()
    bias = (
        self.exact(node.inputs[2], channels) if len(node.inputs) > 2 else (Fraction(0),) * channels
    )
    offset = tuple(
        b - s * x.zero_point * total for b, s, total in zip(bias, scale, sums, strict=True)
    )
    self.meanings[node.name] = Image(acc, scale, offset)


def lower_affine(self: Lowering, node: Node) -> None:
    """An image of codes as they are, or of the accumulator that they stand for."""
    channels = (*node.type.sample_shape, 1)[0]
    factor, shift = (self.exact(name, channels) for name in node.inputs[1:])
    before = settled(self, self.meanings.get(node.inputs[0]))
    found = None if before is None else _affine(before, factor, shift)
    if found is not None:
        self.meanings[node.name] = found
        return
    x = self.codes(node)
    scale = tuple(x.scale * each for each in factor)
    offset = tuple(b - s * x.zero_point for b, s in zip(shift, scale, strict=True))
    self.meanings[node.name] = Image(x.name, scale, offset)


def _affine(
    before: Meaning, factor: tuple[Fraction, ...], shift: tuple[Fraction, ...]
) -> Meaning | None:
    """``factor * before + shift`` of accumulators not yet clipped; None of anything else."""
    if isinstance(before, Image) and before.bounds == UNBOUNDED:
        return before.affine(factor, shift)
    if not isinstance(before, Joined) or before.axis == 1:
        return None
    parts = [_affine(part, factor, shift) for part in before.parts]
    found = tuple(part for part in parts if part is not None)
    return replace(before, parts=found) if len(found) == len(parts) else None


def lower_add(self: Lowering, node: Node) -> None:
    """A sum; its integers depend on the codes that it becomes."""
    if not isinstance(node.op, Add):
        raise refuse(node, "is not an addition")
    self.meanings[node.name] = Sum(self.codes(node, 0), self.codes(node, 1), node.op.multipliers)


def lower_clip(self: Lowering, node: Node) -> None:
    """A relu or clip narrows the bounds of an image or sum; of anything else it is a function."""
    meaning = self.meanings.get(node.inputs[0])
    ends = (node.op.lo, node.op.hi) if isinstance(node.op, Clip) else (0.0, np.inf)
    ready = isinstance(meaning, Image | Sum | Function | Joined | Moved)
    self.meanings[node.name] = _clipped(meaning if ready else self.codes(node), ends)


def _clipped(meaning: Any, ends: tuple[float, float]) -> Meaning:
    lo, hi = (exact_bound(end) for end in ends)
    if isinstance(meaning, Image | Sum):
        below, above = (min(max(end, lo), hi) for end in meaning.bounds)
        return replace(meaning, bounds=(below, above))
    if isinstance(meaning, Joined):
        return replace(meaning, parts=tuple(_clipped(part, ends) for part in meaning.parts))
    if isinstance(meaning, Moved):
        before: Any = _clipped(meaning.before, ends)
        return Moved(before, tuple(_clipped_border(move, ends) for move in meaning.moves))
    if isinstance(meaning, Function):
        inner = meaning.apply
        return replace(meaning, apply=lambda x: np.clip(inner(x), *ends))
    return Function(meaning, lambda x: np.clip(x, *ends))


def _clipped_border(move: Node, ends: tuple[float, float]) -> Node:
    if not isinstance(move.op, Pad):
        return move
    return replace(move, op=replace(move.op, value=min(max(move.op.value, ends[0]), ends[1])))


def exact_bound(end: float) -> Fraction:
    """The float32 nearest to ``end`` as a rational; infinity is a bound that no code reaches."""
    return Fraction(float(np.float32(end))) if np.isfinite(end) else UNBOUNDED[int(end > 0)]


def lower_unary(self: Lowering, node: Node) -> None:
    """A function of codes, or one that rises of an accumulator."""
    meaning, op = settled(self, self.meanings.get(node.inputs[0])), node.op
    curved = isinstance(op, Unary) and op.function in RISING
    if curved and isinstance(meaning, Image) and meaning.bounds == UNBOUNDED:
        image = rising(self, node, meaning) if min(meaning.scale) < 0 else meaning
        self.meanings[node.name] = Curve(image, op.reference)
        return
    self.meanings[node.name] = Function(self.codes(node), op.reference)


def lower_pass_through(self: Lowering, node: Node) -> None:
    """Ops that choose among values run on codes, now or once there are any.

    A border that no code stands for waits for the codes that follow.
    """
    meaning = self.meanings.get(node.inputs[0])
    if isinstance(meaning, Moved):
        self.meanings[node.name] = replace(meaning, moves=(*meaning.moves, node))
        return
    if isinstance(meaning, Image | Sum | Function | Curve | Joined):
        self.meanings[node.name] = Moved(meaning, (node,))
        return
    x, op = self.codes(node), node.op
    if isinstance(op, Pad):
        code = _border(self, node, op, x)
        if code is None:
            image = Image(x.name, (x.scale,), (-x.scale * x.zero_point,))
            self.meanings[node.name] = Moved(image, (node,))
            return
        op = replace(op, value=code)
    encoding = Encoding(float(x.scale), x.zero_point)
    made = self.emit(node.name, op, x.name, node=node, encoding=encoding)
    self.meanings[node.name] = Codes(made, x.scale, x.zero_point)


def _border(self: Lowering, node: Node, op: Pad, x: Codes) -> int | None:
    """The code of a pad's border: nearest to its value, as a weight is held.

    None where no code is exactly that and nothing but quantize points reads the result. Without a
    code for 0, which a model pads by without saying so, it is refused.
    """
    dtype = self.facts[x.name].type.dtype
    exact = exact_bound(op.value) / x.scale + x.zero_point
    code = round_fraction(exact, "half_up")
    if code == exact and dtype.contains(np.array([code])):
        return code
    users = self.graph.users[node.name]
    waits = users and all(isinstance(user.op, Quantize) for user in users)
    if waits and node.name not in self.graph.outputs:
        return None
    if op.value == 0:
        raise refuse(node, f"puts 0 around codes of {dtype}, none of which stands for 0")
    return min(max(code, dtype.lo), dtype.hi)


def lower_concat(self: Lowering, node: Node) -> None:
    """Several tensors: codes again where all are codes that mean the same."""
    if not isinstance(node.op, Concat):
        return
    parts = tuple(_part(self, node, position) for position in range(len(node.inputs)))
    codes = tuple(part for part in parts if isinstance(part, Codes))
    kinds = {(p.scale, p.zero_point, self.facts[p.name].type.dtype) for p in codes}
    if len(codes) < len(parts) or len(kinds) > 1:
        self.meanings[node.name] = Joined(parts, node.op.axis)
        return
    first, names = codes[0], (part.name for part in codes)
    encoding = Encoding(float(first.scale), first.zero_point)
    made = self.emit(node.name, node.op, *names, node=node, encoding=encoding)
    self.meanings[node.name] = Codes(made, first.scale, first.zero_point)


def _part(self: Lowering, node: Node, position: int) -> Meaning:
    """An operand that is codes, or that can become codes by itself."""
    meaning = self.meanings.get(node.inputs[position])
    return (
        meaning
        if isinstance(meaning, Image | Sum | Function | Moved)
        else self.codes(node, position)
    )
