"""From wishes to a network that a dialect can say."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .kinds import MOST_ELEMENTS, Rng, chance, draw, pick
from .reals import value_of
from .spec import (
    MOVES,
    Array,
    Dialect,
    Grid,
    Layer,
    Network,
    Shape,
    Weight,
    Wish,
)

SAMPLES = 4
LEAST = 2e-3
"""Scales are not much less: what is near 0 everywhere has no smaller grid."""
LINEAR = ("conv", "conv_transpose", "dense")
JOINS = ("add", "sub", "mul", "matmul", "concat")
FUSING = (*LINEAR, "add", "sub", "mul")


def build(wishes: Sequence[Wish], dialect: Dialect) -> Network:
    """The network of these wishes; what does not fit becomes a layer that does."""
    seeds = (seed for kind, seed in wishes if kind != "none")
    making = _Making(dialect, np.random.default_rng(next(seeds, 0)))
    for kind, seed in wishes:
        if kind not in ("none", "softmax"):
            making.add(kind, np.random.default_rng(seed))
    ends = [seed for kind, seed in wishes if kind == "softmax"]
    if ends and "softmax" in dialect.kinds:
        making.append("softmax", (len(making.layers),), np.random.default_rng(ends[0]))
    return making.finish()


class _Making:
    def __init__(self, dialect: Dialect, rng: Rng) -> None:
        self.dialect = dialect
        self.shape = (int(rng.integers(1, 5)), *(int(rng.integers(5, 10)) for _ in range(2)))
        self.grid = choose_grid(rng, dialect, -2.0 * chance(rng, 0.6), 3.0, 2)
        self.layers: list[Layer] = []
        codes = rng.integers(self.grid.lo, self.grid.hi + 1, (SAMPLES, *self.shape))
        self.samples: list[Array] = [self.grid.decode(codes)]

    @property
    def unused(self) -> list[int]:
        used = {source for layer in self.layers for source in layer.sources}
        return [value for value in range(1, len(self.samples)) if value not in used]

    def shape_of(self, value: int) -> Shape:
        return self.samples[value].shape[1:]

    def add(self, kind: str, rng: Rng) -> None:
        """Append a layer of this kind, or of the first that fits."""
        last = len(self.samples) - 1
        way = rng.random()
        source = last if way < 0.7 else int(pick(rng, *range(last + 1)))
        if way > 0.85 and self.unused:
            source = pick(rng, *self.unused)
        if kind in JOINS:
            if self.join(kind, source, rng):
                return
            kind = "transpose" if kind == "matmul" else "conv"
        for each in (kind, "conv", "dense", "relu"):
            if each in self.dialect.kinds and self.append(each, (source,), rng):
                return

    def join(self, kind: str, source: int, rng: Rng) -> bool:
        """Append a layer of two or three operands, if some fit."""
        x = self.shape_of(source)
        axis = int(rng.integers(len(x)))
        partners = [v for v in range(len(self.samples)) if _fits(kind, x, self.shape_of(v), axis)]
        others = [v for v in partners if v != source]
        better = [v for v in others if v in self.unused] or others
        if not partners or (kind in ("add", "sub") and not better):
            return False
        chosen = [source, pick(rng, *(better or partners))]
        if kind == "concat" and chance(rng, 0.2):
            chosen.append(pick(rng, *partners))
        shape = _joined(kind, [self.shape_of(v) for v in chosen], axis)
        if prod(shape) > MOST_ELEMENTS:
            return False
        options = {"axis": axis + 1} if kind == "concat" else {}
        return self.append(kind, tuple(chosen), rng, shape, options)

    def append(
        self,
        kind: str,
        sources: tuple[int, ...],
        rng: Rng,
        shape: Shape | None = None,
        options: dict[str, Any] | None = None,
    ) -> bool:
        if shape is None or options is None:
            drawn = draw(rng, self.dialect, kind, self.shape_of(sources[0]))
            if drawn is None:
                return False
            shape, options = drawn
        given = self.grid_of(sources[0])
        if kind == "pad" and given.bits == 1:  # -1 and +1: nothing stands for a border of zeros
            return False
        weight = None
        if kind in LINEAR:
            weight = choose_weight(rng, self.dialect, kind, options.pop("weight"), options)
        fused = pick(rng, "", *self.dialect.fused) if kind in FUSING else ""
        layer = Layer(kind, sources, shape, options, weight, fused)
        reals = value_of(layer, *(self.samples[each] for each in sources))
        grid = given
        if kind in self.dialect.fixed:
            grid = self.dialect.fixed[kind]
        elif kind not in self.dialect.keeps and not (kind in MOVES and chance(rng, 0.5)):
            grid = choose_grid(rng, self.dialect, float(reals.min()), float(reals.max()))
        self.layers.append(Layer(kind, sources, shape, options, weight, fused, grid))
        self.samples.append(grid.decode(grid.encode(reals)))
        return True

    def grid_of(self, value: int) -> Grid:
        found = self.grid if value == 0 else self.layers[value - 1].grid
        assert found is not None
        return found

    def finish(self) -> Network:
        if not self.layers:
            self.append("pad", (0,), np.random.default_rng(0))
        ends = self.unused
        return Network(self.shape, self.grid, tuple(self.layers), tuple(ends[-3:]))


def _fits(kind: str, x: Shape, y: Shape, axis: int) -> bool:
    """Whether two values can be joined, along ``axis`` if it is a concat."""
    if kind == "matmul":
        return len(x) == len(y) == 3 and (y[0], y[1]) == (x[0], x[2])
    if kind == "concat":
        return len(x) == len(y) and _others(x, axis) == _others(y, axis)
    return x == y


def _joined(kind: str, shapes: Sequence[Shape], axis: int) -> Shape:
    first = shapes[0]
    if kind == "matmul":
        return (*first[:2], shapes[1][2])
    if kind == "concat":
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
    return first


def _others(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def any_scale(rng: Rng, near: float) -> float:
    """A float32 near a number: a power of two at times, few bits at others."""
    way = rng.random()
    if way < 0.25:
        return float(2.0 ** np.round(np.log2(near)))
    if way < 0.35:
        mantissa, exponent = np.frexp(near)
        return float(np.ldexp(max(np.round(mantissa * 16), 1), exponent - 4))
    return float(np.float32(near))


def choose_grid(rng: Rng, dialect: Dialect, lo: float, hi: float, least: int = 1) -> Grid:
    """A grid that holds most of lo..hi, or more, or less."""
    bits, signed = pick(rng, *(each for each in dialect.activations if each[0] >= least))
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    plain = not dialect.zeros or bits == 1 or chance(rng, 0.25)
    reach = float(np.exp(rng.uniform(-0.7, 0.5)))
    base = Grid(1.0, 0, bits, signed)
    if plain:
        if lo < 0 and (bits, True) in dialect.activations:
            base = Grid(1.0, 0, bits, True)
        span = max(hi / max(base.hi, 1), -lo / -base.lo if base.signed else 0.0)
        return Grid(any_scale(rng, max(span, LEAST) * reach), 0, bits, base.signed)
    scale = any_scale(rng, max((hi - lo) / (base.hi - base.lo), LEAST) * reach)
    zero = round(base.lo - lo / scale) + int(rng.integers(-2, 3)) * (bits > 4)
    return Grid(scale, int(min(max(zero, base.lo), base.hi)), bits, signed)


def choose_weight(
    rng: Rng, dialect: Dialect, kind: str, shape: Shape, options: dict[str, Any]
) -> Weight:
    """Codes of weights, at times sparse, of few values, or with dead channels."""
    bits, signed = pick(rng, *dialect.weights)
    grid = Grid(1.0, 0, bits, signed)
    rows = shape[1] * options["groups"] if kind == "conv_transpose" else shape[0]
    codes = rng.integers(grid.lo + (signed and bits > 1), grid.hi + 1, shape)
    way = rng.random()
    if way < 0.3:
        codes = np.clip(np.rint(rng.normal(0, grid.hi / 4 + 0.5, shape)), grid.lo, grid.hi)
    elif way < 0.45:
        codes = np.where(rng.random(shape) < 0.7, 0, codes)
    if chance(rng, 0.2) and bits > 1:
        codes[int(rng.integers(shape[0]))] = 0
    if bits == 1:
        codes = np.where(codes < 0, -1, 1)
    axis = int(kind == "conv_transpose")
    channels = shape[axis] if chance(rng, 0.5) else 1
    fan = prod(shape) / rows
    near = np.exp(rng.uniform(-0.7, 0.5, channels)) / (max(grid.hi, 1) * np.sqrt(fan))
    scale = np.array([any_scale(rng, each) for each in near], dtype=np.float32)
    zero = np.zeros(channels, dtype=np.int64)
    if dialect.weight_zeros and (not signed or chance(rng, 0.2)) and bits > 1:
        spread = rng.integers(-3, 4, channels) if signed else rng.integers(100, 156, channels)
        zero = np.clip(spread if signed or bits == 8 else spread >> (8 - bits), grid.lo, grid.hi)
        zero = zero if dialect.weight_zeros == "own" else np.full_like(zero, zero[0])
    bias = None
    if chance(rng, 0.75):
        most = int(grid.hi * 60 * np.sqrt(fan)) + 1
        bias = rng.integers(-most, most + 1, rows)
    return Weight(codes.astype(np.int64), scale, zero.astype(np.int64), bits, signed, bias, axis)
