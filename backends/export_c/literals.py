"""Integers and arrays of them as C99 writes them."""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from .names import comment

_WIDTH = 96


def integer(value: int) -> str:
    """A literal of type int64, or uint64 where only that holds it."""
    if value == -(1 << 63):
        return "(-INT64_C(9223372036854775807) - 1)"
    if value >= 1 << 63:
        return f"UINT64_C({value})"
    return str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


def array(c_type: str, name: str, values: Array, note: str) -> str:
    """A constant array; C has none without elements, so an empty one gets a 0."""
    flat = np.ascontiguousarray(values).reshape(-1).tolist() or [0]
    lines, line = [], "   "
    for text in map(integer, flat):
        if len(line) + len(text) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {text},"
    body = "\n".join([*lines, line])
    return f"/* {comment(note)} */\nstatic const {c_type} {name}[{len(flat)}] = {{\n{body}\n}};\n"
