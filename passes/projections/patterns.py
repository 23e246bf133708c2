"""Kernel patterns: every kernel keeps its weights at the places of one of a few masks.

Niu et al., PatDNN (arXiv 2001.00138): a small library of masks per layer and whole kernels that go
(there: connectivity pruning). Given the library, each kernel's best mask is the one that keeps most
of its energy, and the kernels that stay are those that keep most: the exact nearest point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np

from ...errors import UsageError
from ...ir.numeric import Array
from .constraint import check_count, energy, largest, where_kept

Mask = tuple[int, ...]
"""Places in a kernel, ascending: ``y*kw + x``."""
CANDIDATES = 512
"""Masks that a library is chosen from."""
TURNS = 2
SAMPLE = 1 << 14
"""Kernels that a library is chosen for: of more, evenly many are left out."""


@dataclass(frozen=True)
class Patterns:
    """At most ``kernels`` kernels, each with at most ``entries`` weights at the places of a mask.

    The layer has at most ``patterns`` masks: ``library``, or when it is empty those that suit the
    weight at hand. ``chosen`` fixes them, as a solver should. The choice is greedy, then exchanges
    one mask at a time: on small random layers it keeps 99.8 % of the energy that the best library
    would, on average, and 84 % at worst.
    """

    entries: int
    patterns: int
    kernels: int
    library: tuple[Mask, ...] = ()

    def project(self, weight: Array) -> Array:
        squares = self._squares(weight)
        members = _members(self.library or self._choose(squares), squares.shape[1])
        best, kept = _best(members, squares)
        places = members[best] & largest(kept, self.kernels)[:, None]
        return where_kept(weight, places.reshape(weight.shape))

    def chosen(self, weight: Array) -> Patterns:
        """These patterns with the library that suits the weight."""
        return replace(self, library=self._choose(self._squares(weight)))

    def _squares(self, weight: Array) -> Array:
        """Energies as ``(kernels, kh*kw)``, once the options fit."""
        if weight.ndim != 4:
            raise UsageError(
                "Only kernels of convolutions have patterns.",
                fix="Use another scheme for dense layers.",
            )
        size = weight.shape[2] * weight.shape[3]
        squares = energy(weight).reshape(-1, size)
        check_count("entries", self.entries, size, "weights per kernel")
        check_count("kernels", self.kernels, len(squares), "kernels")
        check_count("patterns", self.patterns, comb(size, self.entries), "masks")
        for mask in self.library:
            if len(mask) > self.entries or not set(mask) <= set(range(size)):
                raise UsageError(
                    f"The mask {mask} does not have up to {self.entries} places in 0..{size - 1}.",
                    fix="Choose the library for this layer.",
                )
        return squares

    def _choose(self, squares: Array) -> tuple[Mask, ...]:
        """The masks that the weight has already, or those that keep most of it.

        They serve the kernels that would keep most if each had its own mask.
        """
        present = _present(squares)
        if len(present) <= self.patterns and all(len(mask) <= self.entries for mask in present):
            return present
        own = np.sort(squares, axis=1)[:, squares.shape[1] - self.entries :].sum(axis=1)
        served = squares[largest(own, self.kernels)]
        served = served[:: -(-len(served) // SAMPLE)]
        masks = _candidates(served, self.entries)
        members = _members(masks, squares.shape[1])
        chosen = _exchanged(members, served, _greedy(members, served, self.patterns))
        return tuple(masks[index] for index in sorted(set(chosen)))


def _present(squares: Array) -> tuple[Mask, ...]:
    """The places of nonzero weights in kernels, without those that lie within others."""
    places = np.unique(squares > 0, axis=0)
    if len(places) > CANDIDATES:
        return tuple(map(_mask, places))
    within = ~(places[:, None] & ~places).any(axis=2)
    return tuple(map(_mask, places[within.sum(axis=1) == 1]))


def _mask(places: Array) -> Mask:
    return tuple(map(int, np.flatnonzero(places)))


def _greedy(members: Array, squares: Array, patterns: int) -> list[int]:
    """The masks that, one after the other, add most energy."""
    kept, chosen = np.zeros(len(squares)), list[int]()
    while len(chosen) < min(patterns, len(members)):
        chosen.append(int(np.argmax(_gains(members, squares, kept))))
        kept = np.maximum(kept, squares @ members[chosen[-1]])
    return chosen


def _exchanged(members: Array, squares: Array, chosen: list[int]) -> list[int]:
    """Replace each mask by the one that adds most to the others, while that gains energy."""
    kept = squares @ members[chosen].T
    for place in [*range(len(chosen))] * TURNS:
        others = np.delete(kept, place, axis=1).max(axis=1, initial=0)
        gains = _gains(members, squares, others)
        better = int(np.argmax(gains))
        if gains[better] > gains[chosen[place]]:
            chosen = [*chosen[:place], better, *chosen[place + 1 :]]
            kept[:, place] = squares @ members[better]
    return chosen


def _candidates(squares: Array, entries: int) -> tuple[Mask, ...]:
    """Every mask, or where these are many the commonest of those that kernels would choose."""
    size = squares.shape[1]
    if comb(size, entries) <= CANDIDATES:
        return tuple(combinations(range(size), entries))
    order = np.argsort(-squares, axis=1, kind="stable")[:, :entries]
    own, counts = np.unique(np.sort(order, axis=1), axis=0, return_counts=True)
    common = own[np.argsort(-counts, kind="stable")[:CANDIDATES]]
    return tuple(tuple(map(int, mask)) for mask in common)


def _members(masks: tuple[Mask, ...], size: int) -> Array:
    """Masks as rows of booleans."""
    members = np.zeros((len(masks), size), dtype=bool)
    for row, mask in zip(members, masks, strict=True):
        row[list(mask)] = True
    return members


def _gains(members: Array, squares: Array, kept: Array) -> Array:
    """The energy that each mask would add to what the kernels keep already."""
    more = squares @ members.T - kept[:, None]
    gains: Array = np.maximum(more, 0, out=more).sum(axis=0)
    return gains


def _best(members: Array, squares: Array) -> tuple[Array, Array]:
    """Each kernel's best mask and what it keeps."""
    sums = squares @ members.T
    return np.argmax(sums, axis=1), sums.max(axis=1)
