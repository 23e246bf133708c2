"""Rows and columns that are not zero: of a weight, its filters and what they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold, check_zero, has_zero
from .bits import Reader, field, flat, joined, matrix_shape, shaped, to_codes


@dataclass(frozen=True, slots=True)
class Structured:
    """A bit for each row, 1 where it is kept, one for each column, then what lies in both."""

    id: ClassVar[int] = 3
    name: ClassVar[str] = "structured"

    def size(self, tensor: Tensor) -> Size | None:
        """None of a type without 0."""
        if not has_zero(tensor.dtype):
            return None
        rows, columns = _kept(_matrix(tensor))
        kept = int(rows.sum()) * int(columns.sum())
        return Size(kept * tensor.dtype.bits, indices=len(rows) + len(columns))

    def pack(self, tensor: Tensor) -> bytes:
        """The masks and the values."""
        if not has_zero(tensor.dtype):
            raise cannot_hold(self.name, tensor)
        matrix = _matrix(tensor)
        rows, columns = _kept(matrix)
        values = to_codes(matrix[rows][:, columns].reshape(-1), tensor.dtype)
        return joined(field(rows, 1), field(columns, 1), field(values, tensor.dtype.bits))

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        check_zero(self.name, type_)
        reader, (height, width) = Reader(data), matrix_shape(type_)
        rows, columns = reader.flags(height), reader.flags(width)
        kept = int(rows.sum()), int(columns.sum())
        values = reader.values(kept[0] * kept[1], type_.dtype)
        reader.close()
        present = values.reshape(kept) != 0
        if not (present.any(axis=1).all() and present.any(axis=0).all()):
            raise NumericError("A row or column that is kept has only zeros.")
        found = np.zeros((height, width), type_.dtype.container)
        found[np.ix_(rows, columns)] = values.reshape(kept)
        return shaped(found, type_)


def _matrix(tensor: Tensor) -> Array:
    return flat(tensor).reshape(matrix_shape(tensor.type))


def _kept(matrix: Array) -> tuple[Array, Array]:
    present = matrix != 0
    return present.any(axis=1), present.any(axis=0)
