"""Train or fine-tune the network as it is: no constraint, only that zeros stay zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import UsageError
from ..ir.graph import Graph
from ..ir.verify import Stage
from .base import Context, Pass
from .optimizer import Optimizer


@dataclass(frozen=True)
class Train(Pass):
    """Train ``epochs`` on the labelled data, the learning rate falling to nothing as a cosine.

    With ``batch_norm`` layers train behind a batch normalisation that is folded away at the end.
    """

    name: ClassVar[str] = "train"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float"}
    needs_training: ClassVar[bool] = True
    epochs: int = 20
    batch_norm: bool = False
    optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs is {self.epochs}.", fix="Choose 1 or more.")

    @property
    def total_epochs(self) -> int:
        """Epochs of the one phase."""
        return self.epochs

    def run(self, graph: Graph, context: Context) -> Graph:
        from .training.prune import by_training

        return by_training(self, graph, context)
