"""MAX_POOL_2D, AVERAGE_POOL_2D and MEAN in a runtime's own arithmetic."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np

from ...ir.ops_layout import Concat
from ...ir.ops_pool import MaxPool, SumPool
from ...ir.windows import Pads, Pair
from ..emit.layout import cut, pad, reshape, transpose
from ..emit.site import Site
from .call import Call, Result, Translator, counted
from .codes import accumulate, lookup, threshold
from .pair import check_codes
from .reference import all_codes
from .window import pads_of

Run = tuple[range, int]
"""Places along an axis, and how many elements of the input each of their windows holds."""


def window_of(call: Call) -> tuple[Pair, Pair, Pads]:
    """Kernel, strides and border of a pool."""
    options = call.options
    kernel = (options["filter_height"], options["filter_width"])
    strides = (options["stride_h"], options["stride_w"])
    x = call.tensor(0)
    if len(x.shape) != 4 or x.type_name != call.y.type_name:
        raise call.site.fail(
            f"It pools {x.type_name} of {len(x.shape)} axes to {call.y.type_name}.",
            "Supported are images of one type.",
        )
    sizes = (x.shape[1], x.shape[2])
    return kernel, strides, pads_of(call.site, options["padding"], sizes, kernel, strides, (1, 1))


def _max_pool(call: Call) -> Result:
    x = call.codes(0)
    kernel, strides, pads = window_of(call)
    lo, hi = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    whole = (lo, hi) == (call.y.dtype.lo, call.y.dtype.hi)
    site = call.site if whole else call.site.step("pool")
    pooled = Result(site.emit(MaxPool(kernel, strides, pads), x, encoding=call.encoding), "planes")
    if whole:
        return pooled
    return lookup(call, call.site, pooled, call.y, np.clip(all_codes(call.y), lo, hi))


def _average_pool(call: Call) -> Result:
    check_codes(call, 0)
    x = call.codes(0)
    kernel, strides, pads = window_of(call)
    top, left, bottom, right = pads
    image = x
    if any(pads):  # zeros add nothing to a sum of codes
        image = pad(call.site.step("border"), x, (0, 0, top, left), (0, 0, bottom, right), 0)
    height, width = call.y.shape[1:3]
    x_sizes = call.tensor(0).shape[1:3]
    rows, columns = (
        _runs(new, stride, before, size, k)
        for new, stride, before, size, k in zip(
            (height, width), strides, (top, left), x_sizes, kernel, strict=True
        )
    )
    strips = []
    for r, row in enumerate(rows):
        parts = []
        for c, column in enumerate(columns):
            alone = len(rows) == len(columns) == 1
            site = call.site if alone else call.site.step(f"part{r}_{c}")
            parts.append(_averaged(call, site, image, (row, column), kernel, strides))
        strips.append(_joined(call, call.site.step(f"row{r}"), parts, 3, last=len(rows) == 1))
    return Result(_joined(call, call.site, strips, 2, last=True), "planes")


def _averaged(
    call: Call, site: Site, image: str, places: tuple[Run, Run], kernel: Pair, strides: Pair
) -> str:
    """Windows that hold equally many elements of the input."""
    (rows, height), (columns, width) = places
    bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    spans = {
        2 + axis: (part.start * s, (part.stop - 1) * s + k, 1)
        for axis, (part, s, k) in enumerate(zip((rows, columns), strides, kernel, strict=True))
    }
    piece = cut(site.step("window"), image, spans)
    acc, reach = accumulate(site.step("sum"), SumPool(kernel, strides), piece)
    return threshold(call, site, acc, reach, call.dialect.average(height * width), bounds)


def _joined(call: Call, site: Site, parts: list[str], axis: int, *, last: bool) -> str:
    if len(parts) == 1:
        return parts[0]
    return (call.site if last else site).emit(Concat(axis), *parts, encoding=call.encoding)


def _runs(new: int, stride: int, before: int, size: int, kernel: int) -> list[Run]:
    """Places of the result whose windows hold equally many elements of the input, and how many."""
    starts = np.arange(new) * stride - before
    counts = np.minimum(starts + kernel, size) - np.maximum(starts, 0)
    edges = np.flatnonzero(np.diff(counts)) + 1
    bounds = [0, *edges.tolist(), new]
    return [(range(a, b), int(counts[a])) for a, b in pairwise(bounds)]


def axes_of(call: Call) -> set[int]:
    """The axes that a MEAN reduces, in the file's order, counted from the front."""
    rank = len(call.tensor(0).shape)
    axes = {counted(call.site, axis, rank) for axis in call.ints(1)}
    if 0 in axes or not axes:
        raise call.site.fail(
            f"It takes the mean over axes {sorted(axes)}.",
            "Axis 0 is the batch: name others.",
        )
    return axes


def _mean(call: Call) -> Result:
    axes = axes_of(call)
    x = call.tensor(0)
    check_codes(call, 0)
    f = call.dialect.mean(x, call.y, prod(x.shape[axis] for axis in axes))
    bounds = call.y.dtype.lo, call.y.dtype.hi
    if len(x.shape) == 4 and axes <= {1, 2}:
        height, width = (x.shape[axis] if axis in axes else 1 for axis in (1, 2))
        acc, reach = accumulate(call.site.step("sum"), SumPool((height, width)), call.codes(0))
        if len(call.y.shape) == 4:
            return Result(threshold(call, call.site, acc, reach, f, bounds), "planes")
        codes = threshold(call, call.site.step("codes"), acc, reach, f, bounds)
        behind = transpose(call.site.step("behind"), codes, (0, 2, 3, 1))
        return Result(reshape(call.site, behind, call.y.shape[1:]), "file")
    kept = [axis for axis in range(1, len(x.shape)) if axis not in axes]
    behind = transpose(call.site.step("behind"), call.codes(0, "file"), (0, *kept, *sorted(axes)))
    height = prod(x.shape[axis] for axis in axes)
    image = reshape(call.site.step("image"), behind, (prod(x.shape[1:]) // height, height, 1))
    acc, reach = accumulate(call.site.step("sum"), SumPool((height, 1)), image)
    codes = threshold(call, call.site.step("codes"), acc, reach, f, bounds)
    return Result(reshape(call.site, codes, call.y.shape[1:]), "file")


TRANSLATORS: dict[str, Translator] = {
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
    "MEAN": _mean,
}
