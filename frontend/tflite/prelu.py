"""PRELU: slopes per channel, constants (tflite/kernels/internal/reference/prelu.h)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_pointwise import Add
from ...ir.ops_quant import Lookup
from ..emit.layout import reshape
from .arithmetic import Multiplier, half_even
from .call import Call, Result, Translator
from .codes import shifted, threshold, with_channels
from .pair import by_channel, per_channel, sample_of, scaled_channels
from .reference import all_codes


def _prelu(call: Call) -> Result:
    """One table, or per channel a threshold; of 16-bit codes the sum of both sides of zero."""
    slopes = _slopes(call)
    x, alpha, y = call.tensor(0), call.tensor(1), call.y
    rising = Multiplier.of(float(x.scale / y.scale))
    falling = Multiplier.of(float(x.scale * alpha.scale / y.scale))
    if call.is_wide and len(slopes) > 1:
        return _wide(call, rising, falling, slopes)
    centered = all_codes(x)[None, :] - x.zero_point
    made = np.where(centered >= 0, rising.times(centered), falling.times(centered * slopes))
    tables = np.clip(made + y.zero_point, y.dtype.lo, y.dtype.hi)
    return by_channel(call, 0, x, tables)


def exact_prelu(call: Call) -> Result:
    """Exact products, halves to even: a table for each slope."""
    slopes = _slopes(call)
    x, alpha, y = call.tensor(0), call.tensor(1), call.y
    rising = Fraction(float(x.scale)) / Fraction(float(y.scale))
    falling = rising * Fraction(float(alpha.scale))
    centered = all_codes(x)[None, :] - x.zero_point
    above, below = (
        half_even(codes.astype(object) * ratio.numerator, ratio.denominator)
        for codes, ratio in ((np.maximum(centered, 0), rising), (centered * slopes, falling))
    )
    codes = np.where(centered >= 0, above, below) + y.zero_point
    return by_channel(call, 0, x, np.clip(codes, y.dtype.lo, y.dtype.hi).astype(np.int64))


def _slopes(call: Call) -> Array:
    """Integer slopes ``(1 or c, 1)``; raises ImportModelError for types that it does not take."""
    x, alpha, y = call.tensor(0), call.tensor(1), call.y
    call.codes(0)
    fits = x.type_name == y.type_name and x.type_name in ("int8", "int16")
    if not fits or alpha.type_name != "int8" or (call.is_wide and (x.zero_point or y.zero_point)):
        raise call.site.fail(
            f"It maps {x.type_name} with zero point {x.zero_point} to {y.type_name} with slopes of "
            f"{alpha.type_name}.",
            "Supported are int8, or int16 without zero points, with slopes of int8.",
        )
    return per_channel(call, 1).reshape(-1, 1) - alpha.zero_point


def _wide(call: Call, rising: Multiplier, falling: Multiplier, slopes: Array) -> Result:
    """The code of max(x, 0), from a table, plus that of slope * min(x, 0): one of them is 0."""
    site, x, dtype = call.site, call.tensor(0), call.y.dtype
    name, order = with_channels(call, 0)
    table = np.clip(rising.times(np.maximum(all_codes(x), 0)), dtype.lo, dtype.hi)
    entries = site.integers(f"{site.name}.above.table", table)
    above = site.step("above").emit(Lookup(dtype, dtype.lo), name, entries)
    below = shifted(site.step("below"), name, dtype, (dtype.lo, 0))
    acc, reach = scaled_channels(site.step("acc"), below, slopes)
    bounds = dtype.lo, dtype.hi
    fallen = threshold(call, site.step("fallen"), acc, reach.hull, falling.times, bounds)
    sides = above, reshape(site.step("shaped"), fallen, sample_of(call))
    both = site.step("both").emit(Add(), *sides)
    return Result(shifted(site, both, dtype, bounds, encoding=call.encoding), order)


TRANSLATORS: dict[str, Translator] = {"PRELU": _prelu}
