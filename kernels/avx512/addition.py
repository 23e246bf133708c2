"""add with its requantization: sixteen codes at once, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...ir.numeric import Array
from ...ir.ops_pointwise import Add
from ...ir.ops_quant import Requantize
from ..job import Job
from ..place import FLIP, Place, is_byte
from ..routine import Routine, read, routine, routine_row, sources
from . import emit, finish
from .constants import aligned, wrapped
from .emit import BYTES, CODES, I64, LANES, WORDS
from .ending import FACTORS, packed, weighted_sum
from .finish import Requantize as Stage
from .finish import clipped
from .tile import unpacked


def _declare(typingctx: Any, bits: Any, item: Any, operands: Any) -> Any:
    """add_run(bits, item, operands): ``(x, y, out, count, parameters)``.

    Of ``count`` codes from each address; ``item`` bytes are stored for each. Parameters: the
    factors of Ending, then a requantization.
    """
    kind_of_bits, size = bits.literal_value, item.literal_value

    def emit_run(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ((x, y, out, count, parameters),) = unpacked(builder, signature.args[2:], args[2:])
        again = Stage.at(kind_of_bits, builder, emit.plus(builder, parameters, FACTORS))
        limits = again.limits(BYTES if size == 1 else WORDS)

        def codes_of(done: Any) -> Any:
            left, right = (
                builder.zext(emit.load(builder, emit.plus(builder, each, done), CODES), WORDS)
                for each in (x, y)
            )
            return again.codes(weighted_sum(builder, parameters, left, right))

        def step(index: Any, values: list[Any]) -> list[Any]:
            first = builder.mul(index, I64(4 * LANES))
            places = [emit.plus(builder, first, LANES * i) for i in range(4)]
            codes = list(map(codes_of, places))
            if size == 1:
                four = clipped(builder, packed(builder, codes), *limits, signed=False)
                emit.store_lanes(
                    builder, four, emit.plus(builder, out, first), builder.sub(count, first)
                )
                return []
            for place, each in zip(places, codes, strict=True):
                found = clipped(builder, each, *limits, signed=True)
                kind = ir.VectorType(ir.IntType(8 * size), LANES)
                found = found if size == 4 else builder.trunc(found, kind)
                target = emit.plus(builder, out, builder.mul(place, I64(size)))
                emit.store_lanes(builder, found, target, builder.sub(count, place))
            return []

        turns = builder.ashr(emit.plus(builder, count, 4 * LANES - 1), I64(6))
        emit.loop(builder, turns, [], step)
        return context.get_dummy_value()

    return types.void(bits, item, operands), emit_run


add_run: Any = intrinsic(prefer_literal=True)(_declare)


@cache
def addition(bits: str, item: int) -> Any:
    """The routine. Row: of x, y and out each the offset, distances between samples and between
    rows, and the first pixel; rows, codes in each, parameters."""
    version = sources()

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        rows, count, parameters = read(p, 12), read(p, 13), read(p, 14)
        for n in range(samples):
            x = arena + read(p, 0) + n * read(p, 1) + read(p, 3)
            y = arena + read(p, 4) + n * read(p, 5) + read(p, 7)
            out = arena + read(p, 8) + n * read(p, 9) + read(p, 11)
            for row in range(rows):
                along = (x + row * read(p, 2), y + row * read(p, 6), out + row * read(p, 10))
                add_run(bits, item, (along[0], along[1], along[2], count, parameters))

    return routine(run)


def accepts(job: Job) -> bool:
    """Two activations with codes of a byte, requantized with one scale for all channels."""
    if not isinstance(job.epilogue, Requantize) or len(job.active) < 2 or job.added:
        return False
    one = all(np.unique(each).size == 1 for each in job.parameters)
    return one and all(map(is_byte, job.types)) and _scaling(job) is not None


def _scaling(job: Job) -> finish.Scaling | None:
    assert isinstance(job.epilogue, Requantize)
    first = [each.reshape(-1)[:1] for each in job.parameters]
    return finish.scaling(LANES, first, job.epilogue.lo, job.epilogue.hi)


def scaling_of(job: Job) -> finish.Scaling:
    """The requantization of an add that is accepted, the same in all lanes."""
    found = _scaling(job)
    assert found is not None
    return found


def make(job: Job, operands: Sequence[Place], out: Place, samples: int) -> Routine:
    """The routine of an add."""
    rows, columns, channels = out.shape
    lines = [each for p in (*operands, out) for each in (p.offset, p.sample, p.row, p.origin)]
    return routine_row(
        addition(scaling_of(job).bits, out.item).address,
        (*lines, rows, columns * channels, parameters_of(job, operands, out)),
    )


def parameters_of(
    job: Job, operands: Sequence[Place | None], out: Place, order: Sequence[int] = (0, 1)
) -> Array:
    """Factors and what flipped operands add, each for sixteen lanes, then the requantization.

    An operand without a place is in registers, as it is. Factors are in the given ``order``.
    """
    assert isinstance(job.op, Add)
    found, pairs = scaling_of(job), zip(job.op.multipliers, operands, strict=True)
    more = -FLIP * sum(m for m, x in pairs if x is not None and x.flipped)
    first, second = (job.op.multipliers[index] for index in order)
    words = wrapped(np.array([first, second, more], np.int64))
    factors = np.repeat(words, LANES).view(np.uint8)
    moved = found.moved(FLIP) if out.flipped else found
    scaling = moved.pack(bytes_=out.item == 1)
    return aligned(np.concatenate([factors, scaling.reshape(-1)]))
