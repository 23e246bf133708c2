"""Where an activation lies in the simulator's arena."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..ir.tensor import TensorType
from ..ir.windows import Pads

NO_BORDER: Pads = (0, 0, 0, 0)
FLIP = 128
"""What is added to signed codes of a byte: instructions multiply unsigned with signed."""


def is_byte(type_: TensorType) -> bool:
    """Whether a code of the type is a byte."""
    return type_.dtype.container.itemsize == 1


def flips(type_: TensorType) -> bool:
    """Whether routines want codes of the type 128 higher."""
    return is_byte(type_) and type_.dtype.lo < 0


def channels_of(type_: TensorType) -> int:
    """What lies innermost."""
    sample = type_.sample_shape or (1,)
    return sample[0] if len(sample) == 3 else sample[-1]


@dataclass(frozen=True, slots=True)
class Place:
    """Samples ``(h, w, c)``, each within a border of pixels, one after the other from ``offset``.

    Distances are in bytes. Signed codes that are ``flipped`` lie as their unsigned neighbours, 128
    higher; codes +1 and -1 may lie as ``bits``, 1 and 0.
    """

    type: TensorType
    offset: int = 0
    border: Pads = NO_BORDER
    flipped: bool = False
    bits: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c) of a sample; what has no rows or columns has one."""
        sample = self.type.sample_shape or (1,)
        if len(sample) == 3:
            return sample[1], sample[2], sample[0]
        return 1, prod(sample[:-1]), sample[-1]

    @property
    def item(self) -> int:
        """Bytes of a code."""
        return self.type.dtype.container.itemsize

    @property
    def pixel(self) -> int:
        """From a pixel to the next in its row."""
        return self.shape[2] // 8 if self.bits else self.shape[2] * self.item

    @property
    def row(self) -> int:
        """From a pixel to the one below."""
        return (self.shape[1] + self.border[1] + self.border[3]) * self.pixel

    @property
    def sample(self) -> int:
        """From a sample to the next."""
        return (self.shape[0] + self.border[0] + self.border[2]) * self.row

    @property
    def origin(self) -> int:
        """The first pixel of a sample that is not in its border."""
        return self.border[0] * self.row + self.border[1] * self.pixel
