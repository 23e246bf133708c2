"""The ONNX operator Softmax."""

from __future__ import annotations

from math import prod

from ..emit.layout import axis_of, place, reshape, source_shape
from ..emit.product import softmax
from .call import Attribute, Call, Translator

_ONE_AXIS = 13  # the opset from which Softmax works along one axis


def _softmax(call: Call) -> str:
    x, given = call.activation(), call.attributes["axis"]
    rank = len(source_shape(call.site, x))
    if call.opset >= _ONE_AXIS:
        return softmax(call.site, x, place(call.site, -1 if given is None else given, rank))
    shape = call.site.type_of(x).sample_shape
    axis = axis_of(call.site, place(call.site, 1 if given is None else given, rank), len(shape) + 1)
    flat = reshape(call.site.step("flat"), x, (*shape[: axis - 1], prod(shape[axis - 1 :])))
    return reshape(call.site, softmax(call.site.step("softmax"), flat, axis), shape)


TRANSLATORS: dict[str, Translator] = {
    "Softmax": Translator((Attribute("axis", "int"),), _softmax, limits="not along the batch"),
}
