"""Blocks of the matrix that are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold, has_zero
from .bits import Reader, field, flat, joined, matrix_shape, number, shaped, to_codes

SHAPES = ((1, 4), (4, 1), (1, 8), (8, 1), (1, 16), (16, 1), (2, 2), (4, 4), (8, 8), (4, 9))


@dataclass(frozen=True, slots=True)
class Block:
    """Rows and columns of a block, 8 bits each; a bit per block; the elements of blocks kept.

    Blocks follow each other row by row, their elements too; at the edges they are smaller.
    """

    id: ClassVar[int] = 4
    name: ClassVar[str] = "block"

    def size(self, tensor: Tensor) -> Size | None:
        """That of the best of SHAPES; None of a type without 0."""
        found = _best(tensor)
        return found and found[0]

    def pack(self, tensor: Tensor) -> bytes:
        """The head, the mask and the values."""
        found = _best(tensor)
        if found is None:
            raise cannot_hold(self.name, tensor)
        _, (height, width) = found
        matrix = flat(tensor).reshape(matrix_shape(tensor.type))
        mask = _mask(matrix != 0, height, width)
        order = _order(*matrix.shape, height, width, mask)
        values = to_codes(matrix.reshape(-1)[order], tensor.dtype)
        return joined(
            *(number(height, 8), number(width, 8)),
            *(field(mask.reshape(-1), 1), field(values, tensor.dtype.bits)),
        )

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        height, width = reader.number(8), reader.number(8)
        if not (height and width):
            raise NumericError(f"A block of {height} by {width} elements.")
        shape = -(-rows // height), -(-columns // width)
        mask = reader.flags(shape[0] * shape[1]).reshape(shape)
        order = _order(rows, columns, height, width, mask)
        values = reader.values(len(order), type_.dtype)
        reader.close()
        found = np.zeros(rows * columns, type_.dtype.container)
        found[order] = values
        return shaped(found, type_)


def _best(tensor: Tensor) -> tuple[Size, tuple[int, int]] | None:
    if not has_zero(tensor.dtype):
        return None
    present = (flat(tensor) != 0).reshape(matrix_shape(tensor.type))
    sizes = ((_size(present, shape, tensor.dtype.bits), shape) for shape in SHAPES)
    return min(sizes, key=lambda found: found[0].bits)


def _size(present: Array, shape: tuple[int, int], bits: int) -> Size:
    mask = _mask(present, *shape)
    heights = np.diff(np.append(np.arange(0, present.shape[0], shape[0]), present.shape[0]))
    widths = np.diff(np.append(np.arange(0, present.shape[1], shape[1]), present.shape[1]))
    return Size(int(heights @ mask @ widths) * bits, indices=mask.size, headers=16)


def _mask(present: Array, height: int, width: int) -> Array:
    """Which blocks are not zero."""
    if not present.size:
        return np.zeros((-(-present.shape[0] // height), -(-present.shape[1] // width)), np.int64)
    rows = np.add.reduceat(present.astype(np.int64), range(0, present.shape[0], height), axis=0)
    sums = np.add.reduceat(rows, range(0, present.shape[1], width), axis=1)
    return (sums > 0).astype(np.int64)


def _order(rows: int, columns: int, height: int, width: int, mask: Array) -> Array:
    """Where the elements of the blocks kept lie, block after block."""
    tops, lefts = np.nonzero(mask)
    row = tops[:, None, None] * height + np.arange(height)[:, None]
    column = lefts[:, None, None] * width + np.arange(width)
    inside = (row < rows) & (column < columns)
    return (row * columns + column)[inside]
