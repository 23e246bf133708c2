"""onnxruntime's average pools of codes."""

from __future__ import annotations

from math import prod

import numpy as np

from ...ir.ops_pool import SumPool
from ..emit.pool import spatial
from ..emit.window import Window, over_2d, window
from .call import Attribute, Call, Translator
from .qarithmetic import Grid, average_scale, requantized
from .qaverage import averaged
from .qcodes import codes_of, fact, grid_of, threshold
from .window import POOL, pool_window


def _grids(call: Call) -> tuple[str, Grid, Grid]:
    """The activation, its grid and that of the result."""
    if call.attributes["channels_last"]:
        raise call.site.fail(
            "Attribute 'channels_last' = 1 is not supported.",
            "Axis 1 must hold the channels: quantize the model again.",
        )
    x, grid = codes_of(call, 0, 1, 2)
    return x, grid, grid_of(call, 3, 4, None if call.optional(4) is not None else grid.dtype)


def _summed(call: Call, x: str, given: Window) -> str:
    """The sum of the codes in each window."""
    plane = given.planar()
    op = SumPool(plane.kernel, plane.strides, plane.pads)
    return over_2d(call.site.step("acc"), x, lambda inner, image: inner.emit(op, image))


def _global(call: Call) -> str:
    """The sum over the image, rescaled as an accumulator."""
    x, grid, to = _grids(call)
    return _whole(call, x, grid, to)


def _whole(call: Call, x: str, grid: Grid, to: Grid) -> str:
    sizes = spatial(call.site, x)
    acc = _summed(call, x, window(call.site, x, sizes))
    elements = prod(sizes)
    scale, zero = average_scale(grid, to, elements), grid.zero_point * elements
    ends = fact(call.site, acc).interval.hull
    return threshold(call.site, acc, lambda a: requantized(a - zero, scale, to), ends, to)


def _average(call: Call) -> str:
    """As global when one window is the image; else the sums of codes, where they decide."""
    x, grid, to = _grids(call)
    given = pool_window(call, x)
    if given.kernel == spatial(call.site, x) and not any(given.before + given.after):
        return _whole(call, x, grid, to)
    if any(given.before + given.after) or call.attributes["ceil_mode"]:
        raise call.site.fail(
            "It averages windows that reach over the border.", "Pad its input by an operator Pad."
        )
    elements = prod(given.kernel)
    table = averaged(grid, to, elements)
    if table is None:
        raise call.site.fail(
            f"onnxruntime adds the {elements} reals of a window in float32, and windows with equal "
            "sums of codes become different codes by their roundings.",
            "Quantize this operator in the format QDQ, or give its result another scale.",
        )
    acc = _summed(call, x, given)
    least = grid.dtype.lo * elements
    ends = fact(call.site, acc).interval.hull
    return threshold(call.site, acc, lambda a: np.asarray(table)[a - least], ends, to)


_LAST = Attribute("channels_last", "int", 0, only=(0, 1))
_LIMITS = "1-D and 2-D, 8-bit codes, constant scales"

MICROSOFT: dict[str, Translator] = {
    "QLinearGlobalAveragePool": Translator((_LAST,), _global, limits=_LIMITS, codes=True),
    "QLinearAveragePool": Translator(
        (*POOL, Attribute("count_include_pad", "int", 0, only=(0, 1)), _LAST),
        _average,
        limits=f"{_LIMITS}, without a border",
        codes=True,
    ),
}
