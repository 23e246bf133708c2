"""ONNX operators that move elements."""

from __future__ import annotations

import math

from . import emit_layout as layout
from . import onnx_fold as fold
from .batch_size import BATCH_SIZE, Size
from .emit import Operand
from .onnx_call import Attribute, Call, Translator

_AXES = Attribute("axes", "ints")


def _reshape(call: Call) -> str:
    x = call.activation()
    target = list(call.sizes("shape", 1) or ())
    if not call.attributes["allowzero"]:
        target = [_copied(call, x, axis) if s == 0 else s for axis, s in enumerate(target)]
    return layout.reshape(call.site, x, layout.resolve(call.site, x, target))


def _copied(call: Call, x: str, axis: int) -> Size:
    """What a 0 in a target shape stands for."""
    shape: tuple[Size, ...] = (BATCH_SIZE, *call.site.type_of(x).sample_shape)
    if axis >= len(shape):
        raise call.site.fail(
            f"It copies axis {axis} of {call.site.type_of(x)}.", "Correct the 0 in its shape."
        )
    return shape[axis]


def _flatten(call: Call) -> str:
    x = call.activation()
    shape = call.site.type_of(x).sample_shape
    axis = call.attributes["axis"]
    place = axis + len(shape) + 1 if axis < 0 else axis
    if not 1 <= place <= len(shape) + 1 or math.prod(shape[: place - 1]) != 1:
        raise call.site.fail(
            f"Attribute 'axis' = {axis} merges the batch of {call.site.type_of(x)} into its rows.",
            "Flatten from axis 1 on.",
        )
    return layout.reshape(call.site, x, (math.prod(shape),))


def _squeeze(call: Call) -> str:
    x = call.activation()
    axes = call.ints("axes", 1)
    if axes is not None:
        return layout.squeeze(call.site, x, axes)
    if call.site.draft.batch == 1:
        raise call.site.fail("It squeezes every axis of size 1, the batch too.", "Name the axes.")
    shape = call.site.type_of(x).sample_shape
    return layout.squeeze(call.site, x, [axis for axis, s in enumerate(shape, 1) if s == 1])


def _unsqueeze(call: Call) -> str:
    return layout.unsqueeze(call.site, call.activation(), call.ints("axes", 1) or ())


def _transpose(call: Call) -> str:
    x = call.activation()
    axes = call.attributes["perm"]
    rank = len(call.site.type_of(x).shape)
    return layout.transpose(call.site, x, range(rank)[::-1] if axes is None else axes)


def _concat(call: Call) -> str:
    operands = [call.operand(index) for index in range(len(call.operands))]
    return layout.concat(call.site, operands, call.attributes["axis"])


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
    parts = {
        axis: (start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    if len(parts) < len(axes):
        raise call.site.fail(f"Its axes {axes} name one axis twice.", "Export the model again.")
    return layout.cut(call.site, x, parts)


def _split(call: Call) -> tuple[Operand, ...]:
    x = call.activation()
    axis = call.attributes["axis"]
    sizes = call.ints("split", 1)
    if sizes is None:
        place = layout.axis_of(call.site, axis, len(call.site.type_of(x).shape))
        total = call.site.type_of(x).sample_shape[place - 1]
        sizes = _equal_parts(total, call.attributes["num_outputs"] or len(call.outputs))
    return layout.split(call.outputs, x, axis, sizes)


def _equal_parts(total: int, count: int) -> tuple[int, ...]:
    """Sizes of ``count`` equal parts, the last smaller if need be; none when count is none."""
    size = math.ceil(total / count) if count > 0 else 0
    return tuple(min(size, total - size * index) for index in range(min(count, total)))


def _pad(call: Call) -> str:
    x = call.activation()
    rank = len(call.site.type_of(x).shape)
    sizes = call.ints("pads", 1) or ()
    axes = call.ints("axes", 3)
    axes = tuple(range(rank)) if axes is None else axes
    value = call.number("value", 2)
    if len(sizes) != 2 * len(axes):
        raise call.site.fail(
            f"It has {len(sizes)} pads for {len(axes)} axes.", "Give two pads per axis."
        )
    if len(set(axes)) < len(axes):
        raise call.site.fail(f"Its axes {axes} name one axis twice.", "Export the model again.")
    before, after = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        place = layout.axis_of(call.site, axis, rank, least=0)
        before[place], after[place] = sizes[index], sizes[index + len(axes)]
    return layout.pad(call.site, x, before, after, value or 0.0)


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
        "constant bounds, steps > 0, the whole batch",
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
            Attribute("mode", "string", "constant", only=("constant",)),
            Attribute("pads", "ints"),
            Attribute("value", "float"),
        ),
        _pad,
        limits="mode = constant, not the batch",
        codes=True,
    ),
}
