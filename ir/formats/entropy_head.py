"""What comes before the symbols of an entropy-coded constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from .bits import Reader
from .bits import field as bits_of
from .costs import Costs, knot_count

MOST_TILE = 18
"""Elements of a tile are at most 2^18: a reader needs little memory beside the constant's."""
MOST_TABLES = 8
FEW = 1 << 14
"""Elements up to which there is neither a choice of lanes nor of tiles."""
MOST_DIFFERENCES = 1 << 18
"""Elements of a constant that may be differences: they are summed as wide numbers, all at once."""


def _no_elements() -> Array:
    return np.zeros((0, 0), np.uint64)


@dataclass(frozen=True, slots=True)
class Gaps:
    """Zeros are counted: the zeros before an element, without their ``shift`` lowest bits."""

    shift: int
    table: Costs

    @property
    def escape(self) -> int:
        """The last symbol: so many zeros, times ``2^shift``, and no element."""
        return self.table.symbols - 1


@dataclass(frozen=True, slots=True)
class Head:
    """How elements become symbols; docs/blob_format.md states every field.

    ``heads`` (rows, order) are the elements before the differences, ``classes`` (rows,) which of
    ``tables`` each row takes.
    """

    lanes: int
    tile: int
    raw: int
    lo: int
    tables: tuple[Costs, ...]
    gaps: Gaps | None = None
    classes: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    heads: Array = field(default_factory=_no_elements)

    @property
    def order(self) -> int:
        """How often the differences along a row were taken."""
        return self.heads.shape[1]

    def fields(self, rows: int, columns: int, width: int, sizes: Sequence[int]) -> list[Array]:
        """Bits for elements of ``width`` bits in a matrix, whose tiles take ``sizes`` bytes."""
        space = Space(rows * columns, rows, width)
        fields = [
            *((self.order, space.order), (self.gaps is not None, 1)),
            *((self.lanes == 4, space.lanes), (self.tile, space.tile)),
            *((self.raw, space.raw), (self.lo, width)),
        ]
        if self.gaps is not None:
            fields += [(self.gaps.shift, 5), *_table_fields(self.gaps.table)]
        fields.append((len(self.tables) - 1, space.tables))
        fields += [each for table in self.tables for each in _table_fields(table)]
        parts = [bits_of(np.array([value], np.uint64), count) for value, count in fields]
        parts.append(bits_of(self.classes.astype(np.uint64), _class_bits(len(self.tables))))
        parts.append(bits_of(self.heads.reshape(-1), width))
        parts.append(bits_of(np.array(sizes[:-1], np.uint64), 32))
        return parts

    @classmethod
    def read(cls, reader: Reader, rows: int, columns: int, width: int) -> tuple[Head, list[int]]:
        """The head and the sizes of all tiles but the last; raises NumericError."""
        space = Space(rows * columns, rows, width)
        order, gaps, four = reader.number(space.order), reader.number(1), reader.number(space.lanes)
        tile = reader.number(space.tile) if space.tile else MOST_TILE
        raw, lo = reader.number(space.raw), reader.number(width)
        if order >= min(3, columns) or tile > MOST_TILE or raw >= width:
            raise NumericError("The head of the entropy code has a field out of its range.")
        found = _gaps(reader) if gaps else None
        tables = tuple(_table(reader) for _ in range(reader.number(space.tables) + 1))
        wanted = rows if len(tables) > 1 else 0
        classes = reader.take(wanted, _class_bits(len(tables))).astype(np.int64)
        if (classes >= len(tables)).any() or (found and len(tables) > 1):
            raise NumericError("The tables of the entropy code do not fit its rows.")
        heads = reader.take(rows * order, width).reshape(rows, order)
        elements = rows * (columns - order)
        if order and elements > MOST_DIFFERENCES:
            raise NumericError(f"{elements} differences are too many for an entropy code.")
        tiles = -(-elements >> tile)
        sizes = reader.take(max(tiles - 1, 0), 32).tolist()
        head = cls(4 if four else 1, tile, raw, lo, tables, found, classes, heads)
        return head, sizes


@dataclass(frozen=True, slots=True)
class Space:
    """How many bits fields take: none where there is no choice."""

    elements: int
    rows: int
    width: int

    @property
    def order(self) -> int:
        """Differences are of wide elements only."""
        return 2 if self.width > 8 else 0

    @property
    def lanes(self) -> int:
        """Few elements have one lane."""
        return 1 if self.elements > FEW else 0

    @property
    def tile(self) -> int:
        """Few elements are one tile."""
        return 5 if self.elements > FEW else 0

    @property
    def raw(self) -> int:
        """A number below the width."""
        return (self.width - 1).bit_length()

    @property
    def tables(self) -> int:
        """A row has one table."""
        return 3 if self.rows > 1 else 0


def _class_bits(tables: int) -> int:
    return (tables - 1).bit_length()


def _table_fields(table: Costs) -> list[tuple[int, int]]:
    knots = [(each, 8) for each in table.knots]
    return [(table.symbols - 1, 8), (table.spacing, 3), *knots]


def _table(reader: Reader) -> Costs:
    symbols, spacing = reader.number(8) + 1, reader.number(3)
    knots = reader.take(knot_count(symbols, spacing), 8).tolist()
    return Costs(spacing, tuple(knots), symbols)


def _gaps(reader: Reader) -> Gaps:
    gaps = Gaps(reader.number(5), _table(reader))
    if not gaps.escape:
        raise NumericError("The gaps of the entropy code have no symbol but the escape.")
    return gaps
