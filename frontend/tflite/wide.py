"""ADD and SUB of 16-bit codes: a function of each operand, their sum, and a rising function of it.

All pairs of codes are too many for a table. Sources: tflite/kernels/add.cc, sub.cc and
internal/reference/add.h, sub.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from ...ir.fixed_point import divide_by_power
from ...ir.interval import Fact, Interval
from ...ir.numeric import INT32, Array
from ...ir.ops_pointwise import Add
from ...ir.ops_quant import Lookup
from ..emit.site import Site
from .arithmetic import Multiplier
from .call import Call, Result
from .codes import lookup, shifted, threshold, with_channels
from .dialect import Codes
from .model import Tensor
from .reference import all_codes

LEFT_SHIFT = 15
"""More bits of an operand before it is rescaled; 20 for 8-bit codes."""


@dataclass(frozen=True, slots=True)
class Sum:
    """``last(x[code of x] + sign * y[code of y])``: a number for every code of each operand."""

    x: Array
    y: Array
    last: Codes


def sum_of(call: Call) -> Sum:
    """The sum of a call; scales that are all powers of two are shifted, if the file asks for it."""
    x, y, z = call.tensor(0), call.tensor(1), call.y
    powers = [_power(each) for each in (x, y, z)]
    if call.options["pot_scale_int16"] and None not in powers:
        return _shifted(call, *(each for each in powers if each is not None))
    twice = 2 * max(float(x.scale), float(y.scale))
    last = Multiplier.of(twice / ((1 << LEFT_SHIFT) * float(z.scale)))
    if call.kind == "ADD" and last.shift > 0:
        raise call.site.fail(
            "Its scales are so far apart that TFLite refuses to add them.", "Convert it again."
        )
    first, second = (
        Multiplier.of(float(each.scale) / twice).times(all_codes(each) << LEFT_SHIFT)
        for each in (x, y)
    )
    return Sum(first, second, last.times)


def _power(tensor: Tensor) -> int | None:
    """The exponent of a scale that is about a power of two (CheckedLog2), in float32."""
    log = np.log(tensor.scale) * (np.float32(1) / np.log(np.float32(2)))
    rounded = np.rint(log)
    return int(rounded) if abs(log - rounded) < np.float32(1e-3) else None


def _shifted(call: Call, x: int, y: int, z: int) -> Sum:
    """One operand shifted right, halves away from 0; the sum saturates."""
    shifts = z - x, z - y
    same = call.tensor(0).shape == call.tensor(1).shape
    if min(shifts) != 0 or max(shifts) > LEFT_SHIFT or not (same or call.kind == "SUB"):
        raise call.site.fail(
            f"Its scales are 2^{x}, 2^{y} and 2^{z}, its shapes {call.tensor(0).shape} and "
            f"{call.tensor(1).shape}, which TFLite cannot add by shifts.",
            "Convert it with pot_scale_int16 off.",
        )
    codes = all_codes(call.y)
    first, second = (divide_by_power(codes, shift) for shift in shifts)
    return Sum(first, second, lambda total: total)


def wide_sum(call: Call, sign: int) -> Result:
    """``x + sign * y`` of two tensors of one shape."""
    order = call.result(0).order
    parts = sum_of(call)
    terms = [
        _term(call.site.step(f"term{place}"), call.codes(place, order), call.tensor(place), table)
        for place, table in enumerate((parts.x, parts.y))
    ]
    unit = gcd(*(term.factor for term in terms))
    op = Add((terms[0].factor // unit, sign * terms[1].factor // unit))
    acc = call.site.step("acc").emit(op, *(term.name for term in terms))
    reach = op.interval(*(Fact(call.site.type_of(term.name), term.lies) for term in terms))
    return Result(_codes(call, acc, reach, parts.last, unit), order)


def wide_sum_with_constant(call: Call, sign: int, place: int, values: Array) -> Result:
    """Operand ``place`` and codes of the other, one or one per channel."""
    parts, x = sum_of(call), call.tensor(place)
    own, other = (parts.x, parts.y) if place == 0 else (parts.y, parts.x)
    added = other[values - call.tensor(1 - place).dtype.lo] * (sign if place == 0 else 1)
    if added.size == 1:
        total = own * (sign if place == 1 else 1) + added
        bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
        return lookup(call, call.site, call.result(place), x, np.clip(parts.last(total), *bounds))
    name, order = with_channels(call, place)
    term = _term(call.site.step("term"), name, x, own)
    factor = term.factor * (sign if place == 1 else 1)
    ends = np.sort(np.array(term.lies.bounds) * factor)
    site = call.site.step("acc")
    whole = INT32.lo, INT32.hi
    acc = shifted(site, term.name, INT32, whole, addend=added, factor=factor)
    reach = Interval.of(ends[0] + int(added.min()), ends[1] + int(added.max()))
    return Result(_codes(call, acc, reach, parts.last, 1), order)


def _codes(call: Call, acc: str, reach: Interval, last: Codes, unit: int) -> str:
    bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    return threshold(call, call.site, acc, reach, lambda total: last(total * unit), bounds)


@dataclass(frozen=True, slots=True)
class _Term:
    """``factor * name`` and where name lies."""

    name: str
    factor: int
    lies: Interval


def _term(site: Site, name: str, tensor: Tensor, table: Array) -> _Term:
    """``table`` of every code: a multiple of the code if it is one, else looked up."""
    codes = all_codes(tensor)
    factor = int(table[-1]) // int(codes[-1])
    if factor > 0 and np.array_equal(table, factor * codes):
        return _Term(name, factor, Interval.of_type(tensor.dtype))
    made = site.emit(
        Lookup(INT32, tensor.dtype.lo), name, site.integers(f"{site.name}.table", table)
    )
    return _Term(made, 1, Interval.of(int(table.min()), int(table.max())))
