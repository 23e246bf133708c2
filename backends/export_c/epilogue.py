"""requantize, threshold and lookup: of one element, an expression of type int64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.ops_quant import Lookup, Requantize, Threshold
from ...ir.tensor import TensorType
from .code import Code, Scope
from .literals import integer


def _by_channel(type_: TensorType, channel: str) -> str:
    return "0" if type_.elements == 1 else channel


def requantize(
    code: Code,
    scope: Scope,
    op: Requantize,
    parameters: tuple[int, ...],
    value: str,
    channel: str,
) -> str:
    """``clip((x m + a) >> s, lo, hi)``."""
    multiplier, addend, shift = (
        scope.read(index, _by_channel(scope.slot(index).type, channel)) for index in parameters
    )
    scaled = f"{code.use('scaled')}({value}, (uint64_t){multiplier}, (uint64_t){addend}, {shift})"
    return f"{code.use('clipped')}({scaled}, {integer(op.lo)}, {integer(op.hi)})"


def threshold(
    code: Code,
    scope: Scope,
    op: Threshold,
    parameters: tuple[int, ...],
    value: str,
    channel: str,
) -> str:
    """``base`` and as many as there are thresholds at most x."""
    type_ = scope.slot(parameters[0]).type
    rows, levels = type_.sample_shape
    first = f"{channel} * {levels}" if rows > 1 else "0"
    code.add(f"const int64_t reached = {value};", f"int32_t low = 0, high = {levels};")
    with code.block("while (low < high)"):
        code.add("const int32_t middle = (low + high) / 2;")
        reads = scope.read(parameters[0], f"{first} + middle")
        code.add(f"if ((int64_t){reads} <= reached) low = middle + 1; else high = middle;")
    return f"{integer(op.base)} + (int64_t)low"


def lookup(
    code: Code,
    scope: Scope,
    op: Lookup,
    parameters: tuple[int, ...],
    value: str,
    channel: str,
) -> str:
    """``table[x - base]``, of the channel's row if there are several."""
    shape = scope.slot(parameters[0]).type.sample_shape
    rows, entries = shape if len(shape) == 2 else (1, shape[0])
    first = f"{channel} * {entries} + " if rows > 1 else ""
    index = f"{code.use('clipped')}(({value}) - {integer(op.base)}, 0, {entries - 1})"
    return f"(int64_t){scope.read(parameters[0], f'{first}(int32_t){index}')}"


EPILOGUES: dict[type[Any], Callable[..., str]] = {
    Requantize: requantize,
    Threshold: threshold,
    Lookup: lookup,
}
