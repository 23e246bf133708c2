"""The step between levels that minimises the squared error of a row of magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np

from ...ir.numeric import Array, short_scale

Nearest = Callable[[Array], Array]
"""Magnitudes in steps to the nearest codes."""
RATIO = 1.04
"""Between neighboring scales that are tried at first."""
TRIES = 4
"""Scales that are looked at closely."""
CLOSE, TURNS = 8, 6
COARSE, FINE = 128, 4096
"""Ranges of magnitudes that may stand for all, at first and at last."""


def summary(row: Array) -> tuple[Array, Array]:
    """Magnitudes ascending and how often each occurs; exact up to ``FINE`` different ones."""
    values, counts = np.unique(np.abs(row), return_counts=True)
    return condensed(values.astype(np.float64), counts, FINE)


def condensed(values: Array, counts: Array, ranges: int) -> tuple[Array, Array]:
    """Means of neighbors, if there are more than ``ranges``; the last third stands for itself."""
    bulk = len(values) - ranges // 3
    if len(values) <= ranges:
        return values, counts
    starts = np.linspace(0, bulk, ranges - ranges // 3, endpoint=False).astype(int)
    starts = np.concatenate([starts, np.arange(bulk, len(values))])
    sums = np.add.reduceat(counts, starts)
    return np.add.reduceat(values * counts, starts) / sums, sums


def search(values: Array, counts: Array, nearest: Nearest, top: int) -> Array:
    """The scale of least error for codes up to ``top``, a short one; the values are not all 0.

    At an optimum ``scale = <v, c> / <c, c>`` with codes c that grow with v: at least the mean of v
    over top, at most the greatest v. That range is scanned in steps of ``RATIO``, the best are
    scanned closely and refined by alternation: codes for the scale, scale for the codes. On random
    rows of 5 to 400 magnitudes the error is within 0.05 % of the least of all.
    """
    low, high = np.average(values, weights=counts) / top, values[-1]
    tried = np.geomspace(low, high, 2 + int(log(high / low) / log(RATIO)))
    found = errors(*condensed(values, counts, COARSE), nearest, tried)
    best = tried[np.argsort(found, kind="stable")[:TRIES]]
    close = np.outer(best, np.geomspace(RATIO**-0.5, RATIO**0.5, CLOSE)).reshape(-1)
    close = short_scale(np.concatenate([close, _own(values, top)]))
    best = close[np.argsort(errors(values, counts, nearest, close), kind="stable")[:TRIES]]
    refined = np.concatenate([best, _refined(values, counts, nearest, best)])
    return least(values, counts, nearest, refined)


def least(values: Array, counts: Array, nearest: Nearest, scales: Array) -> Array:
    """The scale of least error."""
    best: Array = scales[np.argmin(errors(values, counts, nearest, scales))]
    return best


def errors(values: Array, counts: Array, nearest: Nearest, scales: Array) -> Array:
    """The squared error with each scale."""
    wide = scales.astype(np.float64)[:, None]
    return np.square(values - wide * nearest(values / wide)) @ counts


def _own(values: Array, top: int) -> Array:
    """The scales for which all values may be levels already: their least is some code."""
    positive = values[values > 0]
    return positive[0] / np.arange(1, top + 1) if len(positive) <= top else positive[:0]


def _refined(values: Array, counts: Array, nearest: Nearest, scales: Array) -> Array:
    for _ in range(TURNS):
        codes = nearest(values / scales.astype(np.float64)[:, None])
        squares = np.square(codes) @ counts
        products = codes @ (values * counts)
        scales = np.where(squares > 0, short_scale(products / np.maximum(squares, 1)), scales)
    return scales


def mean(values: Array, counts: Array) -> Array:
    """The exact best scale of one level: the mean magnitude."""
    return short_scale(np.average(values, weights=counts))


def ternary_scale(values: Array, counts: Array) -> Array:
    """The exact best scale of the levels 0 and 1, but for its rounding to a short one.

    Keeping the k greatest magnitudes at their mean removes ``sum**2 / k`` of the squared error
    (Li and Liu, Ternary Weight Networks, arXiv 1605.04711, equation 6; here for every k).
    """
    sums = np.cumsum((values * counts)[::-1])
    k = np.cumsum(counts[::-1])
    best = np.argmax(np.square(sums) / k)
    return short_scale(sums[best] / k[best])
