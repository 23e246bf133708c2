"""Lowering thresholds on reals: to thresholds on the accumulator or codes that the real means."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np

from ..ir.graph import Node
from ..ir.numeric import Array
from ..ir.ops_quant import Threshold
from .lower_channels import settled
from .lower_codes import sum_image
from .lower_emit import rising
from .lower_integer import emit_steps
from .lowering import Lowering, refuse
from .meaning import Codes, Image, Meaning, Sum
from .steps import Steps


def lower_real_threshold(self: Lowering, node: Node) -> None:
    """``scale a + offset >= t`` where ``a >= ceil((t - offset) / scale)``: exact steps on a."""
    op = node.op
    if not isinstance(op, Threshold):
        return
    image = _rising_image(self, node, settled(self, self.meanings.get(node.inputs[0])))
    table = self.array(node.inputs[1])
    channels = max(len(image.scale), len(table))
    lo, hi = self.facts[image.name].interval.bounds
    scale, offset = (each * (channels // len(each)) for each in (image.scale, image.offset))
    rows: Array = np.broadcast_to(table.astype(np.float64), (channels, table.shape[1]))
    steps = [
        [_least(Fraction(t), s, b, image, (lo, hi + 1)) for t in row]
        for row, s, b in zip(rows.tolist(), scale, offset, strict=True)
    ]
    made = np.sort(np.array(steps, dtype=np.int64).reshape(rows.shape), axis=1)
    emit_steps(self, node, image.name, op, Steps(made, op.base))


def _rising_image(self: Lowering, node: Node, meaning: Meaning | None) -> Image:
    if isinstance(meaning, Codes):
        offset = -meaning.scale * meaning.zero_point
        meaning = Image(meaning.name, (meaning.scale,), (offset,))
    if isinstance(meaning, Sum):
        meaning = sum_image(self, node, meaning, f"{node.name}.acc")
    if not isinstance(meaning, Image):
        raise refuse(node, "compares a value that is not linear in codes")
    return rising(self, node, meaning) if min(meaning.scale) < 0 else meaning


def _least(
    threshold: Fraction, scale: Fraction, offset: Fraction, image: Image, ends: tuple[int, int]
) -> int:
    """The least accumulator whose real reaches the threshold, within ``ends``."""
    below, above = image.bounds
    always, never = ends
    if threshold <= below or (scale == 0 and offset >= threshold):
        return always
    if threshold > above or scale == 0:
        return never
    return min(max(ceil((threshold - offset) / scale), always), never)
