"""Every element in as many bits as its type has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..numeric import Array, NumericType
from ..tensor import Tensor, TensorType
from .base import Size
from .bits import flat, shaped

_CHUNK = 1 << 16
"""Elements packed at a time: bounds the memory, and a multiple of 8 ends on a byte."""


@dataclass(frozen=True, slots=True)
class Dense:
    """Every element in ``b = dtype.bits`` bits: element i holds bits ``[i * b, (i + 1) * b)``.

    Bits count from the least significant of the first byte; the last byte is filled with zeros.
    Elements are two's complement, unsigned for uintN; a bipolar +1 is the bit 1.
    """

    id: ClassVar[int] = 1
    name: ClassVar[str] = "dense"

    def size(self, tensor: Tensor) -> Size:
        """Bits stored: none but those of values."""
        return Size(_bits(tensor.type))

    def pack(self, tensor: Tensor) -> bytes:
        """The elements in storage order."""
        elements = flat(tensor)
        chunks = (elements[at : at + _CHUNK] for at in range(0, elements.size, _CHUNK))
        return b"".join(_pack(chunk, tensor.dtype) for chunk in chunks)

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError when length, filling bits or a value are not legal."""
        count, dtype = type_.elements, type_.dtype
        size = -(-_bits(type_) // 8)
        if len(data) != size:
            raise NumericError(f"{type_} is packed into {size} bytes, not {len(data)}.")
        if size and data[-1] >> ((_bits(type_) - 1) % 8 + 1):
            raise NumericError(f"The bits that fill the last byte of a packed {type_} are not 0.")
        elements = np.empty(count, dtype.container)
        raw = np.frombuffer(data, np.uint8)
        for start in range(0, count, _CHUNK):
            part = elements[start : start + _CHUNK]
            first = start * dtype.bits // 8
            _unpack(raw[first : first + -(-part.size * dtype.bits // 8)], dtype, part)
        return shaped(elements, type_)


def _bits(type_: TensorType) -> int:
    return type_.elements * type_.dtype.bits


def _pack(values: Array, dtype: NumericType) -> bytes:
    """``(n,)`` values of dtype as ``ceil(n * bits / 8)`` bytes."""
    codes = values > 0 if dtype.kind == "bipolar" else values
    octets = np.ascontiguousarray(codes, codes.dtype.newbyteorder("<")).view(np.uint8)
    if dtype.bits == 8 * codes.itemsize:
        return octets.tobytes()
    wide = np.unpackbits(octets, bitorder="little").reshape(values.size, -1)
    return np.packbits(wide[:, : dtype.bits], bitorder="little").tobytes()


def _unpack(data: Array, dtype: NumericType, out: Array) -> None:
    """Fill ``(n,)`` out with the elements packed in ``ceil(n * bits / 8)`` bytes."""
    if dtype.bits < 8 * out.itemsize:
        data = _widen(data, dtype, out.size, 8 * out.itemsize)
    out[:] = data.view(out.dtype.newbyteorder("<"))
    if dtype.kind == "bipolar":
        out[:] = 2 * out - 1


def _widen(data: Array, dtype: NumericType, count: int, width: int) -> Array:
    """The bytes of ``count`` elements that have ``width`` bits each instead of dtype's."""
    bits = np.unpackbits(data, count=count * dtype.bits, bitorder="little")
    wide = np.zeros((count, width), np.uint8)
    wide[:, : dtype.bits] = bits.reshape(count, dtype.bits)
    if dtype.kind in ("int", "ternary"):
        wide[:, dtype.bits :] = wide[:, dtype.bits - 1 : dtype.bits]
    return np.packbits(wide, bitorder="little")
