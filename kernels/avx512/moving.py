"""Ops that only move elements: their references say where each comes from, once, in long runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...ir.layout import to_storage
from ...ir.numeric import Array
from ...ir.op import Op
from ...ir.ops_layout import Pad
from ..job import Job
from ..place import FLIP, Place
from ..routine import Routine, read, routine, routine_row, sources
from .constants import aligned
from .emit import I8

FILLED = -1
"""What comes from nowhere: the border that a pad adds."""


def _declare(typingctx: Any, target: Any, source: Any, size: Any) -> Any:
    """move(target, source, size): that many bytes."""

    def emit_move(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [builder.inttoptr(each, I8.as_pointer()) for each in args[:2]]
        kind = ir.FunctionType(I8.as_pointer(), [each.type for each in (*pointers, args[2])])
        known = builder.module.globals.get("memcpy")
        builder.call(known or ir.Function(builder.module, kind, "memcpy"), [*pointers, args[2]])
        return context.get_dummy_value()

    return types.void(target, source, size), emit_move


move: Any = intrinsic(_declare)


@cache
def moving() -> Any:
    """The routine. Row: out (offset), its distance between samples, how many runs, and of each four
    int64: where it comes from, how far samples are apart there, where it goes to, its bytes; then
    what lies at places that come from nowhere, runs from there and to where."""
    version = sources()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        out, apart, count, runs = arena + read(p, 0), read(p, 1), read(p, 2), read(p, 3)
        filled, fills, value = read(p, 4), read(p, 5), read(p, 6)
        for n in range(samples):
            for i in range(0, 4 * count, 4):
                source = arena + read(runs, i) + n * read(runs, i + 1)
                move(out + n * apart + read(runs, i + 2), source, read(runs, i + 3))
            for i in range(0, 2 * filled, 2):
                move(out + n * apart + read(fills, i), value, read(fills, i + 1))

    return routine(run)


def accepts(job: Job) -> bool:
    """Any of them, as long as what it lists is known."""
    known = len(job.active) == len(job.types) or len(job.active) == 1
    return job.epilogue is None and known


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine of an op that moves elements."""
    origin, operand = _origins(job, operands)
    target = _offsets(out)
    starts = _run_starts(origin, operand, target, out.item)
    sizes = np.diff(starts, append=target.size) * out.item
    from_, of, to = origin[starts], operand[starts], target[starts]
    base = np.array([place.offset for place in operands])
    apart = np.array([place.sample for place in operands])
    moved, filled = of != FILLED, of == FILLED
    runs = np.stack([base[of] + from_, apart[of], to, sizes], axis=1)[moved]
    fills = np.stack([to, sizes], axis=1)[filled]
    return routine_row(
        moving().address,
        (
            *(out.offset, out.sample, len(runs), aligned(runs.astype(np.int64))),
            *(len(fills), aligned(fills.astype(np.int64)), _value(job.op, out, fills)),
        ),
    )


def _origins(job: Job, operands: Sequence[Place]) -> tuple[Array, Array]:
    """For each element of the result, in storage order, its offset in a sample of its operand, and
    which operand that is."""
    counts = [place.type.elements for place in operands]
    firsts = np.cumsum([0, *counts])
    numbers = [
        np.arange(first, first + count).reshape(1, *place.type.sample_shape)
        for place, first, count in zip(operands, firsts[:-1], counts, strict=True)
    ]
    given = iter(numbers)
    inputs = [next(given) if each is None else each for each in job.constants]
    found = to_storage(_unfilled(job.op).reference(*inputs)).reshape(-1)
    offsets = np.concatenate([_offsets_logical(place) for place in operands])
    operand = np.searchsorted(firsts, found, side="right") - 1
    nowhere = found == FILLED
    return np.where(nowhere, 0, offsets[found]), np.where(nowhere, FILLED, operand)


def _unfilled(op: Op) -> Op:
    return replace(op, value=FILLED) if isinstance(op, Pad) else op


def _offsets(place: Place) -> Array:
    """Where the elements of a sample lie, in storage order."""
    rows, columns, channels = place.shape
    sides = ((rows, place.row), (columns, place.pixel), (channels, place.item))
    y, x, c = (np.arange(count) * step for count, step in sides)
    return place.origin + np.add.outer(np.add.outer(y, x), c).reshape(-1)


def _offsets_logical(place: Place) -> Array:
    """The same in logical order."""
    stored = _offsets(place)
    if len(place.type.shape) != 4:
        return stored
    rows, columns, channels = place.shape
    return stored.reshape(rows * columns, channels).T.reshape(-1)


def _run_starts(origin: Array, operand: Array, target: Array, item: int) -> Array:
    """Where an element does not follow the one before it, there and here."""
    follows = (np.diff(target) == item) & (np.diff(operand) == 0)
    follows &= (np.diff(origin) == item) | (operand[1:] == FILLED)
    return np.concatenate([[0], np.flatnonzero(~follows) + 1])


def _value(op: Op, out: Place, fills: Array) -> Array:
    """Bytes of the value, for the longest run of it."""
    longest = int(fills[:, 1].max(initial=0)) // out.item
    value = getattr(op, "value", 0) + (FLIP if out.flipped else 0)
    kind = np.dtype(np.uint8) if out.flipped else out.type.dtype.container
    return aligned(np.full(max(1, longest), value, kind).view(np.uint8))
