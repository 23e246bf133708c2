"""What a routine is made for: one step of a program, or its op alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..ir.numeric import Array
from ..ir.op import Op
from ..ir.tensor import TensorType
from ..ir.windows import Pads
from .place import NO_BORDER, Place

if TYPE_CHECKING:
    from .routine import Routine


@dataclass(frozen=True, eq=False)
class Added:
    """An add whose operand ``index`` is the result of another job and need not be stored."""

    job: Job
    index: int

    def ordered(self, result: Any, other: Any) -> list[Any]:
        """What belongs to the operands of the add, in their order."""
        return [other, result] if self.index else [result, other]


@dataclass(frozen=True, eq=False)
class Job:
    """An op, what its operands are, and what becomes of its result.

    ``constants`` are in storage order, None for activations. Without an ``epilogue`` the result is
    stored as it is. Its codes are ``added`` to those of one more operand, the last: then ``result``
    is that of the add.
    """

    op: Op
    types: Sequence[TensorType]
    constants: Sequence[Array | None]
    result: TensorType
    epilogue: Op | None = None
    parameters: Sequence[Array] = ()
    added: Added | None = None

    @property
    def active(self) -> list[TensorType]:
        """Types of the operands that are activations."""
        pairs = zip(self.types, self.constants, strict=True)
        found = [type_ for type_, constant in pairs if constant is None]
        if self.added is None:
            return found
        return [*found, self.added.job.types[1 - self.added.index]]


@dataclass(frozen=True, slots=True)
class Border:
    """Pixels around an operand, with the code that they hold."""

    pads: Pads = NO_BORDER
    value: int = 0


def no_borders(job: Job) -> list[Border]:
    """Every operand as it is."""
    return [Border() for _ in job.active]


Make = Callable[[Job, Sequence[Place], Place, int], "Routine"]
"""``make(job, operands, out, samples)``: the routine for up to so many samples."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Which jobs have routines for operands that lie as bits, for such a result, and for both or
    neither; who makes those of the first and the last.
    """

    reads: Callable[[Job], bool]
    writes: Callable[[Job], bool]
    keeps: Callable[[Job], bool]
    maker: Maker


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes routines of one kind of op, for the jobs that it accepts.

    Operands must lie as they say: signed codes of a byte flipped, and within ``borders``; so lies
    what they make.
    """

    accepts: Callable[[Job], bool]
    make: Make
    borders: Callable[[Job], list[Border]] = no_borders
