"""Few weights and few values together: the joint set of ADMM-NN's two phases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...ir.numeric import Array
from .constraint import check_count, energy, largest, where_kept
from .levels import Levels, spread

TURNS = 10


@dataclass(frozen=True)
class SparseLevels:
    """At most ``keep`` nonzero weights, and those on nonzero levels.

    For a given scale the projection is exact: a weight v on level l rather than at 0 gains
    ``v**2 - (v - l)**2``, and the greatest gains above 0 are kept. With one scale per layer these
    are the greatest magnitudes. The scale of ``fit`` is as good as that of the levels' own search,
    and with scales per channel alternates with the choice of weights. ``zeros`` has no say here.
    """

    keep: int
    levels: Levels

    def fit(self, weight: Array) -> Array:
        """The scale of least squared error found: float32 ``(co,)`` or ``(1,)``."""
        check_count("keep", self.keep, weight.size, "weights")
        levels = replace(self.levels, zeros="level")
        kept = largest(energy(weight), self.keep)
        best, least = np.empty(0), np.inf
        for _ in range(TURNS):
            scale = levels.fit(where_kept(weight, kept))
            point = self.project(weight, scale)
            error = float(energy(weight - point).sum())
            if error >= least:
                break
            best, least, kept = scale, error, point != 0
        return best

    def project(self, weight: Array, scale: Array | None = None) -> Array:
        """The nearest weight of the set, float32; the scale is that of ``fit`` unless given."""
        scale = self.fit(weight) if scale is None else scale
        return replace(self.levels, zeros="pruned").project(self._kept(weight, scale), scale)

    def _kept(self, weight: Array, scale: Array) -> Array:
        """The weights that take a level, zeros elsewhere."""
        check_count("keep", self.keep, weight.size, "weights")
        step, size = spread(scale, weight), np.abs(weight).astype(np.float64)
        level = step * self.levels.nonzero(size / step)
        gain = level * (2 * size - level)
        return where_kept(weight, largest(gain, self.keep) & (gain > 0))
