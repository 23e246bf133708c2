"""Constants that are codes on their way through operators that only move elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...ir.numeric import Array
from ..emit.site import Coded, Constant
from .call import Call

MOVES = frozenset(
    ("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather")
)


def moved_codes(call: Call, fold: Callable[[Call], Array]) -> Coded | None:
    """The codes of the first operand, moved as ``fold`` moves elements; None where it has none.

    None, too, when channels with scales of their own no longer lie along one axis.
    """
    first = call.operands[0] if call.operands else None
    if not isinstance(first, Constant) or first.coded is None or call.operator not in MOVES:
        return None
    coded = first.coded

    def move(array: Array) -> Array:
        return fold(replace(call, operands=(Constant(first.name, array), *call.operands[1:])))

    count = max(coded.scale.size, coded.zero_point.size)
    if count == 1:
        return replace(coded, codes=move(coded.codes), axis=0)
    along = [1] * coded.codes.ndim
    along[coded.axis] = count
    ids = move(np.broadcast_to(np.arange(count).reshape(along), coded.codes.shape))
    for axis in range(ids.ndim):
        spread = np.moveaxis(ids, axis, 0).reshape(ids.shape[axis], -1)
        if (spread == spread[:, :1]).all():
            order = spread[:, 0]
            scale, zero = (
                each.reshape(-1)[order] if each.size > 1 else each
                for each in (coded.scale, coded.zero_point)
            )
            return replace(coded, codes=move(coded.codes), scale=scale, zero_point=zero, axis=axis)
    return None
