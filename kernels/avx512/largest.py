"""max_pool: the greatest of sixteen channels at once; flipped codes have unsigned order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from ...ir.ops_pool import MaxPool
from ..job import Border, Job
from ..place import Place, is_byte
from ..routine import Routine, read, routine, routine_row
from ..routine import sources as sources_of_kernels
from . import emit
from .emit import CODES, I64, LANES
from .ending import at
from .linear import Window, places_of, sources, targets
from .tile import unpacked


def _declare(typingctx: Any, patches: Any, out: Any) -> Any:
    """largest_of(patches, out): sixteen channels of one patch.

    patches: ``(x, sources, places, count)``: the patch begins at ``x + sources[0]`` (int32), its
    pixels lie ``places[i]`` (int64) from there. out: ``(address, targets, lanes)``.
    """

    def emit_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (x, begins, places, count), (address, targets, lanes) = unpacked(
            builder, signature.args, args
        )
        begin = at(builder, x, begins, 0)

        def larger(index: Any, values: list[Any]) -> list[Any]:
            skip = emit.load(builder, emit.plus(builder, places, builder.shl(index, I64(3))), I64)
            codes = emit.load(builder, emit.plus(builder, begin, skip), CODES)
            return [emit.call(builder, f"llvm.umax.v{LANES}i8", CODES, values[0], codes)]

        (found,) = emit.loop(builder, count, [emit.constant(0, CODES)], larger)
        emit.store_lanes(builder, found, at(builder, address, targets, 0), lanes)
        return context.get_dummy_value()

    return types.void(patches, out), emit_tile


largest_of: Any = intrinsic(_declare)


@cache
def largest() -> Any:
    """The routine. Row: x, out (offsets); sources, targets (int32, of every sample); patches of a
    sample, channels; places (int64), their count."""
    version = sources_of_kernels()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        x, out, source, target = arena + read(p, 0), arena + read(p, 1), read(p, 2), read(p, 3)
        count, channels, places, size = samples * read(p, 4), read(p, 5), read(p, 6), read(p, 7)
        for patch in range(count):
            for lane in range(0, channels, LANES):
                patches = (x + lane, source + 4 * patch, places, size)
                largest_of(patches, (out + lane, target + 4 * patch, channels - lane))

    return routine(run)


def accepts(job: Job) -> bool:
    """Codes of a byte."""
    return is_byte(job.types[0]) and job.epilogue is None and job.added is None


def borders(job: Job) -> list[Border]:
    """The border holds the least code, which never wins."""
    assert isinstance(job.op, MaxPool)
    return [Border(job.op.pads, int(np.iinfo(job.types[0].dtype.container).min))]


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine of a max_pool."""
    return pooled(largest(), job, operands[0], out, samples)


def pooled(found: Any, job: Job, x: Place, out: Place, samples: int) -> Routine:
    """The row of a routine that looks at the pixels of each window."""
    op = job.op
    assert isinstance(op, MaxPool)
    window = Window(op.kernel, op.strides, op.dilations, op.pads)
    places = places_of(x, window)
    tables = (sources(x, window, samples, 1), targets(out, samples, 1))
    return routine_row(
        found.address,
        (
            *(x.offset, out.offset, *tables, out.shape[0] * out.shape[1], x.pixel),
            *(places, places.size),
        ),
    )
