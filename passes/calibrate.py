"""Ranges of activations from data: min-max, percentile, least squared error, least divergence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..errors import NumericError
from ..ir.evaluate import walk
from ..ir.graph import Graph
from ..ir.numeric import Array
from .base import Context

Method = Literal["minmax", "percentile", "mse", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)
BINS = 2048
CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a value's elements in equal bins between the least and greatest seen."""

    lo: float
    hi: float
    counts: Array

    @property
    def centers(self) -> Array:
        width = (self.hi - self.lo) / len(self.counts)
        return self.lo + width * (np.arange(len(self.counts)) + 0.5)


def observe(graph: Graph, names: set[str], context: Context) -> dict[str, Histogram]:
    """A histogram of each named value, from two sweeps over the data: first bounds, then counts."""
    lo = dict.fromkeys(names, np.inf)
    hi = dict.fromkeys(names, -np.inf)
    for batch in context.sweep(graph, "Calibrate: ranges"):
        for name, array in _results(graph, batch, names):
            lo[name] = float(np.minimum(lo[name], array.min()))  # keeps NaN
            hi[name] = float(np.maximum(hi[name], array.max()))
    for name in names:
        if not np.isfinite((lo[name], hi[name])).all():
            raise NumericError(
                "It gives NaN or infinite values on the calibration data.",
                where=graph.producers[name].where,
                fix="Repair its weights or the samples; the float network overflows here.",
            )
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in names}
    for batch in context.sweep(graph, "Calibrate: histograms"):
        for name, array in _results(graph, batch, names):
            wide = array.astype(np.float64)  # whose bins are never finer than its numbers
            counts[name] += np.histogram(wide, BINS, (lo[name], hi[name]))[0]
    return {name: Histogram(lo[name], hi[name], counts[name]) for name in names}


def _results(
    graph: Graph, batch: Mapping[str, Array], names: set[str]
) -> Iterator[tuple[str, Array]]:
    yield from ((name, array) for name, array in batch.items() if name in names)
    yield from ((node.name, array) for node, array in walk(graph, batch) if node.name in names)


def choose_range(
    histogram: Histogram, levels: int, method: Method, percentile: float
) -> tuple[float, float]:
    """The reals ``lo <= 0 <= hi`` that ``levels`` codes should span."""
    lo, hi = min(histogram.lo, 0.0), max(histogram.hi, 0.0)
    if lo == hi or method == "minmax":
        return lo, hi
    if method == "percentile":
        return _percentile(histogram, percentile)
    score = _squared_error if method == "mse" else _divergence
    shrinks = np.linspace(1.0, 1.0 / CANDIDATES, CANDIDATES)
    losses = [score(histogram, lo * shrink, hi * shrink, levels) for shrink in shrinks]
    best = float(shrinks[int(np.argmin(losses))])
    return lo * best, hi * best


def _percentile(histogram: Histogram, percentile: float) -> tuple[float, float]:
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    centers = histogram.centers
    tail = (100 - percentile) / 100
    lo = float(centers[np.searchsorted(share, tail)]) if histogram.lo < 0 else 0.0
    hi = float(centers[min(int(np.searchsorted(share, 1 - tail)), BINS - 1)])
    return min(lo, 0.0), max(hi, 0.0)


def _on_grid(values: Array, lo: float, hi: float, levels: int) -> Array:
    step = (hi - lo) / (levels - 1)
    zero = np.rint(-lo / step)
    return step * (np.clip(np.rint(values / step) + zero, 0, levels - 1) - zero)


def _squared_error(histogram: Histogram, lo: float, hi: float, levels: int) -> float:
    centers = histogram.centers
    error = centers - _on_grid(centers, lo, hi, levels)
    return float(np.sum(histogram.counts * error**2))


def _divergence(histogram: Histogram, lo: float, hi: float, levels: int) -> float:
    """Kullback-Leibler divergence of the quantized histogram from the real one, in nats.

    Each code's mass is spread evenly over the non-empty bins that map to it; what is cut off
    counts at the end codes. Source: the entropy calibration of TensorRT (S. Migacz, GTC 2017).
    """
    counts = histogram.counts.astype(np.float64)
    codes = np.unique(_on_grid(histogram.centers, lo, hi, levels), return_inverse=True)[1]
    inside = (histogram.centers >= lo) & (histogram.centers <= hi)
    if not inside.any():
        return float(np.inf)
    filled = (counts > 0) & inside
    mass = np.bincount(codes, weights=counts * inside)
    bins = np.bincount(codes, weights=filled)
    spread = np.where(filled, (mass / np.maximum(bins, 1))[codes], 0.0)
    clipped = counts * inside
    first, last = np.flatnonzero(inside)[[0, -1]]
    clipped[first] += counts[:first].sum()
    clipped[last] += counts[last + 1 :].sum()
    p = clipped / clipped.sum()
    q = np.maximum(spread / max(spread.sum(), 1.0), 1e-12)
    live = p > 0
    return float(np.sum(p[live] * np.log(p[live] / q[live])))
