"""ONNX operators that move elements."""

from __future__ import annotations

import math

from ..emit import layout
from ..emit.batch_size import BatchSize, Size
from ..emit.pick import border, pick
from ..emit.site import Operand
from . import fold
from .call import Attribute, Call, Translator

_AXES = Attribute("axes", "ints")


def _reshape(call: Call) -> str:
    x = call.activation()
    target = list(call.sizes("shape", 1) or ())
    if not call.attributes["allowzero"]:
        target = [_copied(call, x, axis) if s == 0 else s for axis, s in enumerate(target)]
    return layout.reshape(call.site, x, layout.resolve(call.site, x, target))


def _copied(call: Call, x: str, axis: int) -> Size:
    """What a 0 in a target shape stands for."""
    shape = layout.source_shape(call.site, x)
    if axis >= len(shape):
        raise call.site.fail(
            f"It copies axis {axis} of {call.site.type_of(x)}.", "Correct the 0 in its shape."
        )
    return shape[axis]


def _rank(call: Call, x: str) -> int:
    """The number of axes of x in the model."""
    return len(layout.source_shape(call.site, x))


def _flatten(call: Call) -> str:
    x = call.activation()
    shape = call.site.type_of(x).sample_shape
    axis = call.attributes["axis"]
    first = axis + _rank(call, x) if axis < 0 else axis
    if not call.site.draft.batched and 0 <= first <= len(shape):
        return layout.reshape(call.site, x, (math.prod(shape[:first]), math.prod(shape[first:])))
    if not 1 <= first <= len(shape) + 1 or math.prod(shape[: first - 1]) != 1:
        raise call.site.fail(
            f"Attribute 'axis' = {axis} merges the batch of {call.site.type_of(x)} into its rows.",
            "Flatten from axis 1 on.",
        )
    return layout.reshape(call.site, x, (math.prod(shape),))


def _squeeze(call: Call) -> str:
    x = call.activation()
    axes = call.ints("axes", 1)
    if axes is not None:
        return layout.squeeze(call.site, x, layout.places(call.site, axes, _rank(call, x)))
    if call.site.draft.batch == 1:
        raise call.site.fail("It squeezes every axis of size 1, the batch too.", "Name the axes.")
    shape = call.site.type_of(x).sample_shape
    return layout.squeeze(call.site, x, [axis for axis, s in enumerate(shape, 1) if s == 1])


def _unsqueeze(call: Call) -> str:
    x, axes = call.activation(), call.ints("axes", 1) or ()
    rank = _rank(call, x) + len(axes)
    return layout.unsqueeze(call.site, x, [layout.place(call.site, axis, rank) for axis in axes])


def _transpose(call: Call) -> str:
    x = call.activation()
    rank = _rank(call, x)
    given = call.attributes["perm"]
    axes = range(rank)[::-1] if given is None else given
    order = [layout.place(call.site, axis, rank) for axis in axes]
    return layout.transpose(call.site, x, order if call.site.draft.batched else (0, *order))


def _concat(call: Call) -> str:
    operands = [call.operand(index) for index in range(len(call.operands))]
    axis = call.attributes["axis"]
    name = next((each for each in operands if isinstance(each, str)), None)
    if name is not None:
        axis = layout.place(call.site, axis, _rank(call, name))
    return layout.concat(call.site, operands, axis)


def _slice(call: Call) -> str:
    x = call.activation()
    starts, ends = call.ints("starts", 1), call.sizes("ends", 2)
    if starts is None or ends is None:
        raise call.site.fail("It has no bounds.", "Export the model again.")
    axes = call.ints("axes", 3)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = call.ints("steps", 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise call.site.fail(
            "Its starts, ends, axes and steps are not equally many.", "Export the model again."
        )
    found = layout.places(call.site, axes, _rank(call, x))
    parts = dict(zip(found, zip(starts, ends, steps, strict=True), strict=True))
    back = {axis: part for axis, part in parts.items() if part[2] < 0 and axis > 0}
    for axis, part in back.items():
        x = _backwards(call, x, axis, *part)
        del parts[axis]
    return layout.cut(call.site, x, parts)


def _backwards(call: Call, x: str, axis: int, start: int, end: Size, step: int) -> str:
    """A slice that counts down. An end before the first element means that it is included."""
    size = call.site.type_of(x).sample_shape[axis - 1]
    if isinstance(end, BatchSize):
        raise call.site.fail("Its end is n, the batch size.", "Give numbers instead.")
    kept = range(size)[slice(start, None if end < -size else end, step)]
    if not kept:
        raise call.site.fail(f"Its slice {start}:{end}:{step} is empty.", "Correct the bounds.")
    return pick(call.site.step(f"back{axis}"), x, axis, kept)


def _split(call: Call) -> tuple[Operand, ...]:
    x = call.activation()
    axis = layout.place(call.site, call.attributes["axis"], _rank(call, x))
    axis = layout.axis_of(call.site, axis, len(call.site.type_of(x).shape))
    sizes = call.ints("split", 1)
    if sizes is None:
        total = call.site.type_of(x).sample_shape[axis - 1]
        sizes = _equal_parts(total, call.attributes["num_outputs"] or len(call.outputs))
    return layout.split(call.outputs, x, axis, sizes)


def _equal_parts(total: int, count: int) -> tuple[int, ...]:
    """Sizes of ``count`` equal parts, the last smaller if need be; none when count is none."""
    size = math.ceil(total / count) if count > 0 else 0
    return tuple(min(size, total - size * index) for index in range(min(count, total)))


def _pad(call: Call) -> str:
    x = call.activation()
    rank = _rank(call, x)
    sizes = call.ints("pads", 1) or ()
    axes = call.ints("axes", 3)
    axes = tuple(range(rank)) if axes is None else axes
    value = call.number("value", 2)
    if len(sizes) != 2 * len(axes):
        raise call.site.fail(
            f"It has {len(sizes)} pads for {len(axes)} axes.", "Give two pads per axis."
        )
    whole = len(call.site.type_of(x).shape)
    before, after = [0] * whole, [0] * whole
    for index, axis in enumerate(layout.places(call.site, axes, rank)):
        before[axis], after[axis] = sizes[index], sizes[index + len(axes)]
    if call.attributes["mode"] == "constant":
        return layout.pad(call.site, x, before, after, value or 0.0)
    return border(call.site, x, before, after, call.attributes["mode"])


def _center_crop_pad(call: Call) -> str:
    """Crops and pads share the rest of an odd size as the standard's function does."""
    x, rank = call.activation(), _rank(call, call.activation())
    wanted, axes = call.ints("shape", 1) or (), call.attributes["axes"]
    found = layout.places(call.site, range(rank) if axes is None else axes, rank)
    if len(wanted) != len(found) or min(wanted, default=1) < 1:
        raise call.site.fail(
            f"It makes {len(found)} axes of the sizes {wanted}.", "Give one size per axis."
        )
    whole = len(call.site.type_of(x).shape)
    before, after = [0] * whole, [0] * whole
    for axis, size in zip(found, wanted, strict=True):
        if axis == 0:
            raise call.site.fail("It crops or pads the batch.", "Name the other axes.")
        extra = size - call.site.type_of(x).sample_shape[axis - 1]
        before[axis] = extra // 2 if extra > 0 else -(-extra // 2)
        after[axis] = extra - before[axis]
    return layout.pad(call.site, x, before, after, 0.0)


TRANSLATORS: dict[str, Translator] = {
    "Reshape": Translator(
        (Attribute("allowzero", "int", 0, only=(0, 1)),),
        _reshape,
        fold.reshape,
        "within each sample",
        codes=True,
    ),
    "Flatten": Translator(
        (Attribute("axis", "int", 1),), _flatten, fold.flatten, "axis = 1", codes=True
    ),
    "Squeeze": Translator((_AXES,), _squeeze, fold.squeeze, "not the batch", codes=True),
    "Unsqueeze": Translator(
        (_AXES,), _unsqueeze, fold.unsqueeze, "not before the batch", codes=True
    ),
    "Transpose": Translator(
        (Attribute("perm", "ints"),),
        _transpose,
        fold.transpose,
        "the batch stays first",
        codes=True,
    ),
    "Concat": Translator(
        (Attribute("axis", "int", 1),), _concat, fold.concat, "not the batch", codes=True
    ),
    "Slice": Translator(
        (Attribute("starts", "ints"), Attribute("ends", "ints"), _AXES),
        _slice,
        fold.slice_,
        "constant bounds, the whole batch",
        codes=True,
    ),
    "Split": Translator(
        (fold.AXIS_0, Attribute("split", "ints"), Attribute("num_outputs", "int")),
        _split,
        limits="not the batch",
        codes=True,
    ),
    "Pad": Translator(
        (
            Attribute("mode", "string", "constant", only=("constant", "edge", "reflect", "wrap")),
            Attribute("pads", "ints"),
            Attribute("value", "float"),
        ),
        _pad,
        limits="not the batch",
        codes=True,
    ),
    "CenterCropPad": Translator(
        (Attribute("axes", "ints"),), _center_crop_pad, limits="not the batch"
    ),
}
