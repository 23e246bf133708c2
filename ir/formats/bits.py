"""Fields of a few bits, one after the other, least significant first: to bytes and back."""

from __future__ import annotations

import numpy as np

from ...errors import NumericError
from ..layout import from_storage, storage_shape, to_storage
from ..numeric import Array, NumericType
from ..tensor import Tensor, TensorType

MAX_WIDTH = 64
_CHUNK = 1 << 16
"""Numbers widened at a time: each takes 64 bytes meanwhile. A multiple of 8 ends on a byte."""


def flat(tensor: Tensor) -> Array:
    """The elements ``(n,)`` in storage order, as their container holds them."""
    return to_storage(tensor.array).reshape(-1)


def shaped(elements: Array, type_: TensorType) -> Tensor:
    """The inverse of ``flat``, for elements of the container's dtype."""
    stored = TensorType(storage_shape(type_.sample_shape))
    return Tensor(from_storage(elements.reshape(stored.sample_shape)), type_.dtype)


def matrix_shape(type_: TensorType) -> tuple[int, int]:
    """Rows and columns of a constant in storage order: one row below rank 2, none if empty."""
    if not type_.elements:
        return 0, 0  # Not 2^31 rows of nothing, each of which would take memory.
    shape = storage_shape(type_.sample_shape)
    rows = int(shape[0]) if len(shape) > 1 else 1
    return rows, type_.elements // rows


def to_codes(values: Array, dtype: NumericType) -> Array:
    """Elements of dtype as unsigned numbers of ``dtype.bits`` bits; a bipolar +1 is 1."""
    if dtype.kind == "bipolar":
        return (values > 0).astype(np.uint64)
    return values.astype(np.int64).view(np.uint64) & np.uint64((1 << dtype.bits) - 1)


def from_codes(codes: Array, dtype: NumericType) -> Array:
    """The inverse of ``to_codes``; raises NumericError for a code that dtype does not have."""
    if dtype.kind == "bipolar":
        return (2 * codes.astype(np.int8) - 1).astype(dtype.container)
    if dtype.kind == "uint":
        return codes.astype(dtype.container)
    if dtype.kind == "ternary" and (codes == 2).any():
        raise NumericError("A packed element is not ternary.")
    unused = np.uint64(64 - dtype.bits)
    return ((codes << unused).view(np.int64) >> np.int64(unused)).astype(dtype.container)


def index_width(count: int) -> int:
    """Bits of a number below ``count``."""
    return max(count - 1, 0).bit_length()


def field(values: Array, width: int) -> Array:
    """Unsigned numbers ``(n,)`` as bits ``(n * width,)``, each 0 or 1; width is 0 to 64."""
    found = np.empty((len(values), width), np.uint8)
    for start in range(0, len(values) if width else 0, _CHUNK):
        part = np.ascontiguousarray(values[start : start + _CHUNK], np.dtype("<u8"))
        bits = np.unpackbits(part.view(np.uint8), bitorder="little").reshape(-1, 64)
        found[start : start + _CHUNK] = bits[:, :width]
    return found.reshape(-1)


def number(value: int, width: int) -> Array:
    """One number as ``width`` bits."""
    return field(np.array([value], np.uint64), width)


def joined(*fields: Array) -> bytes:
    """The fields one after the other; zeros fill the last byte."""
    return np.packbits(np.concatenate(fields), bitorder="little").tobytes()


class Reader:
    """Takes fields from bytes; raises NumericError where they end early or late."""

    def __init__(self, data: bytes | memoryview | Array) -> None:
        self.data = np.frombuffer(data, np.uint8)
        self.at = 0

    def need(self, bits: int) -> None:
        """Raise NumericError unless so many bits are left; call it before memory is reserved."""
        if self.at + bits > 8 * len(self.data):
            raise NumericError(f"The packed bytes end after {len(self.data)} bytes.")

    def take(self, count: int, width: int) -> Array:
        """The next ``count`` unsigned numbers of ``width`` bits."""
        self.need(count * width)
        found = np.zeros(count, np.uint64)
        for start in range(0, count if width else 0, _CHUNK):
            part = found[start : start + _CHUNK]
            part[:] = self._few(len(part), width)
        return found

    def flags(self, count: int) -> Array:
        """The next ``count`` bits as booleans."""
        self.need(count)
        first, end = self.at // 8, self.at + count
        octets = self.data[first : -(-end // 8)]
        bits = np.unpackbits(octets, bitorder="little")[self.at - 8 * first :][:count]
        self.at = end
        return bits.view(bool)

    def values(self, count: int, dtype: NumericType) -> Array:
        """The next ``count`` elements of dtype, in its container; little memory beside them."""
        self.need(count * dtype.bits)
        found = np.empty(count, dtype.container)
        for start in range(0, count, _CHUNK):
            part = found[start : start + _CHUNK]
            part[:] = from_codes(self._few(len(part), dtype.bits), dtype)
        return found

    def number(self, width: int) -> int:
        """The next number."""
        return int(self.take(1, width)[0])

    def rest(self) -> Array:
        """The bytes after the one in which the last field ends."""
        return self.data[-(-self.at // 8) :]

    def close(self) -> None:
        """Raise NumericError unless only zeros that fill the last byte are left."""
        if self.at <= 8 * (len(self.data) - 1):
            raise NumericError(f"{len(self.data) - -(-self.at // 8)} bytes follow what is packed.")
        if self.at % 8 and self.data[-1] >> (self.at % 8):
            raise NumericError("The bits that fill the last packed byte are not 0.")

    def _few(self, count: int, width: int) -> Array:
        first, end = self.at // 8, self.at + count * width
        octets = self.data[first : -(-end // 8)]
        bits = np.unpackbits(octets, bitorder="little")[self.at - 8 * first :][: count * width]
        self.at = end
        wide = np.zeros((count, 64), np.uint8)
        wide[:, :width] = bits.reshape(count, width)
        return np.packbits(wide, axis=1, bitorder="little").view(np.dtype("<u8")).reshape(count)
