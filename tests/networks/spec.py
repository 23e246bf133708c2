"""What a random network is, in the words of no dialect: layers over images (c, h, w) and vectors.

A network is written down as its *wishes*, a tuple of ``(kind, seed)``: a layer of that kind where it
fits, else of a kind that does. Leaving out a wish or replacing it by ``("none", 0)`` leaves a network,
so that a failing one can be shrunk; the wishes and the dialect reproduce it (``build.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Wish = tuple[str, int]
Wishes = tuple[Wish, ...]


MOVES = (
    "max_pool",
    "global_max",
    "resize",
    "pad",
    "reshape",
    "flatten",
    "transpose",
    "slice",
)
"""Kinds that choose among elements."""
LATE = tuple(kind for kind in MOVES if kind != "resize")
"""Those that may stand before the quantizer: a resize is made of several parts."""
UNARY = ("relu", "clip", "leaky_relu", "sigmoid", "tanh", "hard_swish", "hard_sigmoid", "elu")


@dataclass(frozen=True)
class Grid:
    """Codes of one tensor: ``scale * (code - zero)``; the scale is a float32."""

    scale: float
    zero: int
    bits: int
    signed: bool

    @property
    def lo(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return self.lo + (1 << self.bits) - 1

    @property
    def name(self) -> str:
        """As ONNX and numpy name the type."""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @property
    def container(self) -> Any:
        return np.dtype(f"{'int' if self.signed else 'uint'}{8 if self.bits <= 8 else 16}")

    def encode(self, reals: Array) -> Array:
        return np.clip(np.rint(reals / self.scale) + self.zero, self.lo, self.hi).astype(np.int64)

    def decode(self, codes: Array) -> Array:
        return self.scale * (codes - self.zero)


@dataclass(frozen=True, eq=False)
class Weight:
    """Codes ``(co, ...)`` int64, scales and zero points ``(1,)`` or one per ``axis``, a bias or None.

    Codes of a transposed convolution are ``(c, co / groups, ...)`` with parameters along axis 1. The bias ``(co,)`` counts products of a code of the input and one of the weight.
    """

    codes: Array
    scale: Array
    zero: Array
    bits: int
    signed: bool
    bias: Array | None
    axis: int = 0

    def along(self, parameter: Array) -> Array:
        """A scale or zero point, shaped to broadcast against the codes."""
        return parameter.reshape(tuple(-1 if a == self.axis else 1 for a in range(self.codes.ndim)))

    @property
    def reals(self) -> Array:
        return (self.codes - self.along(self.zero)) * self.along(self.scale).astype(np.float64)

    @property
    def bias_scale(self) -> Array:
        """The scale of each filter, ``(1,)`` or as many as there are biases."""
        if self.scale.size == 1 or self.bias is None:
            return self.scale
        return np.tile(self.scale, self.bias.size // self.scale.size)


@dataclass(frozen=True, eq=False)
class Layer:
    """One operator; ``sources`` count the values before it, of which the first is the input.

    ``fused`` is "", "relu" or "clip" before the codes of the result, ``shape`` that of a sample.
    """

    kind: str
    sources: tuple[int, ...]
    shape: Shape
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: Weight | None = None
    fused: str = ""
    grid: Grid | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """An input, layers in order, and the values that are outputs."""

    shape: Shape
    grid: Grid
    layers: tuple[Layer, ...]
    outputs: tuple[int, ...]

    def grid_of(self, value: int) -> Grid:
        found = self.grid if value == 0 else self.layers[value - 1].grid
        assert found is not None
        return found

    def shape_of(self, value: int) -> Shape:
        return self.shape if value == 0 else self.layers[value - 1].shape

    @property
    def unquantized(self) -> frozenset[int]:
        """Values after which a dialect of reals may leave out the quantizer.

        Codes that were only moved stay codes; what one layer moves may become codes behind it.
        """
        users: dict[int, list[Layer]] = {}
        for layer in self.layers:
            for source in layer.sources:
                users.setdefault(source, []).append(layer)
        found, late = set(), set()
        for index, layer in enumerate(self.layers, 1):
            after = users.get(index, [])
            waits = not late.isdisjoint(layer.sources)
            if index in self.outputs or not after:
                continue
            if layer.kind in MOVES and layer.grid == self.grid_of(layer.sources[0]) and not waits:
                found.add(index)
            elif len(after) == 1 and after[0].kind in LATE and (waits or index % 3 == 0):
                late.add(index)
        return frozenset(found | late)

    def codes(self, count: int, seed: int) -> Array:
        """Random codes of the input, of which a sample holds the ends only."""
        rng = np.random.default_rng(seed)
        codes = rng.integers(self.grid.lo, self.grid.hi + 1, (count, *self.shape))
        codes[-1] = rng.choice([self.grid.lo, self.grid.hi], self.shape)
        return codes.astype(self.grid.container)


@dataclass(frozen=True)
class Dialect:
    """What a dialect can say: kinds of layers, types of codes as (bits, signed), zero points.

    ``keeps`` are kinds whose result has the grid of its first operand. ``padding`` are kinds of
    borders: those of TFLite, EVEN ones of one element, or ANY; average pools have none unless
    ``bordered_pools``. ``groups`` allows more groups than 1 and all channels.
    ``weight_zeros`` is "", "shared" by all channels or "own" for each.
    """

    name: str
    kinds: tuple[str, ...]
    activations: tuple[tuple[int, bool], ...] = ((8, True), (8, False))
    weights: tuple[tuple[int, bool], ...] = ((8, True),)
    zeros: bool = True
    weight_zeros: str = ""
    keeps: frozenset[str] = frozenset()
    fused: tuple[str, ...] = ("", "relu", "clip")
    padding: tuple[str, ...] = ("VALID", "SAME", "ANY")
    groups: bool = True
    bordered_pools: bool = True
    fixed: Mapping[str, Grid] = field(default_factory=dict)
