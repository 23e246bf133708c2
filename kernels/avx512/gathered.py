"""gather_conv: listed elements of patches brought together, then products of panels.

Of 64 channels of a pixel of the kernel those that are listed are moved together by one instruction
and stored behind those of the pixels before; what is stored beyond them is overwritten by the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...ir.numeric import Array
from ...ir.ops_linear import Conv, GatherConv
from ...ir.tensor import TensorType
from ..isa import features
from ..job import Border, Job
from ..place import Place, channels_of, is_byte
from ..routine import Routine, read, routine, routine_row
from ..routine import sources as sources_of_kernels
from . import emit, linear, zeros
from .constants import aligned
from .emit import BYTES, I64, LANES
from .ending import at, size_of
from .linear import (
    Window,
    end_of,
    ends,
    finish_of,
    for_samples,
    packed,
    sources,
    targets,
)
from .multiply import AT_ONCE
from .tile import multiply_tile

NEEDED = "avx512vbmi2"
"""The feature of what moves bytes together."""
PIECE = 64
MOVE = 5
"""Products of four elements with sixteen channels that take as long as moving a piece, measured."""
FIELDS = 3
"""Of a piece: where it begins in a patch, which of its bytes are listed, how many these are."""


def _declare(typingctx: Any, x: Any, sources: Any, pieces: Any, count: Any, out: Any) -> Any:
    """bring_together(x, sources, pieces, count, out): the listed bytes of the patch that begins at
    ``x + sources[0]`` (int32), to ``out``; pieces are int64 ``(count, FIELDS)``."""

    def emit_run(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, sources, pieces, count, out = args
        begin, name = at(builder, x, sources, 0), "llvm.x86.avx512.mask.compress.v64i8"

        def piece(index: Any, values: list[Any]) -> list[Any]:
            row = emit.plus(builder, pieces, builder.mul(index, I64(8 * FIELDS)))
            skip, mask, length = (
                emit.load(builder, emit.plus(builder, row, 8 * i), I64) for i in range(FIELDS)
            )
            codes = emit.load(builder, emit.plus(builder, begin, skip), BYTES)
            chosen = builder.bitcast(mask, ir.VectorType(ir.IntType(1), PIECE))
            zeros = emit.constant(0, BYTES)
            emit.store(builder, emit.call(builder, name, BYTES, codes, zeros, chosen), values[0])
            return [emit.plus(builder, values[0], length)]

        emit.loop(builder, count, [out], piece)
        return context.get_dummy_value()

    return types.void(x, sources, pieces, count, out), emit_run


bring_together: Any = intrinsic(_declare)


@cache
def gathered(rows: int, wide: int, end: str, item: int) -> Any:
    """The routine. Row: x, out, other (offsets); sources, targets, others, kinds (int32, of every
    sample, at least ``rows`` more than there are); patches of a sample, channels; pieces (int64),
    their count; bytes of a patch brought together, in words; weights, bias, parameters."""
    block, version, most = size_of(end), sources_of_kernels(), rows * AT_ONCE

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources_of_kernels)
        x, out, other = arena + read(p, 0), arena + read(p, 1), arena + read(p, 2)
        source, target, others, kinds = read(p, 3), read(p, 4), read(p, 5), read(p, 6)
        count, channels, pieces, piece_count = (
            samples * read(p, 7),
            read(p, 8),
            read(p, 9),
            read(p, 10),
        )
        words = read(p, 11)
        together = np.empty((most + 1) * words * 4 + 2 * PIECE, np.uint8)
        begins = np.arange(most + rows).astype(np.int32) * np.int32(words * 4)
        whole = np.zeros(1, np.int64)
        base, places, run_at = together.ctypes.data, begins.ctypes.data, whole.ctypes.data
        for first in range(0, count, most):
            last = min(count, first + most)
            for patch in range(first, last):
                to = base + (patch - first) * words * 4
                bring_together(x, source + 4 * patch, pieces, piece_count, to)
            weights, bias, finish = read(p, 12), read(p, 13), read(p, 14)
            for lane in range(0, channels, LANES * wide):
                patch = first
                while patch < last:
                    patches = (base, places + 4 * (patch - first), run_at, 1, words)
                    panel = (weights, bias, kinds + 4 * patch, finish)
                    into = (out + lane * item, target + 4 * patch, channels - lane)
                    added = (other + lane, others + 4 * patch)
                    if patch + rows <= last:
                        multiply_tile(rows, wide, end, item, patches, panel, into, added)
                        patch += rows
                    else:
                        multiply_tile(1, wide, end, item, patches, panel, into, added)
                        patch += 1
                weights += words * 64 * wide
                bias += 64 * wide
                finish += block * wide

    return routine(run)


def accepts(job: Job) -> bool:
    """Codes and weights of a byte; no column listed twice, or the machine moves bytes together."""
    x, weight = job.types[:2]
    known = all(constant is not None for constant in job.constants[1:])
    bytes_ = is_byte(x) and -128 <= weight.dtype.lo <= weight.dtype.hi <= 127
    return known and bytes_ and ends(job) and (_moves() or _whole(job) is not None)


def _moves() -> bool:
    """Whether the machine has what moves bytes together."""
    return NEEDED in features()


def borders(job: Job) -> list[Border]:
    """What it is padded with."""
    assert isinstance(job.op, GatherConv)
    return [Border(job.op.pads, job.op.pad_value), *[Border()] * (len(job.active) - 1)]


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine that takes less time: of the listed elements, or of all with weights of 0, which
    are multiplied or left out."""
    whole, (listed, every) = _whole(job), _times(job, operands[0])
    moves = _moves() and listed < every
    if whole is not None and zeros.pays(whole, listed if moves else every):
        return zeros.make(whole, operands, out, samples)
    if whole is not None and not moves:
        return linear.make(whole, operands, out, samples)
    return _gathering(job, operands, out, samples)


def _times(job: Job, x: Place) -> tuple[int, int]:
    """Of a patch, of the listed elements and of all: products of four with sixteen channels."""
    op, weight, columns = job.op, np.asarray(job.constants[1]), np.asarray(job.constants[2])
    assert isinstance(op, GatherConv)
    (kh, kw), channels, vectors = op.kernel, x.shape[2], -(-len(weight) // LANES)
    pieces = len(np.unique(columns.astype(np.int64) // channels))
    listed = -(-len(columns) // 4) * vectors + MOVE * pieces
    return listed, kh * -(-kw * channels // 4) * vectors


def _whole(job: Job) -> Job | None:
    """The conv with weights of 0 where no column is listed; None where one is listed twice."""
    op, weight, columns = job.op, np.asarray(job.constants[1]), np.asarray(job.constants[2])
    assert isinstance(op, GatherConv)
    if len(np.unique(columns)) < len(columns):
        return None
    (kh, kw), channels = op.kernel, channels_of(job.types[0])
    full = np.zeros((len(weight), kh * kw * channels), np.int8)
    full[:, columns] = weight
    conv = Conv(op.strides, op.pads, op.dilations, 1, op.pad_value)
    type_ = TensorType((len(weight), channels, kh, kw), job.types[1].dtype)
    return replace(
        job,
        op=conv,
        types=(job.types[0], type_, *job.types[3:]),
        constants=(None, full.reshape(len(weight), kh, kw, channels), *job.constants[3:]),
    )


def _gathering(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    op, (x, *others) = job.op, operands
    assert isinstance(op, GatherConv)
    window = Window(op.kernel, op.strides, op.dilations, op.pads)
    weight, columns = np.asarray(job.constants[1]), np.asarray(job.constants[2]).astype(np.int64)
    pieces, order = _pieces(x, window, columns)
    made = packed(job, weight[:, None, order], weight, x.flipped, groups=1)
    return routine_row(
        gathered(made.rows, made.wide, end_of(job), out.item).address,
        (
            *(x.offset, out.offset, others[0].offset if others else 0),
            sources(x, window, samples, made.rows),
            targets(out, samples, made.rows),
            targets(others[0], samples, made.rows) if others else 0,
            for_samples(made.kinds, samples, made.rows),
            *(made.kinds.size, len(weight), pieces, len(pieces), made.panels.shape[3]),
            *(made.panels, made.bias, finish_of(job, made.spread, out, others)),
        ),
    )


def _pieces(x: Place, window: Window, columns: Array) -> tuple[Array, Array]:
    """Pieces int64 ``(count, FIELDS)``, and the order in which they list the columns.

    A column that is listed again begins pieces anew.
    """
    channels, (_, kw) = x.shape[2], window.kernel
    order = np.argsort(columns, kind="stable")
    repeat = np.zeros(len(columns), np.int64)
    ranked = columns[order]
    for i in range(1, len(ranked)):
        repeat[i] = repeat[i - 1] + 1 if ranked[i] == ranked[i - 1] else 0
    order = order[np.argsort(repeat, kind="stable")]
    rounds = np.sort(repeat, kind="stable")
    place, channel = np.divmod(columns[order], channels)
    keys = np.stack([rounds, place, channel // PIECE], axis=1)
    starts = np.flatnonzero(np.any(np.diff(keys, axis=0, prepend=-1), axis=1))
    ends_ = np.append(starts[1:], len(order))
    made = np.zeros((len(starts), FIELDS), np.int64)
    for index, (first, last) in enumerate(zip(starts, ends_, strict=True)):
        _, at_, piece = keys[first]
        down, across = at_ // kw * window.dilations[0], at_ % kw * window.dilations[1]
        made[index, 0] = down * x.row + across * x.pixel + piece * PIECE
        mask = np.bitwise_or.reduce(np.uint64(1) << (channel[first:last] % PIECE).astype(np.uint64))
        made[index, 1] = np.uint64(mask).astype(np.int64)
        made[index, 2] = last - first
    return aligned(made), order
