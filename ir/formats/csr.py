"""Compressed sparse rows: where each row ends, and a column and a value for what is not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold, check_zero, has_zero
from .bits import (
    Reader,
    field,
    flat,
    index_width,
    joined,
    matrix_shape,
    number,
    shaped,
    to_codes,
)

COUNT = 32


@dataclass(frozen=True, slots=True)
class Csr:
    """How many elements are not 0, 32 bits; how many up to each row's end; columns; values."""

    id: ClassVar[int] = 7
    name: ClassVar[str] = "csr"

    def size(self, tensor: Tensor) -> Size | None:
        """None of a type without 0."""
        if not has_zero(tensor.dtype):
            return None
        rows, columns = matrix_shape(tensor.type)
        present = int(np.count_nonzero(tensor.array))
        places = rows * index_width(present + 1) + present * index_width(columns)
        return Size(present * tensor.dtype.bits, places, COUNT)

    def pack(self, tensor: Tensor) -> bytes:
        """The count, the ends of rows, the columns, the values."""
        if not has_zero(tensor.dtype):
            raise cannot_hold(self.name, tensor)
        matrix = flat(tensor).reshape(matrix_shape(tensor.type))
        ends = np.cumsum(np.count_nonzero(matrix, axis=1))
        _, columns = np.nonzero(matrix)
        return joined(
            number(len(columns), COUNT),
            field(ends, index_width(len(columns) + 1)),
            field(columns, index_width(matrix.shape[1])),
            field(to_codes(matrix[matrix != 0], tensor.dtype), tensor.dtype.bits),
        )

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        check_zero(self.name, type_)
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        present = reader.number(COUNT)
        if present > type_.elements:
            raise NumericError(f"{present} of {type_.elements} elements are not 0.")
        found = np.zeros(type_.elements, type_.dtype.container)
        if present:
            ends = reader.take(rows, index_width(present + 1)).view(np.int64)
            places = _places(ends, reader.take(present, index_width(columns)), present, columns)
            found[places] = values = reader.values(present, type_.dtype)
            if not values.all():
                raise NumericError("A sparse matrix names an element that is 0.")
        reader.close()
        return shaped(found, type_)


def _places(ends: Array, columns: Array, present: int, width: int) -> Array:
    """Where the elements lie; raises NumericError unless they ascend within the matrix."""
    counts = np.diff(ends, prepend=0)
    if (counts < 0).any() or counts.sum() != present or (columns >= width).any():
        raise NumericError("The rows and columns of a sparse matrix are not within it.")
    places = np.repeat(np.arange(len(ends)), counts) * width + columns.view(np.int64)
    if (np.diff(places) <= 0).any():
        raise NumericError("The places of a sparse matrix do not ascend.")
    return places
