"""Emitting pools and means over the spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import prod

from ...ir.ops_layout import Concat
from ...ir.ops_pool import AveragePool, MaxPool
from .arithmetic import number
from .layout import axis_of, cut, pad, reshape, transpose
from .linear import affine
from .site import Site
from .window import Ints, Window, over_2d, rounded_up, window


def max_pool(site: Site, x: str, given: Window, *, ceil_mode: bool) -> str:
    """Greatest value of each window."""
    if len(given.kernel) == 3:
        return _by_planes(
            site, x, given, lambda inner, y, part: max_pool(inner, y, part, ceil_mode=ceil_mode)
        )
    sizes = site.type_of(x).sample_shape[1:]
    given = rounded_up(sizes, given) if ceil_mode else given
    plane = given.planar()
    op = MaxPool(plane.kernel, plane.strides, plane.pads, plane.dilations)
    return over_2d(site, x, lambda inner, image: inner.emit(op, image))


def _by_planes(site: Site, x: str, given: Window, pool: Callable[[Site, str, Window], str]) -> str:
    """A pool of ``(n, c, d, h, w)``: first of every plane, then of the results along d.

    A mean of means is the mean, for the elements of a window are those of a plane times planes.
    """
    channels, depth, *plane = site.type_of(x).sample_shape
    planes = reshape(site.step("planes"), x, (channels * depth, *plane))
    flat = pool(site.step("plane"), planes, given.axes(1, 3))
    _, height, width = site.type_of(flat).sample_shape
    columns = reshape(site.step("columns"), flat, (channels, depth, height * width))
    made = pool(site.step("column"), columns, given.axes(0, 1))
    return reshape(site, made, (channels, site.type_of(made).sample_shape[1], height, width))


def average_pool(
    site: Site, x: str, given: Window, *, ceil_mode: bool = False, count_border: bool = False
) -> str:
    """Mean of each window; the declared border counts if asked, what ceil mode adds never does."""
    if len(given.kernel) == 3:
        options = {"ceil_mode": ceil_mode, "count_border": count_border}
        return _by_planes(
            site, x, given, lambda inner, y, part: average_pool(inner, y, part, **options)
        )
    sizes = site.type_of(x).sample_shape[1:]
    grown = rounded_up(sizes, given) if ceil_mode else given
    bordered, overhangs = any(given.before + given.after), grown != given
    if count_border and bordered and overhangs:
        widths = (0, 0, *given.before), (0, 0, *given.after)
        x = pad(site.step("border"), x, *widths, 0.0)
        extra = tuple(g - a for g, a in zip(grown.after, given.after, strict=True))
        grown = replace(grown, before=(0,) * len(sizes), after=extra)
    counts = not overhangs and (count_border or not bordered)
    if any(step > 1 for step in given.dilation):
        return _dilated_average(
            site, x, grown, counts=counts or not any(grown.before + grown.after)
        )
    plane = grown.planar()
    op = AveragePool(plane.kernel, plane.strides, plane.pads, int(counts))
    return over_2d(site, x, lambda inner, image: inner.emit(op, image))


def _dilated_average(site: Site, x: str, given: Window, *, counts: bool) -> str:
    """Mean of windows with gaps: each of their places is a slice, and the mean is over the slices.

    Windows must be of one size, so a border must count.
    """
    if not counts:
        raise site.fail(
            f"Its windows have dilations {given.dilation} and a border that does not count.",
            "Let the border count (count_include_pad = 1), or give no pads.",
        )
    if any(given.before + given.after):
        x = pad(site.step("border"), x, (0, 0, *given.before), (0, 0, *given.after), 0.0)
    channels, *sizes = site.type_of(x).sample_shape
    axes = list(zip(sizes, given.spans, given.stride, strict=True))
    if any(size < span for size, span, _ in axes):
        raise site.fail(f"Windows of {given.spans} do not fit into {tuple(sizes)}.", "Reduce them.")
    results = [(size - span) // stride + 1 for size, span, stride in axes]
    parts = []
    for index, place in enumerate(product(*map(range, given.kernel))):
        starts = [k * step for k, step in zip(place, given.dilation, strict=True)]
        bounds = {
            axis: (start, start + (count - 1) * stride + 1, stride)
            for axis, (start, count, stride) in enumerate(
                zip(starts, results, given.stride, strict=True), 2
            )
        }
        part = cut(site.step(f"place{index}"), x, bounds)
        parts.append(reshape(site.step(f"row{index}"), part, (channels, 1, prod(results))))
    rows = site.step("rows").emit(Concat(2), *parts)
    average = AveragePool((len(parts), 1), (1, 1), (0, 0, 0, 0), 1)
    return reshape(site, site.step("mean").emit(average, rows), (channels, *results))


def spatial(site: Site, x: str) -> Ints:
    """The sizes of the spatial axes: ``(h, w)`` or ``(l,)``."""
    return site.type_of(x).sample_shape[1:]


def global_max(site: Site, x: str) -> str:
    """Greatest value of each channel, spatial axes kept as 1."""
    return max_pool(site, x, window(site, x, spatial(site, x), most=3), ceil_mode=False)


def global_average(site: Site, x: str) -> str:
    """Mean of each channel, spatial axes kept as 1."""
    return average_pool(site, x, window(site, x, spatial(site, x), most=3))


def mean(site: Site, x: str, axes: Sequence[int], *, keepdims: bool) -> str:
    """Mean over some of the axes after the batch."""
    type_ = site.type_of(x)
    reduced = {axis_of(site, axis, len(type_.shape)) for axis in axes}
    if not reduced:
        raise site.fail(
            f"It takes the mean of {type_} over axes ().",
            "Name the axes, all of them after the batch.",
        )
    if 1 in reduced or len(type_.shape) not in (3, 4):
        return _mean_over(site, x, reduced, keepdims=keepdims)
    kernel = [s if axis in reduced else 1 for axis, s in enumerate(spatial(site, x), 2)]
    inner = site if keepdims else site.step("mean")
    pooled = average_pool(inner, x, window(site, x, kernel))
    if keepdims:
        return pooled
    kept = (size for axis, size in enumerate(type_.sample_shape, 1) if axis not in reduced)
    return reshape(site, pooled, tuple(kept))


def total(site: Site, x: str, axes: Sequence[int], *, keepdims: bool) -> str:
    """Sum over some of the axes after the batch: their mean times their elements."""
    sizes = site.type_of(x).sample_shape
    count = prod(sizes[axis_of(site, axis, len(sizes) + 1) - 1] for axis in set(axes))
    if count == 1:
        return mean(site, x, axes, keepdims=keepdims)
    average = mean(site.step("mean"), x, axes, keepdims=True)
    summed = affine(site if keepdims else site.step("sum"), average, number(count), number(0.0))
    if keepdims:
        return summed
    return reshape(site, summed, tuple(s for a, s in enumerate(sizes, 1) if a not in axes))


def _mean_over(site: Site, x: str, reduced: set[int], *, keepdims: bool) -> str:
    """The kept axes become channels, the reduced ones the height of an image."""
    sizes = site.type_of(x).sample_shape
    kept = [axis for axis in range(1, len(sizes) + 1) if axis not in reduced]
    behind = transpose(site.step("behind"), x, (0, *kept, *sorted(reduced)))
    height = prod(sizes[axis - 1] for axis in reduced)
    image = reshape(site.step("image"), behind, (prod(sizes) // height, height, 1))
    pooled = average_pool(site.step("mean"), image, window(site, image, (height, 1)))
    if keepdims:
        return reshape(
            site, pooled, tuple(1 if a in reduced else s for a, s in enumerate(sizes, 1))
        )
    return reshape(site, pooled, tuple(sizes[axis - 1] for axis in kept))


def adaptive_average(site: Site, x: str, sizes: Sequence[int | None]) -> str:
    """Mean pool with a result of ``sizes``, which must divide the input's; None keeps a size."""
    given = spatial(site, x)
    wanted = [size or old for size, old in zip(sizes, given, strict=False)]
    if len(sizes) != len(given) or any(old % new for old, new in zip(given, wanted, strict=True)):
        raise site.fail(
            f"It pools {given} to {tuple(sizes)}.", "Supported are sizes that divide the input's."
        )
    kernel = [old // new for old, new in zip(given, wanted, strict=True)]
    return average_pool(site, x, window(site, x, kernel, kernel))
