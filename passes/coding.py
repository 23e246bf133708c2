"""Which codes a training pass gives to weights: options, and the levels that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import UsageError
from ..ir.graph import Graph, Node
from .projections.levels import (
    MOST_CODE,
    Levels,
    PowerOfTwoLevels,
    UniformLevels,
    Zeros,
    binary,
    bits_top,
)
from .target import matches, matching, weight_layers

Kind = Literal["none", "uniform", "power-of-two", "ternary", "binary"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class LayerCoding:
    """Bits of the layers whose name or origin matches ``match``."""

    match: str
    bits: int


@dataclass(frozen=True)
class Coding:
    """Weights take levels: ``kind`` none leaves them real.

    ADMM with the levels as constraint for ``epochs``, then hardening: in each of ``rounds`` half of
    the weights that still move, the nearest to their level, take it for good, and the others train
    on for ``each`` epochs; in the last round all do, and only biases train. A layer with zeros
    keeps them: its others take ``2**bits`` nonzero levels. One without has ``2**bits - 1`` levels,
    0 among them. ``binary`` gives every weight one of two values. With ``joint`` the ADMM phases
    that prune hold weights to the levels as well. Source of the hardening: Zhou et al.,
    "Incremental Network Quantization", ICLR 2017.
    """

    kind: Kind = "none"
    bits: int = 4
    per_channel: bool = False
    layers: tuple[LayerCoding, ...] = ()
    epochs: int = 5
    rounds: int = 4
    each: int = 2
    joint: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"There is no coding '{self.kind}'.", fix=f"Kinds: {', '.join(KINDS)}."
            )
        for bits in (self.bits, *(layer.bits for layer in self.layers)):
            if not 1 <= bits <= 8:
                raise UsageError(f"bits of a coding is {bits}.", fix="Choose 1 to 8.")
        for what, value, least in (
            ("epochs", self.epochs, 0),
            ("rounds", self.rounds, 1),
            ("each", self.each, 1),
        ):
            if value < least:
                raise UsageError(f"{what} of a coding is {value}.", fix=f"Choose {least} or more.")

    @property
    def total_epochs(self) -> int:
        """Epochs of the phases that give weights their levels."""
        return self.epochs + self.rounds * self.each if self.kind != "none" else 0

    def check(self, graph: Graph) -> None:
        """Raise UsageError where the coding names a layer that does not exist."""
        layers = weight_layers(graph)
        for layer in self.layers:
            matching(layer.match, layers)

    def levels(self, graph: Graph, *, prunes: bool) -> dict[str, Levels]:
        """The levels of each weight, by constant name; those of layers with zeros leave 0 out.

        With ``prunes`` every layer will have zeros.
        """
        return {
            name: self._levels(
                self._bits(node), pruned=prunes or not bool(graph.constants[name].array.all())
            )
            for name, node in weight_layers(graph).items()
        }

    def _bits(self, node: Node) -> int:
        found = [layer.bits for layer in self.layers if matches(layer.match, node)]
        return found[-1] if found else self.bits

    def _levels(self, bits: int, *, pruned: bool) -> Levels:
        zeros: Zeros = "pruned" if pruned else "level"
        if self.kind == "binary":
            return binary(per_channel=self.per_channel, zeros="pruned" if pruned else "never")
        if self.kind == "ternary":
            return UniformLevels(1, zeros=zeros, per_channel=self.per_channel)
        side = 1 << (bits - 1) if pruned else bits_top(bits)
        if self.kind == "uniform":
            return UniformLevels(min(side, MOST_CODE), zeros=zeros, per_channel=self.per_channel)
        count = min(side, MOST_CODE.bit_length())
        return PowerOfTwoLevels(count, zeros=zeros, per_channel=self.per_channel)
