"""ONNX operators over windows: the pools, and the attributes that they share with Conv."""

from __future__ import annotations

from collections.abc import Sequence

from ..emit.pool import average_pool, global_average, global_max, max_pool, spatial
from ..emit.window import Window, same_size, window
from .call import Attribute, Call, Translator
from .images import over_images

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
PADS = (
    Attribute("kernel_shape", "ints"),
    Attribute("strides", "ints", ()),
    Attribute("dilations", "ints", ()),
    Attribute("pads", "ints", ()),
    Attribute("auto_pad", "string", "NOTSET", only=_AUTO_PADS),
)
_MOST_AXES = 3  # of pools of reals
POOL = (*PADS, Attribute("ceil_mode", "int", 0, only=(0, 1)))


def window_of(call: Call, x: str, kernel: Sequence[int], most: int = 2) -> Window:
    """The window that the attributes PADS describe over x."""
    given = call.attributes
    pads, auto = given["pads"], given["auto_pad"]
    if any(pads) and auto != "NOTSET":
        raise call.site.fail(
            f"Attributes 'pads' = {pads} and 'auto_pad' = '{auto}' contradict each other.",
            "Give one of them.",
        )
    half = len(pads) // 2
    before, after = (pads[:half], pads[half:]) if auto == "NOTSET" else ((), ())
    steps = given["strides"], given["dilations"]
    made = window(call.site, x, kernel, *steps, before, after, most)
    if not auto.startswith("SAME"):
        return made
    return same_size(spatial(call.site, x), made, upper=auto == "SAME_UPPER")


def pool_window(call: Call, x: str, most: int = 2) -> Window:
    """The window of a pool over x."""
    kernel = call.attributes["kernel_shape"]
    if kernel is None:
        raise call.site.fail("Attribute 'kernel_shape' is missing.", "Export the model again.")
    return window_of(call, x, kernel, most)


def _max_pool(call: Call) -> str:
    site = call.alone("indices")
    x = call.activation()
    ceil_mode = bool(call.attributes["ceil_mode"])
    return max_pool(site, x, pool_window(call, x, _MOST_AXES), ceil_mode=ceil_mode)


def _average_pool(call: Call) -> str:
    x = call.activation()
    return average_pool(
        call.site,
        x,
        pool_window(call, x, _MOST_AXES),
        ceil_mode=bool(call.attributes["ceil_mode"]),
        count_border=bool(call.attributes["count_include_pad"]),
    )


TRANSLATORS: dict[str, Translator] = {
    "MaxPool": Translator(
        (*POOL, Attribute("storage_order", "int", 0, only=(0,))),
        over_images(_max_pool),
        limits="1-D to 3-D, without indices",
        codes=True,
    ),
    "AveragePool": Translator(
        (*POOL, Attribute("count_include_pad", "int", 0, only=(0, 1))),
        over_images(_average_pool),
        limits="1-D to 3-D",
    ),
    "GlobalAveragePool": Translator(
        (),
        over_images(lambda call: global_average(call.site, call.activation())),
        limits="1-D to 3-D",
    ),
    "GlobalMaxPool": Translator(
        (),
        over_images(lambda call: global_max(call.site, call.activation())),
        limits="1-D to 3-D",
    ),
}
