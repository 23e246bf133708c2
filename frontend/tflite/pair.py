"""ADD, SUB and MUL of two tensors of codes, or of one and constants."""

from __future__ import annotations

import numpy as np

from ...ir.interval import Interval
from ...ir.numeric import Array
from ...ir.ops_linear import Conv
from ...ir.ops_product import Multiply
from ...ir.ops_quant import PairLookup
from ..emit.layout import reshape
from ..emit.site import Site
from .call import Call, Result, Translator
from .codes import accumulate, fact_of, lookup, threshold, with_channels
from .dialect import Codes
from .model import Tensor
from .reference import all_codes
from .wide import wide_sum, wide_sum_with_constant

_SIGNS = {"ADD": 1, "SUB": -1}


def _sum(call: Call) -> Result:
    check_codes(call, 0, 1)
    if call.is_constant(0) or call.is_constant(1):
        return _sum_with_constant(call)
    x, y = (call.tensor(index) for index in (0, 1))
    if x.shape != y.shape:
        raise call.site.fail(
            f"It adds {list(x.shape)} and {list(y.shape)}.",
            "Two computed tensors must have one shape.",
        )
    if call.is_wide:
        return wide_sum(call, _SIGNS[call.kind])
    order = call.result(0).order
    f = call.dialect.add(x, y, call.y, _SIGNS[call.kind])
    bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    table = np.clip(f(all_codes(x)[:, None], all_codes(y)[None, :]), *bounds)
    op = PairLookup(
        call.y.dtype,
        (x.dtype.lo, y.dtype.lo),
        float(x.scale / call.y.scale),
        float(_SIGNS[call.kind] * y.scale / call.y.scale),
    )
    entries = call.site.integers(f"{call.site.name}.table", table)
    operands = call.codes(0, order), call.codes(1, order), entries
    return Result(call.site.emit(op, *operands, encoding=call.encoding), order)


def check_codes(call: Call, *indices: int) -> None:
    """Raise ImportModelError unless these operands and the result are int8, or int16, with scales.

    TFLite takes no zero points of int16.
    """
    tensors = [call.tensor(index) for index in indices] + [call.y]
    names = [each.type_name for each in tensors]
    if (
        len(set(names)) > 1
        or names[0] not in ("int8", "int16")
        or not all(each.is_codes for each in tensors)
    ):
        raise call.site.fail(
            f"Its operands and its result are {', '.join(names)}.",
            "Only int8, or int16, with scales is supported there.",
        )
    if call.is_wide and any(each.zero_point for each in tensors):
        raise call.site.fail(
            f"Its zero points are {', '.join(str(each.zero_point) for each in tensors)}.",
            "Codes of 16 bits must have the zero point 0.",
        )


def _sum_with_constant(call: Call) -> Result:
    """A function of one tensor, per channel: thresholds, or a table."""
    place = 1 if call.is_constant(0) else 0
    x = call.tensor(place)
    values = per_channel(call, 1 - place)
    if call.is_wide:
        return wide_sum_with_constant(call, _SIGNS[call.kind], place, values)
    f = call.dialect.add(call.tensor(0), call.tensor(1), call.y, _SIGNS[call.kind])
    codes = all_codes(x)[None, :]
    column = values.reshape(-1, 1)
    made = f(codes, column) if place == 0 else f(column, codes)
    bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    return by_channel(call, place, x, np.clip(made, *bounds))


def by_channel(call: Call, place: int, x: Tensor, tables: Array) -> Result:
    """``tables[c, code]`` for operand ``place``: steps per channel if all rise, else tables."""
    if len(tables) == 1:
        return lookup(call, call.site, call.result(place), x, tables[0])
    name, order = with_channels(call, place)
    lo, hi = x.dtype.lo, x.dtype.hi
    if (np.diff(tables, axis=1) < 0).any():
        return lookup(call, call.site, Result(name, order), x, tables)
    rows = np.arange(len(tables))[:, None]
    bounds = int(tables.min()), int(tables.max())
    every = np.zeros(len(tables), np.int64)
    made = threshold(
        call,
        call.site,
        name,
        Interval.of(lo, hi),
        lambda code: tables[rows, code - lo],
        bounds,
        every,
    )
    return Result(made, order)


def per_channel(call: Call, index: int) -> Array:
    """A constant operand as one code, or one per element of the last axis."""
    tensor, data = call.tensor(index), call.constant(index).astype(np.int64)
    channels = call.y.shape[-1]
    if data.size == 1:
        return data.reshape(1)
    if data.shape[-1:] != (channels,) or data.size != channels:
        raise call.site.fail(
            f"The constant '{tensor.name}' of shape {data.shape} is not one number per channel.",
            f"It must have 1 or {channels} elements, along the last axis.",
        )
    return data.reshape(-1)


def _product(call: Call) -> Result:
    check_codes(call, 0, 1)
    f = call.dialect.multiply(call.tensor(0), call.tensor(1), call.y)
    bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    if call.is_constant(0) or call.is_constant(1):
        place = 1 if call.is_constant(0) else 0
        x, other = call.tensor(place), call.tensor(1 - place)
        factors = per_channel(call, 1 - place).reshape(-1, 1) - other.zero_point
        if len(factors) > 1:
            return _product_by_channel(call, place, factors, f, bounds)
        table = np.clip(f((all_codes(x) - x.zero_point) * factors[0]), *bounds)
        return lookup(call, call.site, call.result(place), x, table)
    square = None
    if call.operator.inputs[0] == call.operator.inputs[1]:
        square = call.dialect.table("SQUARE", call.tensor(0), call.y, 0.0)
    if square is not None:
        table = np.clip(square, *bounds)
        return lookup(call, call.site, call.result(), call.tensor(0), table)
    return _product_of_two(call, f, bounds)


def _product_by_channel(
    call: Call, place: int, factors: Array, f: Codes, bounds: tuple[int, int]
) -> Result:
    """A depthwise 1 x 1 convolution with ``factors``."""
    x = call.tensor(place)
    name, order = with_channels(call, place)
    acc, reach = scaled_channels(call.site.step("acc"), name, factors)
    offset = 0 if call.is_wide else -x.zero_point * factors.reshape(-1)
    site = call.site if len(call.tensor(place).shape) == 4 else call.site.step("codes")
    made = threshold(call, site, acc, reach.hull if call.is_wide else reach, f, bounds, offset)
    return Result(reshape(call.site, made, sample_of(call)), order)


def sample_of(call: Call) -> tuple[int, ...]:
    """The sample shape of the output in planes."""
    shape = call.y.shape[1:]
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape


def scaled_channels(site: Site, x: str, factors: Array) -> tuple[str, Interval]:
    """Each channel of an image or of a vector times its factor, as an image, and where it lies."""
    if len(site.type_of(x).shape) == 2:
        x = reshape(site.step("image"), x, (len(factors), 1, 1))
    return accumulate(site, Conv(groups=len(factors)), x, factors.reshape(-1, 1, 1, 1))


def _product_of_two(call: Call, f: Codes, bounds: tuple[int, int]) -> Result:
    """The greater operand first; axes of size 1 of the other are repeated."""
    x, y = (call.tensor(index) for index in (0, 1))
    first, second = (0, 1) if np.prod(x.shape) >= np.prod(y.shape) else (1, 0)
    points = (call.tensor(first).zero_point, call.tensor(second).zero_point)
    order = call.result(first).order
    names = call.codes(first, order), call.codes(second, order)
    acc = call.site.step("acc").emit(Multiply(points), *names)
    facts = [fact_of(call.site, name) for name in names]
    reach = Multiply(points).interval(*facts)
    return Result(threshold(call, call.site, acc, reach, f, bounds), order)


TRANSLATORS: dict[str, Translator] = {"ADD": _sum, "SUB": _sum, "MUL": _product}
