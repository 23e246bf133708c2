"""How many weights each layer keeps, where the count or the cost of the whole network is given.

Layers go by name, in the order of the network. Every layer keeps a weight at any rate: one left
empty cuts the network in two.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import UsageError
from ...ir.numeric import Array
from .constraint import energy, largest

Counts = dict[str, int]


def global_magnitude(weights: Mapping[str, Array], keep: int) -> Counts:
    """The ``keep`` greatest magnitudes of all layers together, ``keep`` weights in all.

    With ``NonStructured`` of these counts each layer's point is its part of the nearest point of
    the joint set; among equals earlier layers keep theirs.
    """
    return _first({name: _descending(weight) for name, weight in weights.items()}, keep)


def lamp(weights: Mapping[str, Array], keep: int) -> Counts:
    """As ``global_magnitude``, by squares relative to the layer's weights that are no smaller.

    The score is the share of what is left of its layer that a weight would remove (Lee et al.,
    Layer-adaptive sparsity for the magnitude-based pruning, arXiv 2010.07611, figure 1).
    """
    scores = {}
    for name, weight in weights.items():
        squares = _descending(weight)
        sums = np.cumsum(squares)
        scores[name] = np.divide(squares, sums, out=np.zeros_like(sums), where=sums > 0)
    return _first(scores, keep)


def _descending(weight: Array) -> Array:
    return np.sort(energy(weight), axis=None)[::-1]


def _first(scores: Mapping[str, Array], keep: int) -> Counts:
    """Counts of the ``keep`` greatest scores, which descend in each layer."""
    sizes = {name: len(each) for name, each in scores.items()}
    _check(sizes, keep)
    ranked = {name: each.copy() for name, each in scores.items()}
    for each in ranked.values():
        each[:1] = np.inf
    chosen = largest(np.concatenate(list(ranked.values())), keep)
    parts = np.split(chosen, np.cumsum(list(sizes.values()))[:-1])
    return {name: int(part.sum()) for name, part in zip(sizes, parts, strict=True)}


def _check(sizes: Mapping[str, int], keep: int) -> None:
    low, high = len(sizes), sum(sizes.values())
    if not low <= keep <= high:
        raise UsageError(
            f"{keep} weights are to be kept, but {low} layers with 1 or more each keep {low} to "
            f"{high}.",
            fix=f"Choose {low} to {high}.",
        )
