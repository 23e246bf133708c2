"""Emitting a dialect's functions: thresholds for accumulators, tables for codes."""

from __future__ import annotations

import numpy as np

from ...ir.interval import Fact, Interval
from ...ir.numeric import Array, Encoding, NumericType
from ...ir.op import Op
from ...ir.ops_quant import Lookup, Requantize, Threshold
from ..emit.site import Site
from ..steps import steps_of
from .arithmetic import INT32_REACH, Multiplier
from .call import Call, Order, Result
from .dialect import Codes
from .model import Tensor

MAX_STEPS = 1 << 26
"""Steps times channels of one operator."""
LEAST_SHIFT = 8
"""Of a rule for int64 accumulators: TFLite multiplies them by less than 2**7."""


def accumulate(
    site: Site, op: Op, x: str, *constants: Array, within: Interval | None = None
) -> tuple[str, Interval]:
    """``op`` on codes and constant integers, weight and bias: the accumulator and where it lies.

    ``within`` is where x lies, if that is known better than by its type.
    """
    facts = [fact_of(site, x) if within is None else Fact(site.type_of(x), within)]
    operands = [x]
    for name, array in zip(("weight", "bias"), constants, strict=False):
        operands.append(site.integers(f"{site.name}.{name}", array))
        facts.append(Fact(site.type_of(operands[-1]), Interval.of(0, 0), array))
    reach = op.interval(*facts)
    lo, hi = reach.bounds
    if max(-lo, hi) > INT32_REACH:
        raise site.fail(
            f"Its sums reach {lo}..{hi}, beyond 32 bits.", "Split the layer, or narrow its weights."
        )
    return site.emit(op, *operands), reach


def fact_of(site: Site, x: str) -> Fact:
    """All that is known of a value: every code of its type may occur."""
    type_ = site.type_of(x)
    return Fact(type_, Interval.of_type(type_.dtype))


def threshold(
    call: Call,
    site: Site,
    acc: str,
    reach: Interval,
    f: Codes,
    bounds: tuple[int, int],
    offset: Array | int = 0,
) -> str:
    """The codes ``clip(f(acc + offset), *bounds)`` of the call's output, offset per channel.

    f rises; its steps are found on f itself.
    """
    channels = max(reach.lo.size, np.size(offset))
    lo, hi = (np.broadcast_to(end, (channels,)) + offset for end in (reach.lo, reach.hi))
    first, last = bounds
    if channels * (last - first) > MAX_STEPS:
        raise site.fail(f"It has {channels} channels of {last - first} steps.", "Split the layer.")
    try:
        f(np.stack((lo, hi), axis=1))
        steps = steps_of(f, channels, lo, hi, first, last)
    except OverflowError as error:
        raise site.fail(f"{error}", "Its scales do not fit its sums: convert again.") from error
    table = site.integers(f"{site.name}.steps", steps - np.reshape(offset, (-1, 1)))
    return site.emit(Threshold(call.y.dtype, first), acc, table, encoding=call.encoding)


def requantize(
    call: Call,
    site: Site,
    acc: str,
    multipliers: tuple[Multiplier, ...],
    bounds: tuple[int, int],
    offset: Array,
) -> str:
    """TFLite's rule for int64 accumulators, which one requantize is: (acc + offset) M + r >> s."""
    factors, addends, shifts = (
        np.array(each, np.int64) for each in zip(*(m.narrow for m in multipliers), strict=True)
    )
    moved = [
        int(o) * int(m) + int(r)
        for o, m, r in zip(
            *np.broadcast_arrays(offset.astype(object), factors, addends), strict=True
        )
    ]
    if max(map(abs, moved)) >= 1 << 62 or shifts.min() < LEAST_SHIFT or shifts.max() > 62:
        raise site.fail(
            "Its bias or its scales are out of the range of its multipliers.", "Convert it again."
        )
    operands = (
        site.integers(f"{site.name}.{name}", np.asarray(array, np.int64))
        for name, array in (("multiplier", factors), ("addend", moved), ("shift", shifts))
    )
    return site.emit(Requantize(call.y.dtype, *bounds), acc, *operands, encoding=call.encoding)


def shifted(
    site: Site,
    x: str,
    dtype: NumericType,
    bounds: tuple[int, int],
    *,
    addend: Array | int = 0,
    shift: int = 0,
    factor: int = 1,
    encoding: Encoding | None = None,
) -> str:
    """``clip((factor * x + addend) >> shift, *bounds)``; the addend may be one per channel."""
    operands = (
        site.integers(f"{site.name}.{name}", np.atleast_1d(np.asarray(array, np.int64)))
        for name, array in (("multiplier", factor), ("addend", addend), ("shift", shift))
    )
    return site.emit(Requantize(dtype, *bounds), x, *operands, encoding=encoding)


def lookup(call: Call, site: Site, x: Result, source: Tensor, table: Array) -> Result:
    """``table[code]`` for every code of ``source``, or ``table[c, code]`` per channel."""
    entries = site.integers(f"{site.name}.table", table)
    made = site.emit(Lookup(call.y.dtype, source.dtype.lo), x.name, entries, encoding=call.encoding)
    return Result(made, x.order)


def with_channels(call: Call, place: int) -> tuple[str, Order]:
    """The operand with its last axis as axis 1: only images and vectors have it there."""
    rank = len(call.tensor(place).shape)
    if rank not in (2, 4):
        raise call.site.fail(
            f"It combines {rank} axes with one constant per channel.",
            "Only images and vectors are supported there.",
        )
    return call.codes(place), "planes"
