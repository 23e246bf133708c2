"""Entropy code: few bits for frequent elements, and for the places of those that are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array, NumericType
from ..tensor import Tensor, TensorType
from .base import Size, has_zero
from .bits import (
    Reader,
    field,
    flat,
    from_codes,
    joined,
    matrix_shape,
    number,
    shaped,
    to_codes,
)
from .entropy_head import Head
from .entropy_plan import Plan, planned, sums
from .entropy_symbols import Alphabet, tiles_of
from .rans import REFERENCE, Coder


@dataclass(frozen=True, slots=True)
class Entropy:
    """Symbols in asymmetric numeral systems, in tiles that are decoded independently.

    The head describes the frequencies; elements wider than the alphabet have raw low bits. Rows of
    a matrix may have frequencies of their own; parameters that rise evenly are differences.
    """

    id: ClassVar[int] = 9
    name: ClassVar[str] = "entropy"
    coder: Coder = REFERENCE

    def size(self, tensor: Tensor) -> Size:
        """Bits of values and places; head and states of the lanes are headers."""
        return self.packed(tensor)[1]

    def pack(self, tensor: Tensor) -> bytes:
        """The head, then tile after tile."""
        return self.packed(tensor)[0]

    def packed(self, tensor: Tensor) -> tuple[bytes, Size]:
        """What ``pack`` and ``size`` give, at once."""
        if not tensor.type.elements:
            return b"", Size(0)
        codes = to_codes(flat(tensor), tensor.dtype).reshape(matrix_shape(tensor.type))
        kept, within = _kept(codes, tensor.dtype), codes
        plan = planned(codes, tensor.dtype)
        masks = [number(0, 1)]
        if kept is not None:
            left = codes[kept[0]][:, kept[1]]
            masked = [number(1, 1), field(kept[0], 1), field(kept[1], 1)]
            if not left.size:
                return joined(*masked), Size(0, headers=1 + sum(codes.shape))
            less = planned(left, tensor.dtype)
            if less.bits + sum(codes.shape) < plan.bits:
                plan, masks, within = less, masked, left
        rows, columns = within.shape
        tiles = tiles_of(plan.alphabet, plan.head, columns - plan.head.order, self.coder)
        stored = [tiles.encode(plan.elements[a:b], a) for a, b in tiles.bounds(len(plan.elements))]
        sizes = list(map(len, stored))
        head = joined(*masks, *plan.head.fields(rows, columns, tensor.dtype.bits, sizes))
        return b"".join([head, *stored]), _size(plan, len(head), sizes)

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError for bytes that stand for none."""
        if not type_.elements:
            Reader(data).close()
            return shaped(np.zeros(0, type_.dtype.container), type_)
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        if not reader.number(1):
            return shaped(self._within(reader, rows, columns, type_.dtype), type_)
        if not has_zero(type_.dtype):
            raise NumericError(f"Rows or columns of {type_.dtype} are left out.")
        kept = reader.flags(rows), reader.flags(columns)
        found = np.zeros((rows, columns), type_.dtype.container)
        inner = int(kept[0].sum()), int(kept[1].sum())
        if min(inner):
            found[np.ix_(*kept)] = self._within(reader, *inner, type_.dtype).reshape(inner)
        else:
            reader.close()
        return shaped(found, type_)

    def tile_bytes(self, data: bytes | memoryview, type_: TensorType) -> int:
        """Bytes of valid ``data`` that would go if all elements were one tile: states and sizes."""
        if not type_.elements:
            return 0
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        if reader.number(1):
            rows, columns = int(reader.flags(rows).sum()), int(reader.flags(columns).sum())
        if not rows * columns:
            return 0
        head, sizes = Head.read(reader, rows, columns, type_.dtype.bits)
        return len(sizes) * 4 * (head.lanes + 1)

    def _within(self, reader: Reader, rows: int, columns: int, dtype: NumericType) -> Array:
        """The elements of the rows and columns that are stored; raises NumericError."""
        head, sizes = Head.read(reader, rows, columns, dtype.bits)
        rest = reader.rest()
        ends = [0, *np.cumsum(sizes, dtype=np.int64).tolist(), len(rest)]
        if ends[-2] > ends[-1]:
            raise NumericError("The tiles of the entropy code are longer than it.")
        container = np.dtype(np.uint64) if head.order else dtype.container
        found = np.empty(rows * (columns - head.order), container)
        tiles = tiles_of(Alphabet(dtype, head.order), head, columns - head.order, self.coder)
        for (a, b), (low, high) in zip(tiles.bounds(len(found)), pairwise(ends), strict=True):
            tiles.decode(rest[low:high], a, found[a:b])
        return _summed(found, head, dtype)


def _kept(codes: Array, dtype: NumericType) -> tuple[Array, Array] | None:
    """Rows and columns that are not zero; None when all are kept."""
    if not has_zero(dtype):
        return None
    rows, columns = (codes != 0).any(axis=1), (codes != 0).any(axis=0)
    return None if rows.all() and columns.all() else (rows, columns)


def _summed(found: Array, head: Head, dtype: NumericType) -> Array:
    """The elements of differences; others as they are."""
    if not head.order:
        return found
    codes = sums(head.heads, found.reshape(len(head.heads), -1), dtype.bits)
    return from_codes(codes.reshape(-1), dtype)


def _size(plan: Plan, head: int, tiles: list[int]) -> Size:
    """Bits by what they say; of coded symbols, which share words, the places' by their costs."""
    headers = 8 * head + 32 * plan.head.lanes * len(tiles)
    coded = 8 * (head + sum(tiles)) - headers
    indices = min(ceil(plan.index_bits), coded)
    return Size(coded - indices, indices, headers)
