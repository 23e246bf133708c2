"""The simulator's memory: every activation of a few samples, each at its own place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..ir.layout import from_storage, storage_shape
from ..ir.numeric import Array
from ..ir.program import ALIGNMENT
from ..kernels.place import FLIP, Place


@dataclass(frozen=True)
class Layout:
    """Where slots lie in ``size`` bytes for up to ``samples``, and what their borders hold."""

    places: Mapping[int, Place]
    borders: Mapping[int, int]
    size: int
    samples: int


class Arena:
    """Memory of its own over a layout; one thread at a time may use it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        raw = np.zeros(layout.size + ALIGNMENT, np.uint8)
        skip = -raw.ctypes.data % ALIGNMENT
        self._bytes = raw[skip : skip + layout.size]
        self.address = self._bytes.ctypes.data
        self.samples = layout.samples
        for slot, value in layout.borders.items():
            place = layout.places[slot]
            whole = self._whole(place)
            (whole.view(np.uint8) if place.flipped or place.bits else whole).fill(value)
        seen = {slot: place for slot, place in layout.places.items() if not place.bits}
        self._stored = {slot: self._inside(place) for slot, place in seen.items()}
        self._flipped = {slot for slot, place in layout.places.items() if place.flipped}
        self._logical = {slot: from_storage(array) for slot, array in self._stored.items()}

    def stored(self, slot: int) -> Array:
        """An activation in storage order as it lies, for as many samples as there are."""
        return self._stored[slot][: self.samples]

    def write(self, slot: int, codes: Array) -> None:
        """Codes of an activation, in logical order."""
        target = self._logical[slot][: self.samples]
        target[...] = codes
        if slot in self._flipped:
            np.bitwise_xor(target.view(np.uint8), FLIP, out=target.view(np.uint8))

    def read(self, slot: int, out: Array) -> None:
        """Copy the codes of an activation, in logical order, to ``out``."""
        out[...] = self._logical[slot][: self.samples]
        if slot in self._flipped:
            np.bitwise_xor(out.view(np.uint8), FLIP, out=out.view(np.uint8))

    def _whole(self, place: Place) -> Array:
        size = place.sample * self._layout.samples
        found = self._bytes[place.offset : place.offset + size].view(place.type.dtype.container)
        return found.reshape(self._layout.samples, -1)

    def _inside(self, place: Place) -> Array:
        top, left, bottom, right = place.border
        height, width, channels = place.shape
        rows = self._whole(place).reshape(
            -1, height + top + bottom, width + left + right, channels
        )[:, top : top + height, left : left + width]
        return rows if any(place.border) else rows.reshape(-1, *storage_shape(place.type.shape)[1:])
