"""What a crop reads of an image: rows of pixels, each from the first to the last that it wants.

Images lie row by row, channels innermost. Of every row that has a wanted pixel the run between the
outermost wanted pixels is read, in whole bursts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.numeric import Array
from ..ir.ops_crop import FRACTION_BITS, ONE, WEIGHT_BITS, Crop
from .rows import Blocks, Pages

UNSEEN = 1 << FRACTION_BITS - WEIGHT_BITS
"""A position that lies less than this behind a pixel gives all weight to that pixel."""


@dataclass(frozen=True, slots=True)
class Window:
    """``rows`` of ``run`` neighbouring pixels each; a row begins at the pixel ``first``.

    None where that is not known: then a run may begin anywhere in a burst.
    """

    rows: int
    run: int
    first: int | None = None

    @property
    def pixels(self) -> int:
        """Pixels that are read."""
        return self.rows * self.run

    def blocks(self, bits: int, pages: Pages, width: int) -> Blocks:
        """Bursts and rows of DRAM for pixels of ``bits``, in an image ``width`` pixels wide."""
        return Blocks(
            *(self._touched(bits, size, width * bits) for size in (pages.burst, pages.row))
        )

    def _touched(self, bits: int, size: int, stride: int) -> int:
        length = self.run * bits
        if self.first is None:
            return self.rows * (-(-(length - 1) // size) + 1)
        begin = np.arange(self.rows, dtype=np.int64) * stride + self.first * bits
        return int(((begin + length - 1) // size - begin // size + 1).sum())


def window(op: Crop, image: tuple[int, int], where: Array | None) -> Window:
    """What one crop of an image ``(h, w)`` reads; ``where`` are its three codes."""
    rows, columns = (
        _wanted(at, n) for at, n in zip(op.positions(image, where), image, strict=True)
    )
    return Window(len(rows), int(columns[-1] - columns[0]) + 1, int(columns[0]))


def widest(op: Crop, image: tuple[int, int]) -> Window:
    """The most that any crop of an image ``(h, w)`` reads: its largest window, anywhere."""
    spans = (op.most * (pixels - 1) // ONE + 2 for pixels in image)
    rows, run = (min(pixels, span) for pixels, span in zip(image, spans, strict=True))
    return Window(min(rows, 2 * op.size[0]), run)


def _wanted(positions: Array, pixels: int) -> Array:
    """The pixels that have a weight, in order."""
    before = positions >> FRACTION_BITS
    between = positions % ONE >= UNSEEN
    return np.unique(np.concatenate([before, np.minimum(before + 1, pixels - 1)[between]]))
