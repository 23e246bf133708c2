"""ONNX operators whose axis 0 holds images, in models without a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...ir.ops_layout import Concat
from ..emit.layout import cut, reshape
from .call import Call

MAX_IMAGES = 64


def over_images(emit: Callable[[Call], str]) -> Callable[[Call], str]:
    """``emit`` for an operator on ``(N, c, ...)`` where N is not the batch: on each of N images."""

    def each(call: Call) -> str:
        if call.site.draft.batched:
            return emit(call)
        sizes = call.site.type_of(call.activation()).sample_shape
        if len(sizes) < 2 or sizes[0] > MAX_IMAGES:
            raise call.site.fail(
                f"Its input is {call.site.type_of(call.activation())} per sample.",
                f"Axis 0 of the model counts images, 1 to {MAX_IMAGES}, and axis 1 channels.",
            )
        parts = [_image(call, emit, index, sizes[0]) for index in range(sizes[0])]
        result = call.site.type_of(parts[0]).sample_shape
        rows = [
            reshape(call.site.step(f"row{index}"), part, (1, *result))
            for index, part in enumerate(parts[1:], 1)
        ]
        if not rows:
            return reshape(call.site, parts[0], (1, *result))
        first = reshape(call.site.step("row0"), parts[0], (1, *result))
        return call.site.emit(Concat(1), first, *rows)

    return each


def _image(call: Call, emit: Callable[[Call], str], index: int, count: int) -> str:
    x = call.activation()
    sizes = call.site.type_of(x).sample_shape
    if count > 1:
        x = cut(call.site.step(f"image{index}"), x, {1: (index, index + 1, 1)})
    image = reshape(call.site.step(f"in{index}"), x, sizes[1:])
    inner = call.site.step(f"out{index}")
    operands = (image, *call.operands[1:])
    return emit(replace(call, site=inner, operands=operands))
