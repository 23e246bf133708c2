"""Relative indices: how many zeros before each element, in few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold, check_zero, has_zero
from .bits import Reader, field, flat, joined, number, shaped, to_codes

COUNT = 32
WIDTHS = range(1, 17)


@dataclass(frozen=True, slots=True)
class Relative:
    """k - 1 in 4 bits, the entries in 32; each says how many zeros come first, k bits, and a value.

    More zeros than k bits can say take fillers: the value 0 after 2^k - 1 zeros. Source: Han et
    al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network", ISCA 2016.
    """

    id: ClassVar[int] = 8
    name: ClassVar[str] = "relative"

    def size(self, tensor: Tensor) -> Size | None:
        """That of the best k, fillers counted; None of a type without 0."""
        if not has_zero(tensor.dtype):
            return None
        zeros = _zeros(flat(tensor))
        return min((_size(zeros, k, tensor.dtype.bits) for k in WIDTHS), key=lambda size: size.bits)

    def pack(self, tensor: Tensor) -> bytes:
        """The head, all counts of zeros, all values."""
        if not has_zero(tensor.dtype):
            raise cannot_hold(self.name, tensor)
        elements = flat(tensor)
        zeros, bits = _zeros(elements), tensor.dtype.bits
        k = min(WIDTHS, key=lambda k: _size(zeros, k, bits).bits)
        fillers = zeros >> k
        last = np.cumsum(fillers + 1) - 1
        gaps = np.full(len(zeros) + int(fillers.sum()), (1 << k) - 1, np.uint64)
        values = np.zeros(len(gaps), np.uint64)
        gaps[last] = zeros & ((1 << k) - 1)
        values[last] = to_codes(elements[elements != 0], tensor.dtype)
        head = number(k - 1, 4), number(len(gaps), COUNT)
        return joined(*head, field(gaps, k), field(values, bits))

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        check_zero(self.name, type_)
        reader = Reader(data)
        k, count = reader.number(4) + 1, reader.number(COUNT)
        if count > type_.elements:
            raise NumericError(f"{count} entries are more than {type_.elements} elements.")
        gaps = reader.take(count, k).view(np.int64)
        values = reader.values(count, type_.dtype)
        reader.close()
        places = np.cumsum(gaps + 1) - 1
        if len(places) and places[-1] >= type_.elements:
            raise NumericError("A relative index leads beyond the elements.")
        if ((values == 0) & (gaps != (1 << k) - 1)).any() or (len(values) and not values[-1]):
            raise NumericError("A relative index leads to a zero that is no filler.")
        found = np.zeros(type_.elements, type_.dtype.container)
        found[places] = values
        return shaped(found, type_)


def _zeros(elements: Array) -> Array:
    """How many zeros come before each element that is not zero."""
    return np.diff(np.flatnonzero(elements), prepend=-1) - 1


def _size(zeros: Array, k: int, bits: int) -> Size:
    entries = len(zeros) + int((zeros >> k).sum())
    return Size(entries * bits, entries * k, 4 + COUNT)
