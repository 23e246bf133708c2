"""Emitting choices of elements along an axis: repeats, reversals, borders of what is there.

All of it is slices and concats, which move codes and compute nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ...ir.ops_layout import Concat
from .layout import cut, reshape
from .site import Site

MAX_PARTS = 1 << 12
"""Slices that one choice may need."""


def pick(site: Site, x: str, axis: int, indices: Sequence[int]) -> str:
    """The elements of x at ``indices`` along ``axis``, 1 or more, each as often as it is named."""
    size = site.type_of(x).sample_shape[axis - 1]
    count = len(indices) // size
    if count > 1 and list(indices) == [index for index in range(size) for _ in range(count)]:
        return stretch(site, x, axis, count)
    runs = _runs(indices)
    if len(runs) > MAX_PARTS:
        raise site.fail(
            f"It puts {len(runs)} slices of axis {axis} of {site.type_of(x)} together.",
            f"At most {MAX_PARTS} are supported: use a size that is a multiple.",
        )
    names: dict[range, str] = {}
    for run in runs:
        if run not in names:
            part = (run.start, run[-1] + 1, run.step)
            inner = site if len(runs) == 1 else site.step(f"part{len(names)}")
            names[run] = cut(inner, x, {axis: part})
    return names[runs[0]] if len(runs) == 1 else site.emit(Concat(axis), *(names[r] for r in runs))


def _runs(indices: Sequence[int]) -> list[range]:
    """The indices as ranges that climb, as few as taking the longest each time gives."""
    runs, start = [], 0
    while start < len(indices):
        stop = start + 1
        step = indices[stop] - indices[start] if stop < len(indices) else 1
        while step > 0 and stop < len(indices) and indices[stop] - indices[stop - 1] == step:
            stop += 1
        step = step if stop > start + 1 else 1
        runs.append(range(indices[start], indices[stop - 1] + 1, step))
        start = stop
    return runs


def repeat(site: Site, x: str, axis: int, count: int) -> str:
    """x ``count`` times along ``axis``, one after the other."""
    return x if count == 1 else site.emit(Concat(axis), *[x] * count)


def stretch(site: Site, x: str, axis: int, count: int) -> str:
    """Every element ``count`` times along ``axis``: nearest neighbors."""
    sizes = list(site.type_of(x).sample_shape)
    before, size, after = sizes[: axis - 1], sizes[axis - 1], sizes[axis:]
    outer, inner = 1, 1
    for each in before:
        outer *= each
    for each in after:
        inner *= each
    flat = reshape(site.step("rows"), x, (outer * size, inner))
    twice = repeat(site.step("repeated"), flat, 2, count)
    return reshape(site, twice, (*before, size * count, *after))


def broadcast(site: Site, x: str, sizes: Sequence[int]) -> str:
    """x with sample shape ``sizes``: axes in front are added, axes of size 1 repeated."""
    own = site.type_of(x).sample_shape
    own = (1,) * (len(sizes) - len(own)) + own
    wide = [axis for axis, (a, b) in enumerate(zip(own, sizes, strict=True), 1) if a != b]
    if any(own[axis - 1] != 1 for axis in wide):
        raise site.fail(f"{site.type_of(x)} cannot be repeated to {tuple(sizes)} per sample.", "")
    x = reshape(site.step("axes"), x, own)
    for axis in wide:
        x = repeat(site.step(f"repeat{axis}"), x, axis, sizes[axis - 1])
    return x


def border(site: Site, x: str, before: Sequence[int], after: Sequence[int], mode: Mode) -> str:
    """A border of elements of x, sizes per axis from the batch on; a negative size crops.

    ``edge`` repeats the outermost ones, ``reflect`` mirrors at them, ``wrap`` goes on at the other
    end.
    """
    if before[0] or after[0]:
        raise site.fail(f"It pads the batch by {before[0]} and {after[0]}.", "Pad other axes.")
    grown = [axis for axis in range(1, len(before)) if before[axis] or after[axis]]
    for axis in grown:
        size = site.type_of(x).sample_shape[axis - 1]
        places = range(-before[axis], size + after[axis])
        if not places:
            raise site.fail(f"It crops all of axis {axis} of {site.type_of(x)}.", "Crop less.")
        inner = site if axis == grown[-1] else site.step(f"border{axis}")
        x = pick(inner, x, axis, [_PLACES[mode](place, size) for place in places])
    return x


def _mirrored(place: int, size: int) -> int:
    """Back and forth between both ends, neither twice in a row."""
    round_trip = max(2 * (size - 1), 1)
    return min(place % round_trip, -place % round_trip) if size > 1 else 0


Mode = Literal["edge", "reflect", "wrap"]
_PLACES: dict[Mode, Callable[[int, int], int]] = {
    "edge": lambda place, size: min(max(place, 0), size - 1),
    "reflect": _mirrored,
    "wrap": lambda place, size: place % size,
}
