"""conv and dense as products of panels: which ones, how weights are packed, where patches begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense, GatherConv, border_sums
from ...ir.ops_quant import Requantize, Threshold
from ...ir.tensor import TensorType
from ...ir.windows import Pads, Pair, output_hw
from ..job import Border, Job
from ..place import FLIP, NO_BORDER, Place, channels_of, is_byte
from ..routine import Routine, routine_row
from . import addition, finish, signs
from .constants import aligned, wrapped
from .emit import LANES
from .ending import ADDED, SIGNS, SUMS
from .finish import Scaling
from .multiply import multiply
from .steps import Steps, steps


class Window(NamedTuple):
    """How patches lie in x."""

    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = NO_BORDER


def accepts(job: Job) -> bool:
    """Codes and weights of a byte, in groups of more than one channel."""
    x, weight = job.types[:2]
    known = all(constant is not None for constant in job.constants[1:])
    if not known or not is_byte(x) or not -128 <= weight.dtype.lo <= weight.dtype.hi <= 127:
        return False
    if isinstance(job.op, Dense):
        return len(x.shape) < 4 and ends(job)
    assert isinstance(job.op, Conv)
    depthwise = job.op.groups > 1 and weight.sample_shape[1] == 1
    return not depthwise and ends(job)


def ends(job: Job) -> bool:
    """Whether sums are stored as they are, or requantized, and added, as routines can."""
    if job.epilogue is None:
        return job.added is None
    channels_last = len(job.result.shape) != 3 or _all_alike(job)
    if not channels_last or stage(job, 0) is None:
        return False
    return job.added is None or addition.accepts(job.added.job)


def _all_alike(job: Job) -> bool:
    """Whether all channels have the same parameters."""
    if isinstance(job.epilogue, Threshold):
        return len(job.parameters[0]) == 1
    return all(each.size == 1 for each in job.parameters)


def stage(job: Job, flip: int) -> Scaling | Steps | None:
    """The epilogue, by channel, with codes ``flip`` greater; None where registers have no way."""
    epilogue, channels = job.epilogue, channels_of(job.result)
    found: Scaling | Steps | None = None
    if isinstance(epilogue, Requantize):
        found = finish.scaling(channels, job.parameters, epilogue.lo, epilogue.hi)
    if isinstance(epilogue, Threshold):
        found = steps(channels, job.parameters[0], epilogue.base)
    return found.moved(flip) if found and flip else found


def end_of(job: Job) -> str:
    """How sums end, in the words of ``ending``."""
    found = None if job.epilogue is None else stage(job, 0)
    if found is None:
        return SUMS
    if job.added is None:
        return found.bits
    return f"{found.bits}{ADDED}{addition.scaling_of(job.added.job).bits}"


def borders(job: Job) -> list[Border]:
    """What a conv is padded with."""
    op = job.op
    others = [Border()] * (len(job.active) - 1)
    return [Border(op.pads, op.pad_value) if isinstance(op, Conv) else Border(), *others]


def window_of(job: Job) -> Window:
    """Dense is a window of one pixel."""
    op, weight = job.op, job.types[1]
    if not isinstance(op, Conv):
        return Window()
    kh, kw = weight.sample_shape[2:]
    return Window((kh, kw), op.strides, op.dilations, op.pads)


@dataclass(frozen=True)
class Packed:
    """Constants of a product of panels: how many patches and vectors of channels a tile has, the
    weights, what sums begin with, for each patch of a sample where that is, and how channels lie.
    """

    rows: int
    wide: int
    panels: Array
    bias: Array
    kinds: Array
    spread: Callable[[Array], Array]


def packed(job: Job, runs: Array, weight: Array, flipped: bool, groups: int) -> Packed:
    """Weights ``(co, runs, k)`` and what sums begin with, as tiles want them."""
    channels = len(weight) // groups
    rows, wide = (16, 1) if channels <= LANES else (8, 2)
    starts, kinds = starts_of(job, weight, flipped)
    starts = by_panel(starts, groups, wide)

    def spread(values: Array) -> Array:
        return by_panel(values[None], groups, wide)[0]

    panels = _pack(runs, groups, wide)
    return Packed(rows, wide, panels, aligned(starts), kinds * starts[0].nbytes, spread)


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine that multiplies, adds the bias, and requantizes."""
    x, *others = operands
    window, groups = window_of(job), getattr(job.op, "groups", 1)
    weight = np.asarray(job.constants[1])
    runs, parts = runs_of(x, window, weight.reshape(len(weight), *window.kernel, -1), groups)
    made = packed(job, parts, weight, x.flipped, groups)
    end = SIGNS if out.bits else end_of(job)
    return routine_row(
        multiply(made.rows, made.wide, end, out.item).address,
        (
            *(x.offset, out.offset, others[0].offset if others else 0),
            sources(x, window, samples, made.rows),
            targets(out, samples, made.rows),
            targets(others[0], samples, made.rows) if others else 0,
            for_samples(made.kinds, samples, made.rows),
            *(made.kinds.size, groups, x.shape[2] // groups * x.item, len(weight) // groups),
            *(runs, len(runs), made.panels.shape[3]),
            *(made.panels, made.bias, finish_of(job, made.spread, out, others)),
        ),
    )


def _output(x: Place, window: Window) -> Pair:
    height, width, channels = x.shape
    type_ = TensorType(("n", channels, height, width), x.type.dtype)
    return output_hw(type_, window.kernel, window.strides, window.dilations, window.pads)


def sources(x: Place, window: Window, samples: int, more: int, every: int = 1) -> Array:
    """Where one in ``every`` patches of all samples begins, then ``more`` times the last."""
    (down, across), (top, left, _, _) = window.strides, window.pads
    rows, columns = _output(x, window)
    first = x.origin - top * x.row - left * x.pixel
    along = (columns // every, every * across * x.pixel)
    return _table(samples, x.sample, first, (rows, down * x.row), along, more)


def targets(out: Place, samples: int, more: int, every: int = 1) -> Array:
    """Where one in ``every`` pixels of all samples begins, then ``more`` times the last."""
    rows, columns, _ = out.shape
    along = (columns // every, every * out.pixel)
    return _table(samples, out.sample, out.origin, (rows, out.row), along, more)


def _table(samples: int, apart: int, first: int, rows: Pair, columns: Pair, more: int) -> Array:
    steps = [np.arange(count) * step for count, step in ((samples, apart), rows, columns)]
    every = first + np.add.outer(np.add.outer(steps[0], steps[1]), steps[2]).reshape(-1)
    return np.pad(every, (0, more), mode="edge").astype(np.int32)


def for_samples(values: Array, samples: int, more: int) -> Array:
    """The same values for every sample, then ``more`` times the last."""
    return np.pad(np.tile(values, samples), (0, more), mode="edge").astype(np.int32)


def places_of(x: Place, window: Window) -> Array:
    """Where the pixels of a patch lie from its beginning on."""
    (kh, kw), (down, across) = window.kernel, window.dilations
    return np.add.outer(np.arange(kh) * down * x.row, np.arange(kw) * across * x.pixel).reshape(-1)


def runs_of(x: Place, window: Window, weight: Array, groups: int) -> tuple[Array, Array]:
    """Where runs of neighbours begin in a patch, and weights ``(co, runs, elements)``.

    Pixels of a row of the kernel are neighbours unless they are dilated or groups lie between.
    """
    parts, places = parts_of(window, weight, groups), places_of(x, window)
    return places[:: places.size // parts.shape[1]], parts


def parts_of(window: Window, weight: Array, groups: int) -> Array:
    """The weights ``(co, runs, elements)`` of ``runs_of``."""
    (kh, kw), co, channels = window.kernel, len(weight), weight.shape[-1]
    if kw == 1 or (window.dilations[1] == 1 and groups == 1):
        return weight.reshape(co, kh, kw * channels)
    return weight.reshape(co, kh * kw, channels)


def _pack(weight: Array, groups: int, wide: int) -> Array:
    """Weights ``(co, runs, k)`` -> int8 ``(groups, panels, runs, words, wide, LANES, 4)``."""
    each = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    lanes = wide * LANES
    full = np.pad(each, ((0, 0), (0, -each.shape[1] % lanes), (0, 0), (0, -each.shape[3] % 4)))
    split = full.reshape(groups, -1, wide, LANES, full.shape[2], full.shape[3] // 4, 4)
    return aligned(split.transpose(0, 1, 4, 5, 2, 3, 6).astype(np.int8))


def starts_of(job: Job, weight: Array, flipped: bool) -> tuple[Array, Array]:
    """What sums begin with: int32 ``(kinds, co)``, and for every patch of a sample which it is.

    Modulo 2**32: all sums fit int32 in the end. There are several kinds where the border adds to
    them.
    """
    op, start = job.op, np.zeros(len(weight), np.int64)
    after = op.listed + 1 if isinstance(op, GatherConv) else 2
    bias, border, *_ = (*job.constants[after:], None, None)
    if bias is not None:
        start += bias
    if flipped:
        start -= FLIP * weight.astype(np.int64).reshape(len(weight), -1).sum(axis=1)
    pixels, added = job.result.elements // len(weight), np.zeros((1, len(weight)), np.int64)
    if border is not None and isinstance(op, Conv | GatherConv):
        sums = border_sums(op, job.types[0].sample_shape[1:], border)
        added = sums.reshape(-1, pixels).T
    every, kinds = np.unique(added, axis=0, return_inverse=True)
    return wrapped(every + start), np.broadcast_to(kinds.reshape(-1), (pixels,))


def by_panel(values: Array, groups: int, wide: int) -> Array:
    """Values ``(k, co)`` -> ``(k, groups * panels * wide * LANES)``, zeros in unused lanes."""
    each = values.reshape(len(values), groups, -1)
    full = np.pad(each, ((0, 0), (0, 0), (0, -each.shape[2] % (wide * LANES))))
    return full.reshape(len(values), -1)


def finish_of(
    job: Job, spread: Callable[[Array], Array], out: Place, others: Sequence[Place] = ()
) -> Array:
    """Parameters of all panels, with channels as ``spread`` orders them."""
    if job.epilogue is None:
        return np.zeros(1, np.uint8)
    if out.bits:
        return signs.parameters_of(job, spread)
    found = stage(job, FLIP if out.flipped and job.added is None else 0)
    assert found is not None
    blocks = found.spread(spread).pack(bytes_=out.item == 1 and job.added is None)
    if job.added is None:
        return aligned(blocks)
    add, index = job.added.job, job.added.index
    more = addition.parameters_of(add, job.added.ordered(None, *others), out, (index, 1 - index))
    return aligned(np.concatenate([blocks, np.tile(more, (len(blocks), 1))], axis=1))
