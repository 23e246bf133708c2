"""Emitting ops that slide windows, and the arithmetic of their borders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...ir.windows import Pads, Pair
from .layout import reshape
from .site import Site

Ints = tuple[int, ...]
LARGEST_WINDOW = 1 << 20  # elements along an axis


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: one entry per spatial axis, ``(h, w)``, ``(l,)`` or ``(d, h, w)``."""

    kernel: Ints
    stride: Ints
    dilation: Ints
    before: Ints
    after: Ints

    def axes(self, first: int, last: int) -> Window:
        """The same window over some of the axes, filled up to two."""
        ones, zeros = (1,) * (2 - last + first), (0,) * (2 - last + first)
        return Window(
            self.kernel[first:last] + ones,
            self.stride[first:last] + ones,
            self.dilation[first:last] + ones,
            self.before[first:last] + zeros,
            self.after[first:last] + zeros,
        )

    def planar(self) -> Plane:
        """The window over height and width; one axis is the width."""
        rows = (1,) * (2 - len(self.kernel)), (0,) * (2 - len(self.kernel))
        kernel, stride, dilation = (
            _pair(rows[0] + each) for each in (self.kernel, self.stride, self.dilation)
        )
        before, after = _pair(rows[1] + self.before), _pair(rows[1] + self.after)
        return Plane(kernel, stride, dilation, (*before, *after))

    @property
    def spans(self) -> Ints:
        """Elements from the first to the last that a window reads, per axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))


@dataclass(frozen=True, slots=True)
class Plane:
    """A window over height and width in the IR's terms."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pads


def _pair(values: Ints) -> Pair:
    height, width = values
    return height, width


def window(
    site: Site,
    x: str,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    before: Sequence[int] = (),
    after: Sequence[int] = (),
    most: int = 2,
) -> Window:
    """A checked window over x; empty means 1 for strides and dilations and 0 for the border.

    Raises ImportModelError unless x is ``(n, c, l)`` or ``(n, c, h, w)``, or more up to ``most``
    axes behind c, and every entry is legal.
    """
    axes = len(site.type_of(x).shape) - 2
    if not 1 <= axes <= most:
        raise site.fail(
            f"Its input is {site.type_of(x)}.",
            "Supported are (n, channels, length) and (n, channels, height, width).",
        )
    ones, zeros = (1,) * axes, (0,) * axes
    made = Window(
        tuple(kernel),
        tuple(stride) or ones,
        tuple(dilation) or ones,
        tuple(before) or zeros,
        tuple(after) or zeros,
    )
    positive = (made.kernel, made.stride, made.dilation)
    border = (made.before, made.after)
    legal = all(len(each) == axes for each in (*positive, *border))
    legal = legal and all(min(each) >= 1 for each in positive)
    bounded = max(max(each, default=0) for each in (*positive, *border)) <= LARGEST_WINDOW
    if not legal or not bounded or any(min(each) < 0 for each in border):
        raise site.fail(
            f"Kernel {made.kernel}, strides {made.stride}, dilations {made.dilation} and pads "
            f"{made.before} {made.after} do not describe a window over {axes} axes.",
            "Sizes must be positive and pads not negative, with one entry per spatial axis, all at "
            f"most {LARGEST_WINDOW}.",
        )
    return made


def same_size(sizes: Ints, given: Window, *, upper: bool) -> Window:
    """The window with a border that makes the result ``ceil(size / stride)`` long.

    An odd border has its larger half at the end when ``upper``, else at the beginning.
    """
    totals = [
        max((-(-size // stride) - 1) * stride + span - size, 0)
        for size, stride, span in zip(sizes, given.stride, given.spans, strict=True)
    ]
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    before, after = (small, large) if upper else (large, small)
    return replace(given, before=before, after=after)


def rounded_up(sizes: Ints, given: Window) -> Window:
    """The window with a border that also fits the last, partial step (ceil mode).

    A window that would begin beyond the input and its leading border is dropped.
    """
    after = []
    for axis, size in enumerate(sizes):
        before, stride, span = given.before[axis], given.stride[axis], given.spans[axis]
        count = -((span - size - before - given.after[axis]) // stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        after.append(max((count - 1) * stride + span - size - before, given.after[axis]))
    return replace(given, after=tuple(after))


def over_2d(site: Site, x: str, apply: Callable[[Site, str], str]) -> str:
    """``apply`` to ``(n, c, h, w)``; to ``(n, c, l)`` by way of height 1."""
    shape = site.type_of(x).sample_shape
    if len(shape) == 3:
        return apply(site, x)
    image = reshape(site.step("in"), x, (shape[0], 1, shape[1]))
    result = apply(site.step("2d"), image)
    channels, _, length = site.type_of(result).sample_shape
    return reshape(site, result, (channels, length))
