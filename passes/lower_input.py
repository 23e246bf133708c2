"""Lowering the way from a real input of the network to its codes, which the caller takes.

What is linear on that way ends in the encoding of the input; what moves elements moves codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import PassError
from ..ir.certificate import Certificate
from ..ir.graph import Node, Value
from ..ir.numeric import Encoding, numbers
from ..ir.ops_layout import Reshape, Slice, Transpose
from ..ir.ops_pointwise import Affine, Clip, Relu
from ..ir.ops_quant import Quantize
from .lower_codes import Target
from .lower_emit import emit_requantize
from .lower_real import exact_bound
from .lowering import Lowering, refuse
from .meaning import UNBOUNDED, Move, Raw
from .rescale import Parameters

_UNSHIFTED = ("half_up", "floor", "ceil")
"""Roundings that do not depend on where zero is: a zero point added first is one added last."""


def raw_of(self: Lowering, node: Node) -> Raw | None:
    """The real input behind a node's operand, if nothing but linear and moving ops is between."""
    name = node.inputs[0]
    meaning = self.meanings.get(name)
    if meaning is None and any(value.name == name for value in self.graph.inputs):
        return Raw(name, (Fraction(1),), (Fraction(0),))
    return meaning if isinstance(meaning, Raw) else None


def input_affine(self: Lowering, node: Node, raw: Raw) -> None:
    """``factor x + shift`` of what is linear already."""
    if raw.bounds != UNBOUNDED:
        raise refuse(node, "scales an input that is clipped before")
    channels = node.type.sample_shape[0]
    factor, shift = (self.exact(name, channels) for name in node.inputs[1:])
    self.meanings[node.name] = raw.affine(factor, shift)


def input_clip(self: Lowering, node: Node, raw: Raw) -> None:
    """A relu or clip is done later, on codes: rounding is monotone."""
    ends = (node.op.lo, node.op.hi) if isinstance(node.op, Clip) else (0.0, np.inf)
    lo, hi = map(exact_bound, ends)
    below, above = (min(max(end, lo), hi) for end in raw.bounds)
    self.meanings[node.name] = replace(raw, bounds=(below, above))


def input_move(self: Lowering, node: Node, raw: Raw) -> None:
    """Moves are done later, on codes; what lies before them must be the same for all channels."""
    if len(raw.scale) > 1:
        raise refuse(node, "moves an input that is scaled channel by channel before")
    move = Move(node, raw.scale[0], raw.offset[0], raw.bounds == UNBOUNDED and raw.scale[0] > 0)
    self.meanings[node.name] = replace(raw, moves=(*raw.moves, move))


def input_quantize(self: Lowering, node: Node, raw: Raw) -> None:
    """The quantize point moves out of the network: the input takes codes, with an encoding."""
    op = node.op
    if not isinstance(op, Quantize):
        raise refuse(node, "is not a quantize point")
    encoding = _encoding(self, node, op, raw)
    codes = _input(self, node, encoding, raw)
    for move in raw.moves[:-1]:
        codes = _moved(self, move, codes, encoding)
    if raw.moves:
        last, plain = raw.moves[-1].node, raw.bounds == UNBOUNDED
        codes = self.emit(
            node.inputs[0] if plain else f"{last.name}.codes", last.op, codes, node=last
        )
    ends = _ends(self, node, op, raw)
    if ends != (op.dtype.lo, op.dtype.hi):
        codes = _clipped(self, node, op, codes, ends)
    self.integers[node.name] = codes


def _moved(self: Lowering, move: Move, codes: str, input_: Encoding) -> str:
    """Codes of the input, moved: under the name of the real that they stand for, if they do."""
    name, node = move.node.name, move.node
    if not move.plain:
        return self.emit(f"{name}.codes", node.op, codes, node=node)
    (scale,), (offset,) = (map(Fraction, numbers(each)) for each in (input_.scale, input_.offset))
    encoding = Encoding(
        float(scale * move.scale), input_.zero_point, float(offset * move.scale + move.offset)
    )
    return self.emit(name, node.op, codes, node=node, encoding=encoding)


def _encoding(self: Lowering, node: Node, op: Quantize, raw: Raw) -> Encoding:
    """x such that ``(scale x + offset) / s + z`` is rounded to the code that x is given."""
    step, zero = (np.atleast_1d(self.array(name)) for name in node.inputs[1:])
    count = max(len(raw.scale), len(step), len(zero))
    if count > 1 and (op.axis != 1 or raw.moves):
        raise refuse(node, "has one scale per channel, not along axis 1 of an input")
    factor, shift = (each * (count // len(each)) for each in (raw.scale, raw.offset))
    if min(factor) <= 0:
        raise refuse(node, "quantizes an input times a number that is not positive")
    steps = [Fraction(each) for each in np.broadcast_to(step, count).astype(float).tolist()]
    zeros = [int(each) for each in np.broadcast_to(zero, count).tolist()]
    first = op.zero_first and op.rounding not in _UNSHIFTED and any(zeros)
    moved = [s * z if first else Fraction(0) for s, z in zip(steps, zeros, strict=True)]
    scale = tuple(float(s / f) for s, f in zip(steps, factor, strict=True))
    offset = tuple(float(-(b + m) / f) for b, m, f in zip(shift, moved, factor, strict=True))
    return Encoding(
        _one(scale), 0 if first else _one(tuple(zeros)), _one(offset), rounding=op.rounding
    )


def _one(parameter: tuple[Any, ...]) -> Any:
    return parameter[0] if len(set(parameter)) == 1 else parameter


def _input(self: Lowering, node: Node, encoding: Encoding, raw: Raw) -> str:
    value = self.graph.values[raw.name]
    op = node.op
    assert isinstance(op, Quantize)
    codes = Value(value.name, value.type.with_dtype(op.dtype), value.origin, encoding)
    held = next((each for each in self.new.inputs if each.name == value.name), None)
    if held is None:
        return self.input(codes)
    if held != codes:
        raise PassError(
            f"It quantises the input '{value.name}' otherwise than another node does.",
            where=node.where,
            fix="Give each input of the network one quantise point.",
        )
    return held.name


def _ends(self: Lowering, node: Node, op: Quantize, raw: Raw) -> tuple[int, int]:
    """Least and greatest code of the point, given what clips its operand."""
    if raw.bounds == UNBOUNDED:
        return op.lo, op.hi
    if op.dtype.kind == "bipolar":
        return 1 if raw.bounds[0] >= 0 else -1, 1 if raw.bounds[1] >= 0 else -1
    step, zero = (self.scalar(name, node) for name in node.inputs[1:])
    target = Target(op, Fraction(step), int(zero))
    return target.code(raw.bounds[0]), target.code(raw.bounds[1])


def _clipped(self: Lowering, node: Node, op: Quantize, codes: str, ends: tuple[int, int]) -> str:
    """The type has codes that the point never gives, but the caller may."""
    one, zero = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    parameters = Parameters(one, zero, zero, *ends)
    proof = Certificate("exact", "clip", op.dtype.lo, op.dtype.hi)
    return emit_requantize(self, node, codes, op.dtype, node.name, parameters, proof)


INPUT_RULES: dict[type[Any], Callable[[Lowering, Node, Raw], None]] = {
    Affine: input_affine,
    Relu: input_clip,
    Clip: input_clip,
    Reshape: input_move,
    Transpose: input_move,
    Slice: input_move,
    Quantize: input_quantize,
}
"""By operator, what it makes of a real input."""
