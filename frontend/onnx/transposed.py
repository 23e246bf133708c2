"""The ONNX operator ConvTranspose."""

from __future__ import annotations

from dataclasses import replace

from ..emit.pool import spatial
from ..emit.transposed import conv_transposed, transposed_size
from ..emit.window import Ints, Window, window
from .call import Attribute, Call, Translator
from .images import over_images
from .window import PADS


def _conv_transpose(call: Call) -> str:
    x, kernel, given = call.activation(), call.constant(1), call.attributes
    sizes = spatial(call.site, x)
    extra = given["output_padding"] or (0,) * len(sizes)
    if len(extra) != len(sizes) or min(extra) < 0:
        raise call.site.fail(f"Attribute 'output_padding' = {extra}.", "Give one size per axis.")
    shape = kernel.array.shape[2:]
    plain = window(call.site, x, shape, given["strides"], given["dilations"])
    made, result = _border(call, sizes, plain, extra)
    bias, groups = call.optional(2), given["group"]
    return conv_transposed(call.site, x, kernel, bias, made, groups, result)


def _border(call: Call, sizes: Ints, plain: Window, extra: Ints) -> tuple[Window, Ints]:
    """The window with its pads and the sizes of the result, as the standard derives them."""
    pads, auto, wanted = (call.attributes[name] for name in ("pads", "auto_pad", "output_shape"))
    if auto == "NOTSET" and not wanted:
        half = len(pads) // 2
        border = (pads[:half], pads[half:])
        x = call.activation()
        made = window(call.site, x, plain.kernel, plain.stride, plain.dilation, *border)
        return made, transposed_size(sizes, made, extra)
    full = transposed_size(sizes, plain, extra)
    if auto.startswith("SAME") and not wanted:
        wanted = tuple(size * step for size, step in zip(sizes, plain.stride, strict=True))
    if not wanted:
        return plain, full
    totals = [max(size - want, 0) for size, want in zip(full, wanted, strict=True)]
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    before = small if auto == "SAME_UPPER" else large
    return replace(plain, before=before), tuple(wanted)


TRANSLATORS: dict[str, Translator] = {
    "ConvTranspose": Translator(
        (
            *PADS,
            Attribute("group", "int", 1),
            Attribute("output_padding", "ints", ()),
            Attribute("output_shape", "ints", ()),
        ),
        over_images(_conv_transpose),
        limits="1-D and 2-D, constant weights",
    ),
}
