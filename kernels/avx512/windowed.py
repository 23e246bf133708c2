"""Depthwise conv and sum_pool: one filter for every channel."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm
from typing import Any

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_pool import SumPool
from ..job import Border, Job
from ..place import FLIP, Place, flips, is_byte
from ..routine import Routine, routine_row
from .constants import aligned, wrapped
from .depthwise import AT_ONCE, BLOCK, FOUR, depthwise
from .emit import LANES
from .linear import Window, end_of, ends, finish_of, places_of, sources, targets, window_of


def _ends(job: Job) -> bool:
    return job.added is None and ends(job)


def accepts_conv(job: Job) -> bool:
    """A group for every channel, of one filter, codes and weights of a byte."""
    x, weight = job.types[:2]
    known = all(constant is not None for constant in job.constants[1:]) and len(job.constants) < 4
    if not known or not is_byte(x) or not -128 <= weight.dtype.lo <= weight.dtype.hi <= 127:
        return False
    each = x.sample_shape[0] == getattr(job.op, "groups", 1) == len(np.asarray(job.constants[1]))
    return each and _ends(job)


def accepts_pool(job: Job) -> bool:
    """Codes of a byte."""
    return is_byte(job.types[0]) and _ends(job)


def pool_borders(job: Job) -> list[Border]:
    """What is added up around x."""
    op: Any = job.op
    return [Border(op.pads, op.pad_value)]


def make_conv(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine of a depthwise conv."""
    weight = np.asarray(job.constants[1])
    bias = job.constants[2] if len(job.constants) > 2 else None
    return _made(
        job, operands[0], out, samples, window_of(job), weight.reshape(len(weight), -1), bias
    )


def make_pool(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine of a sum_pool: all weights are 1."""
    op = job.op
    assert isinstance(op, SumPool)
    ones = np.ones((operands[0].shape[2], op.kernel[0] * op.kernel[1]), np.int8)
    window = Window(op.kernel, op.strides, (1, 1), op.pads)
    return _made(job, operands[0], out, samples, window, ones, None)


def _made(
    job: Job, x: Place, out: Place, samples: int, window: Window, weight: Array, bias: Array | None
) -> Routine:
    start = np.zeros(len(weight), np.int64) if bias is None else bias.astype(np.int64)
    if flips(job.types[0]):
        start = start - FLIP * weight.astype(np.int64).sum(axis=1)
    rows, columns, channels = out.shape
    pixels = columns if window.strides[1] == 1 else 1
    own = _blocks(channels, pixels)
    found = places_of(x, window)
    places = np.pad(found, (0, -found.size % FOUR), mode="edge")  # their weights are 0
    return routine_row(
        depthwise(end_of(job), out.item).address,
        (
            *(x.offset, out.offset),
            sources(x, window, samples, AT_ONCE, pixels),
            targets(out, samples, AT_ONCE, pixels),
            *(rows * columns // pixels, pixels * channels, places, len(places) // FOUR),
            *(_pack(weight[own]), aligned(wrapped(start)[own])),
            *(finish_of(job, lambda each: each[own].reshape(-1), out), len(own)),
        ),
    )


def _blocks(channels: int, pixels: int) -> Array:
    """Channels ``(blocks, 4, 16)`` of the elements of blocks, woven, until they come again."""
    count = min(lcm(channels, BLOCK), -(-channels * pixels // BLOCK) * BLOCK) // BLOCK
    every = np.arange(count * BLOCK) % channels
    return every.reshape(count, 4, 4, 4).transpose(0, 2, 1, 3).reshape(count, 4, LANES)


def _pack(weight: Array) -> Array:
    """Weights ``(blocks, 4, 16, k)`` -> int8 ``(blocks, steps, 4, 16, FOUR)``."""
    full = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, -weight.shape[3] % FOUR)))
    split = full.reshape(*full.shape[:3], full.shape[3] // FOUR, FOUR)
    return aligned(split.transpose(0, 3, 1, 2, 4).astype(np.int8))
