"""Ops on activations that lie as bits: which ones there are, max_pool and reshape among them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from numba import types
from numba.extending import intrinsic

from ...ir.ops_layout import Reshape
from ...ir.ops_linear import Conv, Dense
from ...ir.ops_pool import MaxPool
from ..job import Border, Job
from ..place import Place
from ..routine import Routine, read, routine
from ..routine import sources as sources_of_kernels
from . import binary, copy, emit, largest, linear
from .emit import I64
from .ending import at
from .signs import below_of
from .tile import unpacked

WORD = 8
"""Bytes that are joined at once."""


def _declare(typingctx: Any, patches: Any, out: Any) -> Any:
    """either_of(patches, out): a word of each pixel of a patch, joined: +1 where any is.

    patches: ``(x, sources, places, count)``, out: ``(address, targets)``, as in ``largest_of``.
    """

    def emit_word(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (x, begins, places, count), (address, goals) = unpacked(builder, signature.args, args)
        begin = at(builder, x, begins, 0)

        def join(index: Any, values: list[Any]) -> list[Any]:
            skip = emit.load(builder, emit.plus(builder, places, builder.shl(index, I64(3))), I64)
            return [
                builder.or_(values[0], emit.load(builder, emit.plus(builder, begin, skip), I64))
            ]

        (found,) = emit.loop(builder, count, [I64(0)], join)
        emit.store(builder, found, at(builder, address, goals, 0))
        return context.get_dummy_value()

    return types.void(patches, out), emit_word


either_of: Any = intrinsic(_declare)


@cache
def joining() -> Any:
    """The routine. Row: x, out (offsets); sources, targets (int32, of every sample); patches of a
    sample, bytes of a pixel; places (int64), their count."""
    version = sources_of_kernels()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources_of_kernels)
        x, out, source, target = arena + read(p, 0), arena + read(p, 1), read(p, 2), read(p, 3)
        count, size, places, number = samples * read(p, 4), read(p, 5), read(p, 6), read(p, 7)
        for patch in range(count):
            for first in range(0, size, WORD):
                patches = (x + first, source + 4 * patch, places, number)
                either_of(patches, (out + first, target + 4 * patch))

    return routine(run)


def reads(job: Job) -> bool:
    """Whether there is a routine for an operand that lies as bits."""
    if isinstance(job.op, Conv | Dense):
        return binary.reads(job)
    return keeps(job)


def keeps(job: Job) -> bool:
    """Whether it takes bits and makes bits, whatever they are."""
    if isinstance(job.op, Reshape):
        shape = job.types[0].sample_shape
        return len(shape) == 3 and shape[1:] == (1, 1) and job.result.sample_shape == shape[:1]
    return isinstance(job.op, MaxPool) and job.epilogue is None


def writes(job: Job) -> bool:
    """Whether there is a routine whose result lies as bits."""
    if isinstance(job.op, Conv | Dense):
        grouped = getattr(job.op, "groups", 1) > 1
        return not grouped and job.added is None and below_of(job) is not None
    return keeps(job)


def borders(job: Job) -> list[Border]:
    """As of bytes."""
    if isinstance(job.op, Conv | Dense):
        return linear.borders(job)
    return largest.borders(job) if isinstance(job.op, MaxPool) else [Border()]


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine over bits."""
    if isinstance(job.op, Conv | Dense):
        return binary.make(job, operands, out, samples)
    if isinstance(job.op, Reshape):
        return copy.make(job, operands, out, samples)
    return largest.pooled(joining(), job, operands[0], out, samples)
