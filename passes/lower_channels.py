"""Lowering what differs from channel to channel: quantize points, and moves of accumulators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..ir.graph import Node
from ..ir.numeric import Array, Encoding, NumericType
from ..ir.ops_layout import Reshape, Slice, Transpose
from ..ir.ops_quant import Dequantize, Quantize
from .lowering import Lowering, fractions, refuse
from .meaning import UNBOUNDED, Codes, Image, Meaning, Moved
from .rescale import Rescale


@dataclass(frozen=True, slots=True)
class ChannelTarget:
    """The codes that a quantize with a scale or a zero point per channel asks for."""

    op: Quantize
    scale: tuple[Fraction, ...]
    zero_point: tuple[int, ...]

    @property
    def dtype(self) -> NumericType:
        """The type of the codes."""
        return self.op.dtype

    @property
    def encoding(self) -> Encoding:
        """What the codes mean."""
        return Encoding(tuple(map(float, self.scale)), self.zero_point)

    def definition(self, image: Image) -> Rescale:
        """The codes of an image without bounds as a function of its accumulator."""
        count = len(self.scale)
        scales, offsets = (each * (count // len(each)) for each in (image.scale, image.offset))
        scale = tuple(a / s for a, s in zip(scales, self.scale, strict=True))
        offset = tuple(
            b / s + z for b, s, z in zip(offsets, self.scale, self.zero_point, strict=True)
        )
        return Rescale(scale, offset, self.op.rounding, self.op.lo, self.op.hi)


def channel_target(self: Lowering, node: Node, op: Quantize) -> ChannelTarget:
    """The target of a quantize along axis 1; refused where a zero point is added after rounding."""
    scale, zero_point = (self.array(name) for name in node.inputs[1:])
    if op.axis != 1:
        raise refuse(node, f"has one scale per element of axis {op.axis}, not per channel")
    if not op.zero_first and zero_point.any() and op.rounding not in ("half_up", "floor", "ceil"):
        raise refuse(node, f"adds a zero point per channel after rounding by {op.rounding}")
    channels = node.type.sample_shape[0]
    zeros: Array = np.broadcast_to(zero_point.reshape(-1), (channels,))
    return ChannelTarget(op, fractions(scale, channels), tuple(map(int, zeros.tolist())))


def unbounded_image(node: Node, meaning: Meaning | None) -> Image:
    """A meaning as an image without bounds: what one scale per channel is supported for."""
    if isinstance(meaning, Codes):
        return Image(meaning.name, (meaning.scale,), (-meaning.scale * meaning.zero_point,))
    if not isinstance(meaning, Image) or meaning.bounds != UNBOUNDED:
        raise refuse(node, "quantizes channel by channel what is not linear in codes")
    return meaning


def dequantized(self: Lowering, node: Node) -> Image:
    """Codes whose channels have scales of their own, as an accumulator to be rescaled."""
    source, scale, zero_point = node.inputs
    if not isinstance(node.op, Dequantize) or node.op.axis != 1:
        raise refuse(node, "has one scale per element of another axis than the channels")
    channels = node.type.sample_shape[0]
    zeros = np.broadcast_to(self.array(zero_point).reshape(-1), (channels,)).tolist()
    steps = fractions(self.array(scale), channels)
    if source not in self.integers and source not in self.graph.producers:
        encoding = Encoding(tuple(map(float, steps)), tuple(zeros))
        self.integers[source] = self.input(replace(self.graph.values[source], encoding=encoding))
    offsets = tuple(-step * zero for step, zero in zip(steps, zeros, strict=True))
    return Image(self.integer(source), steps, offsets)


def settled(self: Lowering, meaning: Meaning | None) -> Meaning | None:
    """A meaning whose moves are done: those of an image on its accumulator, where that can be."""
    if not isinstance(meaning, Moved) or not isinstance(meaning.before, Image):
        return meaning
    image = meaning.before
    for move in meaning.moves:
        moved = None
        if isinstance(move.op, Reshape | Transpose | Slice):
            moved = moved_image(self, move, image)
        if moved is None:
            return meaning
        image = moved
    return image


def moved_image(self: Lowering, node: Node, image: Image) -> Image | None:
    """An image whose accumulators are moved; each channel's parameters move along.

    None where the elements of one channel come from channels with different parameters.
    """
    pairs = list(zip(image.scale, image.offset, strict=True))
    kinds = list(dict.fromkeys(pairs))
    ids = [kinds.index(pair) for pair in pairs]
    order = [0] if len(kinds) == 1 else _order(self, node, ids)
    if order is None:
        return None
    made = self.emit(node.name, node.op, image.name, node=node)
    scale, offset = (tuple(kinds[kind][i] for kind in order) for i in range(2))
    return replace(image, name=made, scale=scale, offset=offset)


def _order(self: Lowering, node: Node, ids: list[int]) -> list[int] | None:
    """The id that each channel of a moved tensor has; None if a channel has several."""
    sizes = self.graph.type_of(node.inputs[0]).sample_shape
    labels = np.array(ids).reshape(1, -1, *(1,) * (len(sizes) - 1))
    moved = np.moveaxis(node.op.reference(np.broadcast_to(labels, (1, *sizes))), 1, 0)
    rows = moved.reshape(moved.shape[0], -1)
    return None if (rows != rows[:, :1]).any() else rows[:, 0].tolist()
