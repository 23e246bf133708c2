"""Sums of 16-bit codes with weights of 20 bits: 36 bits, in two sums of 32."""

from __future__ import annotations

from ...ir.interval import Interval
from ...ir.numeric import INT32, Array, int_type
from ...ir.ops_linear import Conv
from ...ir.ops_pointwise import Add
from .call import Call
from .codes import accumulate, shifted

BITS = 12
"""Of each number that are summed apart."""
_LOW = int_type(BITS, signed=False)
_WHOLE = INT32.lo, INT32.hi


def wide_codes(call: Call, x: str, weight: Array, lies: Interval, bits: int) -> str:
    """``T / 2**bits`` for sums T of x, halves away from 0; bits > 12, no weight is negative.

    With x = 2^12 h + l and sums A of h and B of l, T = 2^12 A + B and T >> 12 = A + (B >> 12).
    Where T >= 0 the code is (T + 2^(bits - 1)) >> bits, and (T - 1 + 2^(bits - 1)) >> bits else.
    The first, cut to at least 0, and the second, cut to at most 0, are never both other than 0.
    """
    site, dtype = call.site.step("columns"), call.y.dtype
    high = shifted(site.step("high"), x, INT32, _WHOLE, shift=BITS)
    rest = site.step("rest").emit(Add((1, -1 << BITS)), x, high)
    low = shifted(site.step("low"), rest, _LOW, (0, _LOW.hi))
    above = Interval.of(int(lies.bounds[0]) >> BITS, int(lies.bounds[1]) >> BITS)
    sums, _ = accumulate(site.step("high_sum"), Conv(), high, weight, within=above)
    parts, _ = accumulate(site.step("low_sum"), Conv(), low, weight)
    codes = []
    for name, less, bounds in (("positive", 0, (0, dtype.hi)), ("negative", -1, (dtype.lo, 0))):
        carry = shifted(site.step(f"{name}_carry"), parts, INT32, _WHOLE, addend=less, shift=BITS)
        total = site.step(f"{name}_sum").emit(Add(), sums, carry)
        half, shift = 1 << (bits - BITS - 1), bits - BITS
        codes.append(shifted(site.step(name), total, dtype, bounds, addend=half, shift=shift))
    both = site.step("both").emit(Add(), *codes)
    return shifted(site, both, dtype, (dtype.lo, dtype.hi), encoding=call.encoding)
