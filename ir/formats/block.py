"""Blocks of the matrix that are not zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold, check_zero, has_zero
from .bits import Reader, field, flat, joined, matrix_shape, number, shaped, to_codes

SHAPES = ((1, 4), (4, 1), (1, 8), (8, 1), (1, 16), (16, 1), (2, 2), (4, 4), (8, 8), (4, 9))
_CHUNK = 1 << 16


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
        _, shape = found
        matrix = flat(tensor).reshape(matrix_shape(tensor.type))
        blocks = _Blocks.of(_mask(matrix != 0, *shape), matrix.shape, shape)
        elements = matrix.reshape(-1)
        values = np.empty(blocks.elements, elements.dtype)
        for part, places in blocks.places():
            values[part] = elements[places]
        return joined(
            *(number(shape[0], 8), number(shape[1], 8), field(blocks.mask, 1)),
            field(to_codes(values, tensor.dtype), tensor.dtype.bits),
        )

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        check_zero(self.name, type_)
        reader, (rows, columns) = Reader(data), matrix_shape(type_)
        height, width = reader.number(8), reader.number(8)
        if not (height and width):
            raise NumericError(f"A block of {height} by {width} elements.")
        shape = -(-rows // height), -(-columns // width)
        mask = reader.flags(shape[0] * shape[1]).reshape(shape)
        reader.need(_stored(mask, (rows, columns), (height, width)) * type_.dtype.bits)
        blocks = _Blocks.of(mask, (rows, columns), (height, width))
        values = reader.values(blocks.elements, type_.dtype)
        reader.close()
        if len(blocks.starts) and not np.logical_or.reduceat(values != 0, blocks.starts).all():
            raise NumericError("A block that is kept has only zeros.")
        found = np.zeros(rows * columns, type_.dtype.container)
        for part, places in blocks.places():
            found[places] = values[part]
        return shaped(found, type_)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks kept: for each its first element, in the matrix and among those stored."""

    mask: Array
    columns: int
    corners: Array
    widths: Array
    starts: Array
    elements: int

    @classmethod
    def of(cls, mask: Array, matrix: tuple[int, ...], shape: tuple[int, int]) -> _Blocks:
        heights, widths = _lengths(matrix[0], shape[0]), _lengths(matrix[1], shape[1])
        tops, lefts = np.nonzero(mask)
        ends = np.cumsum(heights[tops] * widths[lefts])
        return cls(
            mask=mask.reshape(-1),
            columns=matrix[1],
            corners=tops * shape[0] * matrix[1] + lefts * shape[1],
            widths=widths[lefts],
            starts=np.append(0, ends)[:-1],
            elements=int(ends[-1]) if len(ends) else 0,
        )

    def places(self) -> Iterator[tuple[slice, Array]]:
        """Where the elements stored lie in the matrix; in parts, to take little memory."""
        for first in range(0, self.elements, _CHUNK):
            stored = np.arange(first, min(first + _CHUNK, self.elements))
            block = np.searchsorted(self.starts, stored, side="right") - 1
            row, column = np.divmod(stored - self.starts[block], self.widths[block])
            yield slice(first, first + _CHUNK), self.corners[block] + row * self.columns + column


def _best(tensor: Tensor) -> tuple[Size, tuple[int, int]] | None:
    if not has_zero(tensor.dtype):
        return None
    present = (flat(tensor) != 0).reshape(matrix_shape(tensor.type))
    sizes = ((_size(present, shape, tensor.dtype.bits), shape) for shape in SHAPES)
    return min(sizes, key=lambda found: found[0].bits)


def _size(present: Array, shape: tuple[int, int], bits: int) -> Size:
    mask = _mask(present, *shape)
    stored = _stored(mask, present.shape, shape)
    return Size(stored * bits, indices=mask.size, headers=16)


def _stored(mask: Array, matrix: tuple[int, ...], shape: tuple[int, int]) -> int:
    """Elements of the blocks kept, counted without memory for each block."""
    if not mask.size:
        return 0
    (height, width), (low, narrow) = shape, (-matrix[0] % shape[0], -matrix[1] % shape[1])
    bottom, right = np.count_nonzero(mask[-1]), np.count_nonzero(mask[:, -1])
    missing = bottom * low * width + right * narrow * height - bool(mask[-1, -1]) * low * narrow
    return int(np.count_nonzero(mask) * height * width - missing)


def _lengths(whole: int, length: int) -> Array:
    """How long each of the blocks along an axis is: the last may be shorter."""
    return np.diff(np.append(np.arange(0, whole, length), whole))


def _mask(present: Array, height: int, width: int) -> Array:
    """Which blocks are not zero."""
    if not present.size:
        return np.zeros((0, 0), bool)
    rows = np.logical_or.reduceat(present, np.arange(0, present.shape[0], height), axis=0)
    return np.logical_or.reduceat(rows, np.arange(0, present.shape[1], width), axis=1)
