"""conv, gather_conv, dense and sum_pool in the portable tier: geometry and packing.

The loops: convolve.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..ir.layout import from_storage
from ..ir.numeric import Array, NumericType
from ..ir.ops_linear import Conv, Dense, GatherConv, border_sums
from ..ir.ops_pool import SumPool
from ..ir.tensor import BATCH, TensorType
from ..ir.windows import Pads, Pair, output_hw
from . import convolve
from .convolve import BLOCK, LANES, ROWS
from .kernel import Kernel, Operands, Types

Element = type[np.int16] | type[np.int32]
_SLACK = 2
"""Elements after an image: a run of odd length reads one more, and multiplies it by 0."""


class _Window(NamedTuple):
    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    pad_value: int = 0


@dataclass(frozen=True, slots=True)
class _Image:
    """A sample ``(h, w, c)`` within its border, as one row of ``size`` elements.

    The sample's rows of ``w * c`` elements begin at ``corner`` and lie ``pitch`` apart. A patch
    begins at one of ``starts``; from there its taps of c elements lie at ``taps`` ``(kh, kw)``.
    """

    rows: int
    size: int
    corner: int
    pitch: int
    starts: Array
    taps: Array


def _grid(rows: int, columns: int, down: int, across: int) -> Array:
    """Offsets ``(rows, columns)`` of points that lie ``down`` and ``across`` apart."""
    return np.add.outer(np.arange(rows) * down, np.arange(columns) * across)


def _image(x: TensorType, window: _Window) -> _Image:
    channels, height, width = x.sample_shape
    kernel, strides, dilations, (top, left, bottom, right), _ = window
    pitch = (width + left + right) * channels
    counts = output_hw(x, kernel, strides, dilations, window.pads)
    return _Image(
        height,
        (height + top + bottom) * pitch + _SLACK,
        top * pitch + left * channels,
        pitch,
        _grid(*counts, strides[0] * pitch, strides[1] * channels).reshape(-1),
        _grid(*kernel, dilations[0] * pitch, dilations[1] * channels),
    )


def _element(pad_value: int, *dtypes: NumericType) -> Element:
    """int16 when every operand fits, else int32 (modulo 2**32)."""
    narrow = np.iinfo(np.int16)
    ends = [pad_value, *(end for dtype in dtypes for end in (dtype.lo, dtype.hi))]
    return np.int16 if narrow.min <= min(ends) and max(ends) <= narrow.max else np.int32


def _wrapped(array: Array, element: Element) -> Array:
    """The array modulo 2**16 or 2**32, writable: all kernels see one numba type."""
    return np.array(array, dtype=element, order="C")


def _pack(weight: Array, groups: int, runs: int, element: Element) -> Array:
    """Weight ``(co, ...)`` in storage order -> ``(groups, panels, runs, steps, LANES, p)``."""
    pair = 2 if element is np.int16 else 1
    rows = _wrapped(weight, element).reshape(groups, len(weight) // groups, runs, -1)
    full = np.pad(rows, ((0, 0), (0, -rows.shape[1] % LANES), (0, 0), (0, -rows.shape[3] % pair)))
    split = full.reshape(groups, -1, LANES, runs, full.shape[3] // pair, pair)
    return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 2, 5))


def _pack_bias(bias: Array, groups: int) -> Array:
    """Bias ``(co,)`` -> int32 ``(groups, panels, LANES)``."""
    rows = _wrapped(bias, np.int32).reshape(groups, -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % LANES))).reshape(groups, -1, LANES)


def _bias(inputs: Operands) -> Array:
    return inputs[2] if len(inputs) > 2 else np.zeros(len(inputs[1]), np.int32)


def _starts(image: _Image) -> tuple[int, Array]:
    """How many samples go together, and where each patch of them begins, padded to ROWS."""
    together = max(1, 2 * BLOCK // image.starts.size)
    every = np.add.outer(np.arange(together) * image.size, image.starts).reshape(-1)
    return together, np.pad(every, (0, -every.size % ROWS))


def _convolution(
    image: _Image, groups: int, per_group: int, pad_value: int, element: Element, *, whole: bool
) -> Kernel:
    """``whole``: the taps of one row of the kernel are neighbours and make one run."""
    taps = (image.taps[:, :1] if whole else image.taps).reshape(-1)
    runs = np.arange(groups)[:, None] * per_group + taps
    together, starts = _starts(image)

    def prepare(op: Conv | Dense, inputs: Operands) -> Operands:
        weight = _pack(inputs[1], groups, runs.shape[1], element)
        return inputs[0], weight, _pack_bias(_bias(inputs), groups)

    def run(op: Conv | Dense, inputs: Operands, out: Array) -> None:
        x, panels, bias = inputs
        convolve.convolve(
            x.reshape(len(x), image.rows, -1),
            panels,
            bias,
            np.full((together, image.size), pad_value, element),
            image.corner,
            image.pitch,
            starts,
            runs,
            out.reshape(len(x), image.starts.size, -1),
        )

    return Kernel(run, prepare)


def _bordered(inner: Kernel, size: tuple[int, ...]) -> Kernel:
    """``inner``, then what the last operand, border, adds where the kernel overhangs (h, w)."""

    def prepare(op: Conv | GatherConv, inputs: Operands) -> Operands:
        sums = border_sums(op, size, inputs[-1])
        rows = sums.reshape(len(sums), -1).T
        places = np.flatnonzero(rows.any(axis=1))
        return *inner.prepare(op, inputs[:-1]), places, _wrapped(rows[places], np.int32)

    def run(op: Conv | GatherConv, inputs: Operands, out: Array) -> None:
        inner.run(op, inputs[:-2], out)
        convolve.add_at(out.reshape(len(out), -1, out.shape[-1]), *inputs[-2:])

    return Kernel(run, prepare)


def conv(op: Conv, types: Types) -> Kernel:
    """x ``(n, h, w, c)``, weight ``(co, kh, kw, c / groups)``, bias ``(co,)``, border."""
    if len(types) > 3:
        return _bordered(conv(op, types[:3]), types[0].sample_shape[1:])
    x, weight = types[:2]
    channels, per_group, kh, kw = weight.sample_shape
    window = _Window((kh, kw), op.strides, op.dilations, op.pads, op.pad_value)
    element = _element(op.pad_value, x.dtype, weight.dtype)
    if per_group == 1 and channels == op.groups > 1:
        return _depthwise(x, window, element)
    whole = op.groups == 1 and op.dilations[1] == 1
    return _convolution(_image(x, window), op.groups, per_group, op.pad_value, element, whole=whole)


def gather_conv(op: GatherConv, types: Types) -> Kernel:
    """x ``(n, h, w, c)``, weight ``(co, k)``, columns ``(k,)``, bias ``(co,)``, border."""
    if len(types) > 4:
        return _bordered(gather_conv(op, types[:4]), types[0].sample_shape[1:])
    x, weight = types[:2]
    image = _image(x, _Window(op.kernel, op.strides, op.dilations, op.pads, op.pad_value))
    element = _element(op.pad_value, x.dtype, weight.dtype)
    together, starts = _starts(image)

    def prepare(op: GatherConv, inputs: Operands) -> Operands:
        place, channel = np.divmod(inputs[2].astype(np.int64), x.sample_shape[0])
        bias = _bias([*inputs[:2], *inputs[3:]])
        offsets = (image.taps.reshape(-1)[place] + channel).astype(np.uintp)
        return inputs[0], _pack(inputs[1], 1, 1, element)[0], _pack_bias(bias, 1)[0], offsets

    def run(op: GatherConv, inputs: Operands, out: Array) -> None:
        x, panels, bias, offsets = inputs
        convolve.gather(
            x.reshape(len(x), image.rows, -1),
            panels,
            bias,
            np.full((together, image.size), op.pad_value, element),
            image.corner,
            image.pitch,
            starts,
            offsets,
            out.reshape(len(x), image.starts.size, -1),
        )

    return Kernel(run, prepare)


def dense(op: Dense, types: Types) -> Kernel:
    """x ``(n, ..., k)``, weight ``(co, k)``, bias ``(co,)``: a 1x1 conv over all rows of x."""
    x, weight = types[:2]
    channels, depth = weight.sample_shape
    row = _image(TensorType((BATCH, depth, 1, 1), x.dtype), _Window((1, 1)))
    inner = _convolution(row, 1, depth, 0, _element(0, x.dtype, weight.dtype), whole=True)

    def run(op: Dense, inputs: Operands, out: Array) -> None:
        rows = np.ascontiguousarray(from_storage(inputs[0])).reshape(-1, depth)
        result = np.empty((len(rows), channels), np.int32) if out.ndim == 4 else out
        inner.run(op, (rows, *inputs[1:]), result.reshape(-1, channels))
        if out.ndim == 4:
            logical = from_storage(out)
            logical[...] = result.reshape(logical.shape)

    return Kernel(run, inner.prepare)


def _depthwise(x: TensorType, window: _Window, element: Element) -> Kernel:
    """Patches one element apart (horizontal stride 1) are computed together, a row at a time."""
    image = _image(x, window)
    width = output_hw(x, *window[:4])[1] if window.strides[1] == 1 else 1
    starts, taps = np.ascontiguousarray(image.starts[::width]), image.taps.reshape(-1)

    def prepare(op: Conv | SumPool, inputs: Operands) -> Operands:
        weight = np.tile(inputs[1].reshape(-1, taps.size).T, width)
        return (
            inputs[0],
            _wrapped(weight, element),
            _wrapped(np.tile(_bias(inputs), width), np.int32),
        )

    def run(op: Conv | SumPool, inputs: Operands, out: Array) -> None:
        x, weight, bias = inputs
        convolve.depthwise(
            x.reshape(len(x), image.rows, -1),
            weight,
            bias,
            np.full((1, image.size), window.pad_value, element),
            image.corner,
            image.pitch,
            starts,
            taps,
            out.reshape(len(x), starts.size, -1),
        )

    return Kernel(run, prepare)


def sum_pool(op: SumPool, types: Types) -> Kernel:
    """x ``(n, h, w, c)``: a depthwise conv whose weights are 1."""
    (x,) = types
    window = _Window(op.kernel, op.strides, (1, 1), op.pads, op.pad_value)
    inner = _depthwise(x, window, _element(op.pad_value, x.dtype))
    ones = np.ones((x.sample_shape[0], op.kernel[0] * op.kernel[1]), np.int16)
    return Kernel(inner.run, lambda op, inputs: inner.prepare(op, (*inputs, ones)))
