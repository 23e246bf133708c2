"""A bit per element, and the values of those that are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import NumericError
from ..tensor import Tensor, TensorType
from .base import Size, cannot_hold, check_zero, has_zero
from .bits import Reader, field, flat, joined, shaped, to_codes


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A bit for each element, 1 where it is not 0, then the values of these."""

    id: ClassVar[int] = 6
    name: ClassVar[str] = "bitmap"

    def size(self, tensor: Tensor) -> Size | None:
        """None of a type without 0."""
        if not has_zero(tensor.dtype):
            return None
        present = int(np.count_nonzero(tensor.array))
        return Size(present * tensor.dtype.bits, indices=tensor.type.elements)

    def pack(self, tensor: Tensor) -> bytes:
        """The mask and the values."""
        if not has_zero(tensor.dtype):
            raise cannot_hold(self.name, tensor)
        elements = flat(tensor)
        values = to_codes(elements[elements != 0], tensor.dtype)
        return joined(field(elements != 0, 1), field(values, tensor.dtype.bits))

    def unpack(self, data: bytes | memoryview, type_: TensorType) -> Tensor:
        """The constant; raises NumericError."""
        check_zero(self.name, type_)
        reader = Reader(data)
        mask = reader.flags(type_.elements)
        values = reader.values(int(mask.sum()), type_.dtype)
        reader.close()
        if not values.all():
            raise NumericError("A bitmap names an element that is 0.")
        found = np.zeros(type_.elements, type_.dtype.container)
        found[mask] = values
        return shaped(found, type_)
