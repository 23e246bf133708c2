"""Lowering a quantize: a meaning becomes codes by the cheapest op that equals the definition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from ..errors import NumericError, PassError
from ..ir.graph import Node
from ..ir.numeric import INT32, Array, Encoding, NumericType
from ..ir.ops_layout import Concat, Pad
from ..ir.ops_pointwise import Add
from ..ir.ops_quant import Quantize
from .add import find_sum, pairs, sum_table
from .certify import find_parameters, nearest_parameters, prove, thresholds
from .lower_channels import ChannelTarget, channel_target, settled, unbounded_image
from .lower_emit import (
    MAX_TABLE_BITS,
    emit_code,
    emit_lookup,
    emit_pair_table,
    emit_requantize,
    emit_threshold,
    rising,
)
from .lower_monotone import curve_steps
from .lowering import Lowering, refuse
from .meaning import Codes, Curve, Function, Image, Joined, Meaning, Moved, Sum
from .rescale import Parameters, Rescale, round_fraction
from .steps import Steps

MAX_THRESHOLDS = 255
MAX_SHARED = (1 << 16) - 1
"""Steps of a channel, and steps that all channels share: those of codes of 8 and of 16 bits."""
BEYOND = 2.0**100
"""A real that no code reaches, instead of infinity."""


@dataclass(frozen=True, slots=True)
class Target:
    """The codes that a quantize asks for."""

    op: Quantize
    scale: Fraction
    zero_point: int

    @property
    def dtype(self) -> NumericType:
        """The type of the codes."""
        return self.op.dtype

    @property
    def encoding(self) -> Encoding:
        """What the codes mean."""
        return Encoding(float(self.scale), self.zero_point)

    @property
    def zeros(self) -> tuple[int, int]:
        """The zero point to add before rounding, and after."""
        return (self.zero_point, 0) if self.op.zero_first else (0, self.zero_point)

    def code(self, real: Fraction) -> int:
        """The code of one real."""
        before, after = self.zeros
        exact = round_fraction(real / self.scale + before, self.op.rounding) + after
        return min(max(exact, self.op.lo), self.op.hi)

    def encode(self, reals: Array) -> Array:
        """The codes of float64 reals."""
        scale, zero = (np.asarray(each) for each in (float(self.scale), self.zero_point))
        return self.op.reference(reals, scale, zero)

    def definition(self, image: Image) -> Rescale:
        """The codes of an image as a function of its accumulator; bounds become codes."""
        before, after = self.zeros
        lo, hi = (self.code(end) for end in image.bounds)
        scale = tuple(each / self.scale for each in image.scale)
        offset = tuple(each / self.scale + before for each in image.offset)
        return Rescale(scale, offset, self.op.rounding, lo, hi, after)


def lower_quantize(self: Lowering, node: Node) -> None:
    """Codes by the cheapest op that equals the definition."""
    if not isinstance(node.op, Quantize):
        raise refuse(node, "is not a quantise point")
    source, scale, zero_point = node.inputs
    if max(self.array(scale).size, self.array(zero_point).size) > 1:
        _quantize_channels(self, node, node.op)
        return
    step = Fraction(self.scalar(scale, node))
    target = Target(node.op, step, int(self.scalar(zero_point, node)))
    made = to_codes(self, node, self.meanings[source], target, source)
    self.encode(made, target.encoding)
    self.integers[node.name] = made


def _quantize_channels(self: Lowering, node: Node, op: Quantize) -> None:
    target = channel_target(self, node, op)
    image = unbounded_image(node, settled(self, self.meanings.get(node.inputs[0])))
    made = _requantize(self, node, image, target, node.inputs[0])
    self.encode(made, target.encoding)
    self.integers[node.name] = made


def to_codes(self: Lowering, node: Node, meaning: Meaning, target: Target, name: str) -> str:
    """The name of codes ``name`` that ``target`` asks for, of a real that means ``meaning``."""
    if isinstance(meaning, Codes):
        same = (meaning.scale, meaning.zero_point) == (target.scale, target.zero_point)
        found = self.facts[meaning.name]
        lo, hi = found.interval.bounds
        inside = target.op.lo <= lo and hi <= target.op.hi
        if same and inside and found.type.dtype == target.dtype:
            return meaning.name
        image = Image(meaning.name, (meaning.scale,), (-meaning.scale * meaning.zero_point,))
        return _requantize(self, node, image, target, name)
    if isinstance(meaning, Image):
        return _requantize(self, node, meaning, target, name)
    if isinstance(meaning, Sum):
        return _add(self, node, meaning, target, name)
    if isinstance(meaning, Function):
        return _lookup(self, node, meaning, target, name)
    if isinstance(meaning, Curve):
        return _climb(self, node, meaning, target, name)
    if isinstance(meaning, Joined):
        return _join(self, node, meaning, target, name)
    if isinstance(meaning, Moved):
        return _move(self, node, meaning, target, name)
    raise refuse(node, "quantizes an input after what only codes can go through")


def _requantize(
    self: Lowering, node: Node, image: Image, target: Target | ChannelTarget, name: str
) -> str:
    """By (M, r, s) if some reproduce the definition, else by thresholds, else the nearest."""
    if target.dtype.kind == "bipolar":
        return _sign(self, node, image, target, name)
    f = target.definition(image)
    reach = self.facts[image.name].interval
    reach = reach if f.channels > 1 else reach.hull
    parameters = find_parameters(f, reach)
    if parameters is None:
        levels = f.hi - f.lo
        if levels <= MAX_THRESHOLDS and min(f.scale) < 0:
            return _requantize(self, node, rising(self, node, image), target, name)
        steps = thresholds(f, reach)
        if steps is not None and steps[0].shape[1] <= MAX_THRESHOLDS:
            return emit_threshold(self, node, image.name, target.dtype, name, *steps)
        if f.channels == 1 and self.facts[image.name].type.dtype.bits <= MAX_TABLE_BITS:
            return _tabulate(self, node, image.name, f, target.dtype, name)
        if f.channels == 1 and steps is not None and steps[0].shape[1] <= MAX_SHARED:
            return emit_threshold(self, node, image.name, target.dtype, name, *steps)
        parameters = nearest_parameters(f, reach)
    certificate = prove(f, parameters, reach)
    return emit_requantize(self, node, image.name, target.dtype, name, parameters, certificate)


def _sign(
    self: Lowering, node: Node, image: Image, target: Target | ChannelTarget, name: str
) -> str:
    """Bipolar codes: a threshold that counts twice, where the image reaches zero."""
    if min(image.scale) < 0:
        image = rising(self, node, image)
    lo, hi = (-1 if end < 0 else 0 for end in image.bounds)
    f = Rescale(image.scale, image.offset, "floor", lo, hi)
    reach = self.facts[image.name].interval
    found = thresholds(f, reach if f.channels > 1 else reach.hull)
    if found is None:
        raise refuse(node, "takes the sign of a value that falls")
    if not found[0].size:
        return emit_code(self, node, image.name, target.dtype, name, 2 * found[1] + 1)
    steps, base = np.repeat(found[0], 2, axis=1), 2 * found[1] + 1
    return emit_threshold(self, node, image.name, target.dtype, name, steps, base)


def _add(self: Lowering, node: Node, total: Sum, target: Target, name: str) -> str:
    operands = total.x.name, total.y.name
    x_range, y_range = (self.facts[each].interval.bounds for each in operands)
    if target.dtype.kind == "bipolar":
        image = sum_image(self, node, total, f"{node.name}.acc")
        if image is not None:
            return _sign(self, node, image, target, name)
        ends = (-1 if total.bounds[0] < 0 else 0, -1 if total.bounds[1] < 0 else 0)
        floors = sum_table(total, Fraction(1), 0, "floor", ends, x_range, y_range)
        return emit_pair_table(self, node, 2 * floors + 1, operands, target.dtype, name)
    codes = target.code(total.bounds[0]), target.code(total.bounds[1])
    before, after = target.zeros
    definition = (total, target.scale, after, target.op.rounding, codes, x_range, y_range, before)
    found = find_sum(*definition)
    if found is None or not found.certificate.proved:
        image = sum_image(self, node, total, f"{node.name}.acc")
        if image is not None:
            return _requantize(self, node, image, target, name)
        if pairs(x_range, y_range) <= 1 << MAX_TABLE_BITS:
            table = sum_table(*definition)
            return emit_pair_table(self, node, table, operands, target.dtype, name)
    if found is None:
        raise PassError(
            "No integers reproduce this addition of wide codes exactly.",
            where=node.where,
            fix="Use activations of at most 8 bits, or scales that are powers of two.",
        )
    acc = self.emit(f"{node.name}.acc", Add(found.multipliers), *operands, node=node)
    one = np.ones(1, dtype=np.int64)
    parameters = Parameters(one, one * found.addend, one * found.shift, *codes)
    return emit_requantize(self, node, acc, target.dtype, name, parameters, found.certificate)


def sum_image(self: Lowering, node: Node, total: Sum, name: str) -> Image | None:
    """A sum as an image of one accumulator; None where its scales have no common unit in int32."""
    left, right = total.scales
    below = lcm(left.denominator, right.denominator)
    unit = Fraction(gcd(int(left * below), int(right * below)), below)
    multipliers = (int(left / unit), int(right / unit))
    codes = total.x.name, total.y.name
    ends = (max(map(abs, self.facts[each].interval.bounds)) for each in codes)
    if sum(abs(m) * end for m, end in zip(multipliers, ends, strict=True)) > INT32.hi:
        return None
    acc = self.emit(name, Add(multipliers), *codes, node=node)
    return Image(acc, (unit,), (total.offset,), total.bounds)


def _lookup(self: Lowering, node: Node, function: Function, target: Target, name: str) -> str:
    codes = function.codes
    dtype = self.facts[codes.name].type.dtype
    if dtype.bits > MAX_TABLE_BITS:
        raise refuse(node, f"would need a table of 2^{dtype.bits} entries")
    inputs = np.arange(dtype.lo, dtype.hi + 1, dtype=np.int64)
    reals = float(codes.scale) * (inputs - codes.zero_point).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        results = function.apply(reals)
        if np.isnan(results).any():
            raise NumericError(
                f"It is not a number for {reals[np.isnan(results)][0]:g}, a code of its input.",
                where=node.where,
                fix="Clip its input to where it is defined.",
            )
        outputs = target.encode(results)
    return emit_lookup(self, node, codes.name, outputs, target.dtype, name)


def _tabulate(
    self: Lowering, node: Node, source: str, f: Rescale, dtype: NumericType, name: str
) -> str:
    """The definition of every code of ``source``."""
    own = self.facts[source].type.dtype
    every = np.arange(own.lo, own.hi + 1, dtype=np.int64)
    return emit_lookup(self, node, source, f.codes(every.tolist(), 0), dtype, name)


def _climb(self: Lowering, node: Node, curve: Curve, target: Target, name: str) -> str:
    """Thresholds at the accumulators where a rising function reaches its codes."""
    lo, hi = target.op.lo, target.op.hi
    if hi - lo > MAX_THRESHOLDS or target.dtype.kind == "bipolar":
        raise refuse(node, f"would need {hi - lo} thresholds on an accumulator")
    interval = self.facts[curve.image.name].interval
    steps = curve_steps(curve, target.encode, range(lo + 1, hi + 1), interval.bounds)
    found = thresholds(Steps(steps, lo), interval if len(steps) > 1 else interval.hull)
    if found is None:
        raise refuse(node, "does not rise")
    return emit_threshold(self, node, curve.image.name, target.dtype, name, *found)


def _join(self: Lowering, node: Node, joined: Joined, target: Target, name: str) -> str:
    parts = []
    for index, part in enumerate(joined.parts):
        made = to_codes(self, node, part, target, f"{name}.part{index}")
        parts.append(made)
    return self.emit(name, Concat(joined.axis), *parts, node=node)


def _move(self: Lowering, node: Node, moved: Moved, target: Target, name: str) -> str:
    """Codes first, then the moves: a greater real has no smaller code.

    Only the last bears the name of a real, that which ``node`` rounds: others are not rounded.
    """
    made = to_codes(self, node, moved.before, target, f"{moved.moves[0].inputs[0]}.codes")
    for index, move in enumerate(moved.moves, 1):
        op = move.op
        if isinstance(op, Pad):
            op = replace(op, value=int(target.encode(np.asarray(op.value, dtype=np.float64))))
        step = name if index == len(moved.moves) else f"{move.name}.codes"
        made = self.emit(step, op, made, node=move)
    return made
