"""Prune by magnitude: the baseline that every other method has to beat at equal epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import UsageError
from ..ir.graph import Graph
from ..ir.verify import Stage
from .base import Context, Pass
from .optimizer import Optimizer
from .target import Target


@dataclass(frozen=True)
class Magnitude(Pass):
    """Prune to ``target`` by magnitude: at once, or over the first ``gradual`` epochs.

    Then the weights that are left are retrained for ``retrain`` epochs, zeros fixed.
    Source of the gradual schedule: Zhu and Gupta, "To prune, or not to prune", 2017.
    """

    name: ClassVar[str] = "magnitude"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float"}
    needs_training: ClassVar[bool] = True
    target: Target = field(default_factory=Target)
    gradual: int = 0
    retrain: int = 15
    batch_norm: bool = False
    optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        for what, value in (("gradual", self.gradual), ("retrain", self.retrain)):
            if value < 0:
                raise UsageError(f"{what} is {value}.", fix="Choose 0 or more epochs.")

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases."""
        return self.gradual + self.retrain

    def run(self, graph: Graph, context: Context) -> Graph:
        self.target.check(graph)
        from .training.prune import by_magnitude

        return by_magnitude(self, graph, context)
