"""The distinct values once, and for every element which of them it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold
from .bits import Reader, field, flat, from_codes, index_width, joined, number, shaped, to_codes

MOST = 256
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Codebook:
    """K - 1 in 8 bits, the K <= 256 values, ascending as codes, an index per element."""

    id: ClassVar[int] = 2
    name: ClassVar[str] = "codebook"

    def size(self, tensor: Tensor) -> Size | None:
        """Indices are the values' bits; the book is the header."""
        count = len(_book(tensor))
        if not 1 <= count <= MOST:
            return None
        bits = tensor.type.elements * index_width(count)
        return Size(bits, headers=8 + count * tensor.dtype.bits)

    def pack(self, tensor: Tensor) -> bytes:
        """The book and the indices."""
        if self.size(tensor) is None:
            raise cannot_hold(self.name, tensor)
        book, codes = _book(tensor), to_codes(flat(tensor), tensor.dtype)
        return joined(
            number(len(book) - 1, 8),
            field(book, tensor.dtype.bits),
            field(np.searchsorted(book, codes), index_width(len(book))),
        )

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        reader = Reader(data)
        count = reader.number(8) + 1
        book = reader.take(count, type_.dtype.bits)
        if (book[1:] <= book[:-1]).any():
            raise NumericError("The values of a codebook do not ascend.")
        values = from_codes(book, type_.dtype)
        used = np.zeros(count, bool)
        found = np.empty(type_.elements, type_.dtype.container)
        for start in range(0, len(found), _CHUNK):
            part = found[start : start + _CHUNK]
            indices = reader.take(len(part), index_width(count))
            if indices.max() >= count:
                raise NumericError(f"An index is not among the {count} values of the codebook.")
            part[:] = values[indices.astype(np.uint8)]
            used[indices] = True
        reader.close()
        if not used.all():
            raise NumericError("A codebook has a value that no element takes.")
        return shaped(found, type_)


def _book(tensor: Tensor) -> Array:
    return np.sort(to_codes(np.unique(flat(tensor)), tensor.dtype))
