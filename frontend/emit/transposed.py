"""Emitting transposed convolution as a convolution, a shuffle and a slice.

An output at ``o = stride * m + r - before`` reads only the taps ``k`` with ``dilation * k = r``
modulo the stride. So each of the ``stride`` phases ``r`` is a plain convolution; one convolution
with all phases as filters computes them, and two transposes interleave them. It is exact, no zero
is stuffed into the image, and each weight is multiplied as often as the definition asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...ir.numeric import Array, narrowest
from ...ir.ops_linear import Conv
from ...ir.windows import Pads
from .layout import cut, reshape, transpose
from .site import Coded, Constant, Site, derive, rearrange
from .window import Ints, Window, over_2d


@dataclass(frozen=True, slots=True)
class _Axis:
    """One spatial axis: the window on it, and the sizes of the input and of the result."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    result: int

    @property
    def taps(self) -> int:
        """Taps of one phase."""
        return self.dilation * (self.kernel - 1) // self.stride + 1

    @property
    def first(self) -> int:
        """The first place m that is computed: none before it is needed."""
        return min(self.before // self.stride, self.taps - 1)

    @property
    def pads(self) -> tuple[int, int]:
        """Zeros around the input such that the convolution reaches from ``first`` to the last m."""
        last = (self.before + self.result - 1) // self.stride
        return self.taps - 1 - self.first, max(last + 1 - self.size, 0)

    @property
    def kept(self) -> tuple[int, int, int]:
        """The result within the interleaved phases."""
        start = self.before - self.first * self.stride
        return start, start + self.result, 1


def transposed_size(sizes: Ints, window: Window, extra: Ints) -> Ints:
    """Sizes of the result of a transposed convolution; ``extra`` is added at the end."""
    rows = zip(sizes, window.stride, window.spans, window.before, window.after, extra, strict=True)
    return tuple(s * (size - 1) + span - b - a + e for size, s, span, b, a, e in rows)


def conv_transposed(
    site: Site,
    x: str,
    kernel: Constant,
    bias: Constant | None,
    window: Window,
    groups: int,
    result: Ints,
) -> str:
    """Transposed convolution of ``(n, c, h, w)`` or ``(n, c, l)`` to spatial sizes ``result``.

    ``kernel`` is ``(c, co / groups, kh, kw)`` or ``(c, co / groups, k)``, ``bias`` ``(co,)``.
    Raises ImportModelError when the operands do not fit.
    """
    sizes = site.type_of(x).sample_shape
    channels, rank = kernel.array.shape[0], kernel.array.ndim
    if rank != len(sizes) + 1 or groups < 1 or channels != sizes[0] or channels % groups:
        raise site.fail(
            f"Weight '{kernel.name}' of shape {kernel.array.shape} in {groups} groups does not fit "
            f"{site.type_of(x)}.",
            "It must be (channels, filters per group, kernel sizes).",
        )
    if min(result) < 1:
        raise site.fail(f"Its result would have the sizes {result}.", "Reduce its pads.")
    if rank == 3:
        kernel = rearrange(site, kernel, "2d", lambda array: array[:, :, None, :])
    height, width = _axes(kernel.array.shape[2:], sizes, window, result)
    operands = [site.constant(_filters(site, kernel, groups, height, width))]
    if bias is not None:
        operands.append(site.constant(_repeated(site, bias, height.stride * width.stride)))

    def convolve(inner: Site, image: str, pads: Pads) -> str:
        return inner.emit(Conv(pads=pads, groups=groups), image, *operands)

    return over_2d(
        site, x, lambda inner, image: _upsampled(inner, image, convolve, (height, width))
    )


Convolve = Callable[[Site, str, Array, Pads], str]


def interleaved(
    site: Site, x: str, kernel: Array, window: Window, result: Ints, convolve: Convolve
) -> str:
    """The transposed convolution of an image whose phases are computed by ``convolve``.

    ``kernel`` is ``(c, co, kh, kw)``. ``convolve`` takes a site, the image, the filters of all
    phases ``(co * phases, c, taps, taps)`` and pads, and returns their plain convolution: codes or
    reals, one channel per filter.
    """
    axes = _axes(kernel.shape[2:], site.type_of(x).sample_shape, window, result)
    filters = _phases(kernel, 1, *axes)
    return _upsampled(
        site, x, lambda inner, image, pads: convolve(inner, image, filters, pads), axes
    )


def _axes(kernel: Ints, sizes: Ints, window: Window, result: Ints) -> tuple[_Axis, _Axis]:
    """Height and width, for ``(c, h, w)`` or ``(c, l)``."""
    lines = (1,) * (3 - len(sizes))
    plane = window.planar()
    height, width = (
        _Axis(size, kernel_size, stride, dilation, before, wanted)
        for size, kernel_size, stride, dilation, before, wanted in zip(
            lines + sizes[1:],
            plane.kernel,
            plane.strides,
            plane.dilations,
            plane.pads[:2],
            lines + result,
            strict=True,
        )
    )
    return height, width


def _filters(site: Site, kernel: Constant, groups: int, height: _Axis, width: _Axis) -> Constant:
    """The kernel ``(c, co / groups, kh, kw)`` as the filters of all phases, codes as codes.

    A tap that a phase lacks is 0, so that codes lose their zero point first.
    """
    coded = kernel.coded
    if coded is None:
        return derive(site, kernel, "phases", lambda array: _phases(array, groups, height, width))
    per_channel = max(coded.scale.size, coded.zero_point.size) > 1
    if per_channel and coded.axis != 1:
        raise site.fail(
            f"The weight '{kernel.name}' has one scale per input channel.",
            "Use one scale per filter, or one for the whole weight.",
        )
    zero = coded.zero_point.reshape(-1, 1, 1) if coded.zero_point.size > 1 else coded.zero_point
    codes = _phases(coded.codes.astype(np.int64) - zero, groups, height, width)
    least, most = int(codes.min(initial=0)), int(codes.max(initial=0))
    dtype = coded.dtype if coded.dtype.contains(codes) else narrowest(least, most)
    scale = coded.scale
    if scale.size > 1:
        scale = np.repeat(np.tile(scale, groups), height.stride * width.stride)
    made = Coded(codes, dtype, scale, np.zeros((), dtype=np.int64))
    return Constant.of_codes(f"{kernel.name}.phases", made)


def _repeated(site: Site, bias: Constant, phases: int) -> Constant:
    """A bias with each element repeated for all phases, codes as codes."""
    coded = bias.coded
    if coded is None:
        return derive(site, bias, "phases", lambda array: np.repeat(array, phases))
    scale, zero = (
        np.repeat(each, phases) if each.size > 1 else each
        for each in (coded.scale, coded.zero_point)
    )
    made = Coded(np.repeat(coded.codes, phases), coded.dtype, scale, zero)
    return Constant.of_codes(f"{bias.name}.phases", made)


def _upsampled(
    site: Site, x: str, convolve: Callable[[Site, str, Pads], str], axes: tuple[_Axis, _Axis]
) -> str:
    height, width = axes
    top, bottom = height.pads
    left, right = width.pads
    convolved = convolve(site.step("conv"), x, (top, left, bottom, right))
    columns = _interleave(site.step("columns"), convolved, width.stride)
    rows = _interleave_rows(site.step("rows"), columns, height.stride)
    return cut(site, rows, {2: height.kept, 3: width.kept})


def _interleave(site: Site, x: str, stride: int) -> str:
    """``(c * stride, h, w)`` -> ``(c, h, w * stride)``."""
    if stride == 1:
        return x
    channels, height, width = site.type_of(x).sample_shape
    split = reshape(site.step("split"), x, (channels // stride, stride, height, width))
    moved = transpose(site.step("moved"), split, (0, 1, 3, 4, 2))
    return reshape(site, moved, (channels // stride, height, width * stride))


def _interleave_rows(site: Site, x: str, stride: int) -> str:
    """``(c * stride, h, w)`` -> ``(c, h * stride, w)``."""
    if stride == 1:
        return x
    channels, height, width = site.type_of(x).sample_shape
    split = reshape(site.step("split"), x, (channels // stride, stride, height, width))
    moved = transpose(site.step("moved"), split, (0, 1, 3, 2, 4))
    return reshape(site, moved, (channels // stride, height * stride, width))


def _phases(weight: Array, groups: int, height: _Axis, width: _Axis) -> Array:
    """``(c, co / groups, kh, kw)`` -> ``(co * sh * sw, c / groups, taps, taps)``, sw innermost."""
    channels, filters = weight.shape[:2]
    full = np.zeros(
        (channels, filters, height.taps * height.stride, width.taps * width.stride), weight.dtype
    )
    rows, columns = (axis.dilation * np.arange(axis.kernel) for axis in (height, width))
    full[:, :, rows[:, None], columns] = weight
    split = full.reshape(
        groups, channels // groups, filters, height.taps, height.stride, width.taps, width.stride
    )
    flipped = split[:, :, :, ::-1, :, ::-1]
    order = flipped.transpose(0, 2, 4, 6, 1, 3, 5)
    return order.reshape(-1, channels // groups, height.taps, width.taps)
