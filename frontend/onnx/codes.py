"""Constants that are codes on their way through operators that only move elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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

    def move(array: Array) -> Array:
        return fold(replace(call, operands=(Constant(first.name, array), *call.operands[1:])))

    return first.coded.moved(move)
