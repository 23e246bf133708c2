"""At most n of every m neighbours: each takes a place and a value."""

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

GROUPS = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class NOfM:
    """n in 5 bits, m - 1 in 4; for every m elements of a row n places and n values.

    Rows are filled up with zeros. Places of a group ascend; where fewer than n are not 0, the
    first of the others are among them.
    """

    id: ClassVar[int] = 5
    name: ClassVar[str] = "n:m"

    def size(self, tensor: Tensor) -> Size | None:
        """That of the best m; None of a type without 0."""
        found = _best(tensor)
        return found and found[0]

    def pack(self, tensor: Tensor) -> bytes:
        """The head, all places, all values."""
        found = _best(tensor)
        if found is None:
            raise cannot_hold(self.name, tensor)
        _, n, m = found
        groups = _groups(flat(tensor).reshape(matrix_shape(tensor.type)), m)
        # Those that are not 0 first, in order; a stable sort keeps the first of the zeros next.
        places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :n], axis=1)
        values = np.take_along_axis(groups, places, axis=1).reshape(-1)
        return joined(
            *(number(n, 5), number(m - 1, 4), field(places.reshape(-1), index_width(m))),
            field(to_codes(values, tensor.dtype), tensor.dtype.bits),
        )

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        check_zero(self.name, type_)
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        n, m = reader.number(5), reader.number(4) + 1
        if m not in GROUPS or n > m:
            raise NumericError(f"A group has {n} of {m} elements.")
        groups = -(-columns // m)
        reader.need(rows * groups * n * (index_width(m) + type_.dtype.bits))
        places = reader.take(rows * groups * n, index_width(m)).view(np.int64)
        values = reader.values(rows * groups * n, type_.dtype)
        reader.close()
        _check(places.reshape(-1, n or 1), values.reshape(-1, n or 1), m)
        index = places.reshape(rows, groups, n)
        index += np.arange(0, columns, m)[:, None]
        present = values.reshape(index.shape) != 0
        if (index[present] >= columns).any():
            raise NumericError("A group has an element beyond its row.")
        index += np.arange(0, rows * columns, columns)[:, None, None] if columns else 0
        found = np.zeros(rows * columns, type_.dtype.container)
        found[index[present]] = values[values != 0]
        return shaped(found, type_)


def _check(places: Array, values: Array, m: int) -> None:
    """Raise NumericError unless these are the places and values that ``pack`` stores."""
    if (np.diff(places, axis=1) <= 0).any() or (places >= m).any():
        raise NumericError("The places of a group do not ascend within it.")
    if (places != np.arange(places.shape[1]))[values == 0].any():
        raise NumericError("A group names a zero that is not the first one left.")
    if values.size and not values.all(axis=1).any():
        raise NumericError("No group has as many elements as are stored for each.")


def _best(tensor: Tensor) -> tuple[Size, int, int] | None:
    if not has_zero(tensor.dtype):
        return None
    matrix = flat(tensor).reshape(matrix_shape(tensor.type))
    found = []
    for m in GROUPS:
        groups = _groups(matrix, m)
        n = int(np.count_nonzero(groups, axis=1).max(initial=0))
        entries = len(groups) * n
        size = Size(entries * tensor.dtype.bits, entries * index_width(m), 9)
        found.append((size, n, m))
    return min(found, key=lambda each: each[0].bits)


def _groups(matrix: Array, m: int) -> Array:
    """``(groups, m)``: the elements of every row, filled up with zeros."""
    return np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % m))).reshape(-1, m)
