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
from .base import Size
from .bits import Reader, flat, from_codes, matrix_shape, shaped, to_codes
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
        plan = planned(codes, tensor.dtype)
        tiles = tiles_of(plan.alphabet, plan.head, codes.shape[1] - plan.head.order, self.coder)
        stored = [tiles.encode(plan.elements[a:b], a) for a, b in tiles.bounds(len(plan.elements))]
        head = plan.head.to_bytes(tensor.dtype.bits, list(map(len, stored)))
        return b"".join([head, *stored]), _size(plan, len(head), list(map(len, stored)))

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError for bytes that stand for none."""
        if not type_.elements:
            Reader(data).close()
            return shaped(np.zeros(0, type_.dtype.container), type_)
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        head, sizes = Head.read(reader, rows, columns, type_.dtype.bits)
        rest = reader.rest()
        ends = [0, *np.cumsum(sizes, dtype=np.int64).tolist(), len(rest)]
        if ends[-2] > ends[-1]:
            raise NumericError("The tiles of the entropy code are longer than it.")
        alphabet = Alphabet(type_.dtype, head.order)
        container = np.dtype(np.uint64) if head.order else type_.dtype.container
        found = np.empty(rows * (columns - head.order), container)
        tiles = tiles_of(alphabet, head, columns - head.order, self.coder)
        for (a, b), (low, high) in zip(tiles.bounds(len(found)), pairwise(ends), strict=True):
            tiles.decode(rest[low:high], a, found[a:b])
        return shaped(_summed(found, head, type_.dtype), type_)


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
