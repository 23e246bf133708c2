"""What every storage format states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from ...errors import NumericError
from ..numeric import NumericType
from ..tensor import Tensor, TensorType


@dataclass(frozen=True, slots=True)
class Size:
    """Bits of a packed constant by what they say: values, places of values, all the rest."""

    values: int
    indices: int = 0
    headers: int = 0

    @property
    def bits(self) -> int:
        """All of them, without those that fill the last byte."""
        return self.values + self.indices + self.headers

    @property
    def bytes(self) -> int:
        """Bytes that hold the bits."""
        return -(-self.bits // 8)


class Format(Protocol):
    """A way to store a constant. Law: ``len(pack(t)) == size(t).bytes`` and unpack gives t.

    What is packed describes itself but for the tensor's type, which unpack is given.
    """

    id: ClassVar[int]
    name: ClassVar[str]

    def size(self, tensor: Tensor) -> Size | None:
        """The bits that ``pack`` takes; None when the format cannot hold this tensor."""

    def pack(self, tensor: Tensor) -> bytes:
        """The elements; raises NumericError when ``size`` is None."""

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The inverse of ``pack``; raises NumericError for bytes that stand for no tensor.

        Reserves memory for the elements of ``type_`` only, and no more than that of hostile data.
        """


def has_zero(dtype: NumericType) -> bool:
    """Whether 0 is a value of dtype, so that it can be left out."""
    return dtype.kind != "bipolar"


def check_zero(name: str, type_: TensorType) -> None:
    """Raise NumericError for a type that a format which leaves out zeros does not hold."""
    if not has_zero(type_.dtype):
        raise NumericError(f"The format '{name}' holds no {type_}.")


def cannot_hold(name: str, tensor: Tensor) -> NumericError:
    """The error for a constant that a format cannot hold."""
    return NumericError(f"The format '{name}' cannot hold this {tensor.type}.")
