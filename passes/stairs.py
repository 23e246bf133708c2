"""The staircase: one channel of a monotone definition, over the accumulators that can occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.numeric import Array


@dataclass(frozen=True, slots=True)
class Staircase:
    """One channel of a definition over the reachable accumulators lo..hi.

    ``base`` is the code of lo; ``steps[i]`` is the least accumulator whose code is base + 1 + i.
    A falling definition (negative scale) is described by its mirror image, ``sign = -1``: the
    accumulator is then -acc. ``clipped_below`` and ``clipped_above`` say that base and top are the
    definition's least and greatest codes, beyond which clipping takes care.
    """

    lo: int
    hi: int
    base: int
    steps: Array
    sign: int
    clipped_below: bool
    clipped_above: bool

    @property
    def levels(self) -> Array:
        """The code that each step reaches."""
        return self.base + 1 + np.arange(len(self.steps))
