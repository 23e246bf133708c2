"""Constraints by the name of a pruning scheme and the fraction of weights to keep."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, comb, prod, sqrt
from typing import Literal, get_args

from ...errors import UsageError
from .constraint import Constraint
from .grid import FiltersAndColumns
from .patterns import Patterns
from .sparse import Blocks, Channels, Columns, Filters, NOfM, NonStructured

Scheme = Literal[
    "non-structured", "filter", "channel", "column", "filter+column", "block", "n:m", "pattern"
]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


@dataclass(frozen=True)
class Shapes:
    """Sizes that schemes need besides the fraction; each is cut to what a layer has.

    ``rows`` and ``columns`` are fractions for filter+column: 0 means what the other one leaves of
    the fraction to keep, or its square root.
    """

    block: tuple[int, int] = (4, 4)
    group: int = 4
    entries: int = 4
    patterns: int = 8
    rows: float = 0.0
    columns: float = 0.0


def constraint_for(
    scheme: Scheme, shape: tuple[int, ...], keep: float, sizes: Shapes | None = None
) -> Constraint:
    """The scheme's constraint for a weight of this shape, with the fraction ``keep`` of it left.

    Counts are rounded to the nearest, at least 1. A pattern has more entries where single ones
    would not reach ``keep``.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"There is no scheme '{scheme}'.", fix=f"Use {', '.join(SCHEMES)}.")
    sizes = sizes or Shapes()
    check_fraction("keep", keep)
    columns = prod(shape[1:])
    match scheme:
        case "non-structured":
            return NonStructured(count(keep, prod(shape)))
        case "filter":
            return Filters(count(keep, shape[0]))
        case "channel":
            return Channels(count(keep, shape[1]))
        case "column":
            return Columns(count(keep, columns))
        case "filter+column":
            return _crossing(shape[0], columns, keep, sizes)
        case "block":
            return _blocks(shape[0], columns, keep, sizes.block)
        case "n:m":
            group = min(sizes.group, columns)
            return NOfM(count(keep, group), group)
        case "pattern":
            return _patterns(shape, keep, sizes)


def count(keep: float, size: int) -> int:
    """The fraction ``keep`` of ``size`` things, rounded half up, at least one."""
    return max(1, int(keep * size + 0.5))


def check_fraction(what: str, fraction: float) -> None:
    """A fraction to keep lies above 0, to 1."""
    if not 0 < fraction <= 1:
        raise UsageError(f"{what} is {fraction}.", fix="Choose a fraction above 0, to 1.")


def _crossing(filters: int, columns: int, keep: float, sizes: Shapes) -> FiltersAndColumns:
    for what, given in (("rows", sizes.rows), ("columns", sizes.columns)):
        if given:
            check_fraction(what, given)
    rows = sizes.rows or min(1.0, keep / (sizes.columns or sqrt(keep)))
    across = sizes.columns or min(1.0, keep / rows)
    return FiltersAndColumns(count(rows, filters), count(across, columns))


def _blocks(filters: int, columns: int, keep: float, block: tuple[int, int]) -> Blocks:
    rows, across = min(block[0], filters), min(block[1], columns)
    return Blocks(count(keep, -(-filters // rows) * -(-columns // across)), rows, across)


def _patterns(shape: tuple[int, ...], keep: float, sizes: Shapes) -> Patterns:
    if len(shape) != 4:
        raise UsageError(
            "Only kernels of convolutions have patterns.",
            fix="Use another scheme for dense layers.",
        )
    size, kernels = shape[2] * shape[3], shape[0] * shape[1]
    entries = min(size, max(sizes.entries, ceil(keep * size - 1e-9)))
    kept = min(kernels, count(keep * size / entries, kernels))
    return Patterns(entries, min(sizes.patterns, comb(size, entries)), kept)
