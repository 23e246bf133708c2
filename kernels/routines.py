"""Which routines a tier has; asking imports numba, which is why it is not done on import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ir.numeric import Array
from ..ir.op import Op
from .isa import Isa

if TYPE_CHECKING:
    from .job import Bits, Maker

Execute = Callable[[Array, int, int], None]


@dataclass(frozen=True, slots=True)
class Routines:
    """What a tier has: for each op makers, of which the first that accepts a job makes its routine;
    those of bits; one that brings an activation to another place; and what calls routines."""

    makers: Mapping[type[Op], tuple[Maker, ...]]
    bits: Bits
    copy: Maker
    execute: Execute


def routines(isa: Isa) -> Routines | None:
    """What the tier has besides the kernels that run anywhere; None for the portable one."""
    if isa == "portable":
        return None
    from .avx512.table import BITS, COPY, MAKERS
    from .routine import executor

    return Routines(MAKERS, BITS, COPY, executor())
