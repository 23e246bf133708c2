"""Codes from one place to another: into a border, or 128 higher."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from numba import types
from numba.extending import intrinsic

from ..job import Job
from ..place import FLIP, Place
from ..routine import Routine, read, routine, routine_row, sources
from . import emit
from .emit import CODES, I8, I64, LANES


def _declare(typingctx: Any, target: Any, source: Any, size: Any, change: Any) -> Any:
    """copy_run(target, source, size, change): so many bytes, each changed by xor."""

    def emit_run(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, source, size, change = args
        spread = emit.splat(builder, builder.trunc(change, I8), CODES)

        def step(index: Any, values: list[Any]) -> list[Any]:
            done = builder.shl(index, I64(4))
            codes = builder.xor(emit.load(builder, emit.plus(builder, source, done), CODES), spread)
            place, left = emit.plus(builder, target, done), builder.sub(size, done)
            emit.store_lanes(builder, codes, place, left)
            return []

        emit.loop(builder, builder.ashr(emit.plus(builder, size, LANES - 1), I64(4)), [], step)
        return context.get_dummy_value()

    return types.void(target, source, size, change), emit_run


copy_run: Any = intrinsic(_declare)


@cache
def copying() -> Any:
    """The routine. Row: x, out (offsets), rows and bytes of each, then of x and of out how far
    samples and rows are apart, and the first pixel; what every byte is changed by."""
    version = sources()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        x, out = arena + read(p, 0) + read(p, 6), arena + read(p, 1) + read(p, 9)
        rows, size, change = read(p, 2), read(p, 3), read(p, 10)
        for n in range(samples):
            for y in range(rows):
                source = x + n * read(p, 4) + y * read(p, 5)
                copy_run(out + n * read(p, 7) + y * read(p, 8), source, size, change)

    return routine(run)


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine that copies the pixels of an activation, whatever is done with it, to ``out``."""
    (x,) = operands
    rows, columns, _ = x.shape
    change = FLIP if x.flipped != out.flipped else 0
    apart = [each for place in (x, out) for each in (place.sample, place.row, place.origin)]
    return routine_row(
        copying().address, (x.offset, out.offset, rows, columns * x.pixel, *apart, change)
    )
