"""Operators that move codes: shapes, slices, borders, concatenation, and changes of scale."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ...ir.numeric import Encoding
from ...ir.ops_layout import Concat, Pad
from ...ir.ops_quant import Dequantize, Quantize
from ...ir.tensor import real
from ..emit.layout import cut, reshape, transpose
from ..emit.pick import pick
from ..emit.site import Site
from .call import Call, Order, Result, Translator, channel_axis, counted
from .unary import unary


def same_codes(call: Call, index: int = 0) -> None:
    """Raise ImportModelError unless the result has the type and scale of an operand."""
    x, y = call.tensor(index), call.y
    same = x.type_name == y.type_name and np.array_equal(x.scales, y.scales)
    if not same or not np.array_equal(x.zero_points, y.zero_points):
        raise call.site.fail(
            f"It moves '{x.name}' to another type or scale, '{y.name}'.",
            "Convert the model again: both must be equal.",
        )


def _reshape(call: Call) -> Result:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the shape is the one that the file states."""
    same_codes(call)
    x, y = call.tensor(0), call.y
    if not y.shape or y.shape[0] != x.shape[0] or prod(y.shape) != prod(x.shape):
        raise call.site.fail(
            f"It reshapes {list(x.shape)} to {list(y.shape)}.",
            "Axis 0 is the batch: nothing may merge or move it.",
        )
    return Result(reshape(call.site, call.value(0, "file"), y.shape[1:]), "file")


def _transpose(call: Call) -> Result:
    same_codes(call)
    return Result(transpose(call.site, call.value(0, "file"), call.ints(1)), "file")


def _axis(call: Call, axis: int, order: Order) -> int:
    """Axis ``axis`` of the file, counted from either end, in ``order``; never the batch."""
    rank = len(call.y.shape)
    place = counted(call.site, axis, rank)
    if place == 0:
        raise call.site.fail("It works along axis 0, the batch.", "Name another axis.")
    return channel_axis(place, rank) if order == "planes" else place


def _concatenation(call: Call) -> Result:
    """Parts of another scale are refused for int8, as TFLite does."""
    if call.options["fused_activation_function"]:
        raise call.site.fail("It has a fused activation.", "Convert the model again.")
    names = []
    order = call.result(0).order
    for index in range(len(call.operator.inputs)):
        same_codes(call, index)
        names.append(call.value(index, order))
    op = Concat(_axis(call, call.options["axis"], order))
    return Result(call.site.emit(op, *names, encoding=_encoding(call)), order)


def _encoding(call: Call) -> Encoding | None:
    """What the codes of the output mean; reals have none."""
    return call.y.encoding if call.y.is_codes else None


def _pad(call: Call) -> Result:
    same_codes(call)
    x = call.result()
    rank = len(call.y.shape)
    sizes = call.constant(1)
    if sizes.shape != (rank, 2) or sizes.min() < 0 or sizes[0].any():
        raise call.site.fail(
            f"Its pads are {sizes.tolist()}.", "They must be (axes, 2), 0 for the batch."
        )
    value = call.y.zero_point
    if call.has(2):
        value = int(call.constant(2).reshape(-1)[0])
    rows = [(0, 0)] * (rank - 1)
    for axis in range(1, rank):
        rows[_axis(call, axis, x.order) - 1] = (int(sizes[axis, 0]), int(sizes[axis, 1]))
    before, after = zip(*rows, strict=True)
    if not any(before + after):
        return x
    made = call.site.emit(Pad(before, after, value), x.name, encoding=_encoding(call))
    return Result(made, x.order)


def _slice(call: Call) -> Result:
    begin, sizes = call.ints(1), call.ints(2)
    shape = call.tensor(0).shape
    parts = {
        axis: (start, shape[axis] if size == -1 else start + size, 1)
        for axis, (start, size) in enumerate(zip(begin, sizes, strict=True))
    }
    return _cut(call, call.site, parts)


def _cut(call: Call, site: Site, parts: dict[int, tuple[int, int, int]]) -> Result:
    """Slices along axes of the file; the batch must stay whole."""
    x, shape = call.result(), call.tensor(0).shape
    if parts.pop(0, (0, shape[0], 1)) != (0, shape[0], 1):
        raise call.site.fail("It slices axis 0, the batch.", "Keep the batch whole.")
    rank = len(shape)
    moved = {
        channel_axis(axis, rank) if x.order == "planes" else axis: part
        for axis, part in parts.items()
    }
    return Result(cut(site, x.name, moved), x.order)


def _strided_slice(call: Call) -> Result:
    options = call.options
    if options["ellipsis_mask"] or options["new_axis_mask"]:
        raise call.site.fail("It inserts axes.", "Slice first, then reshape.")
    begin, end, steps = call.ints(1), call.ints(2), call.ints(3)
    shape = call.tensor(0).shape
    if not len(begin) == len(end) == len(steps) <= len(shape):
        raise call.site.fail("Its bounds do not fit its axes.", "Convert the model again.")
    parts = {}
    for axis, (start, stop, step) in enumerate(zip(begin, end, steps, strict=True)):
        size = shape[axis]
        first = None if options["begin_mask"] >> axis & 1 else start
        last = None if options["end_mask"] >> axis & 1 else stop
        if options["shrink_axis_mask"] >> axis & 1:
            first, last = start % size, start % size + 1
        if step < 1:
            raise call.site.fail(f"Its step is {step}.", "Only positive steps are supported.")
        lo, hi, _ = slice(first, last, step).indices(size)
        parts[axis] = (lo, hi, step)
    made = _cut(call, call.site.step("slice") if options["shrink_axis_mask"] else call.site, parts)
    if not options["shrink_axis_mask"]:
        return made
    name = made.name
    if made.order == "planes" and len(shape) == 4:
        name = transpose(call.site.step("rows"), name, (0, 2, 3, 1))
    return Result(reshape(call.site, name, call.y.shape[1:]), "file")


def _split(call: Call) -> tuple[Result, ...]:
    (axis,) = call.ints(0)
    moved = replace(call.operator, inputs=call.operator.inputs[1:])
    inner = replace(call, operator=moved)
    shape, count = inner.tensor(0).shape, len(call.sites)
    place = counted(call.site, axis, len(shape))
    if shape[place] % count:
        raise call.site.fail(
            f"It splits {shape[place]} elements into {count} parts.", "Split evenly."
        )
    size = shape[place] // count
    return tuple(
        _cut(inner, site, {place: (index * size, (index + 1) * size, 1)})
        for index, site in enumerate(call.sites)
    )


def _quantize(call: Call) -> Result:
    """Reals at the beginning become codes; codes change their scale by a table."""
    if call.tensor(0).type_name != "float32":
        return unary(call)
    x, y = call.result(), call.y
    operands = (
        call.site.draft.builder.constant(f"{call.site.name}.scale", real(np.asarray(y.scale))),
        call.site.integers(f"{call.site.name}.zero_point", np.asarray(y.zero_point)),
    )
    op = Quantize(y.dtype, rounding="half_away")
    return Result(call.site.emit(op, x.name, *operands, encoding=call.encoding), x.order)


def _dequantize(call: Call) -> Result:
    """Codes at the end become reals."""
    x, source = call.result(), call.tensor(0)
    operands = (
        call.site.draft.builder.constant(f"{call.site.name}.scale", real(np.asarray(source.scale))),
        call.site.integers(f"{call.site.name}.zero_point", np.asarray(source.zero_point)),
    )
    return Result(call.site.emit(Dequantize(), x.name, *operands), x.order)


def nearest_indices(size: int, new: int, *, corners: bool, half_pixels: bool) -> list[int]:
    """Which element each new one repeats (reference/resize_nearest_neighbor.h), in float32."""
    scale = np.float32(size) / np.float32(new)
    if corners and new > 1:
        scale = np.float32(size - 1) / np.float32(new - 1)
    offset = np.float32(0.5 if half_pixels else 0.0)
    places = (np.arange(new).astype(np.float32) + offset) * scale
    chosen = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    return np.clip(chosen, 0, size - 1).astype(int).tolist()


def _nearest(call: Call) -> Result:
    same_codes(call)
    x = call.value(0)
    sizes = call.tensor(0).shape[1:3]
    options = {
        "corners": call.options["align_corners"],
        "half_pixels": call.options["half_pixel_centers"],
    }
    for axis, (size, new) in enumerate(zip(sizes, call.ints(1), strict=True), 2):
        indices = nearest_indices(size, new, **options)
        if indices != list(range(size)):
            inner = call.site if axis == 3 else call.site.step("rows")
            x = pick(inner, x, axis, indices)
    return Result(x, "planes")


TRANSLATORS: dict[str, Translator] = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenation,
    "PAD": _pad,
    "PADV2": _pad,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "SPLIT": _split,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
}
