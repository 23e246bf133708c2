"""Prune by ADMM: train until weights lie near the target, project, retrain what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from ..errors import UsageError
from ..ir.graph import Graph
from ..ir.verify import Stage
from .base import Context, Pass
from .coding import Coding
from .optimizer import Optimizer
from .target import Target


@dataclass(frozen=True)
class Admm(Pass):
    """Prune to ``target``, then give weights the levels of ``coding``; rate 1 prunes nothing.

    Pruning goes to the target's rate step by step over the rates of ``via``. Each step trains
    ``epochs`` under ADMM, projects, and retrains ``retrain`` epochs with the zeros of this and
    earlier steps fixed.
    ``rho`` grows by ``growth`` each ``every`` epochs, when Z and U move, to 100 at most; a phase of
    ADMM ends early when both relative residuals are below ``tolerance``. With ``batch_norm`` layers
    train behind a batch normalisation that is folded away at the end.
    Source: Ma et al., "Non-Structured DNN Weight Pruning - Is It Beneficial in Any Platform?",
    TNNLS 2022: dynamic regulation, masked mapping and retraining, multi-step pruning.
    """

    name: ClassVar[str] = "admm"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float"}
    needs_training: ClassVar[bool] = True
    target: Target = field(default_factory=Target)
    via: tuple[float, ...] = ()
    epochs: int = 5
    retrain: int = 10
    rho: float = 2e-3
    growth: float = 1.6
    every: int = 1
    tolerance: float = 0.0
    batch_norm: bool = False
    coding: Coding = field(default_factory=Coding)
    optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        for what, value, least in (
            ("epochs", self.epochs, 1),
            ("retrain", self.retrain, 0),
            ("growth", self.growth, 1),
            ("every", self.every, 1),
            ("tolerance", self.tolerance, 0),
        ):
            if not value >= least:  # Not a number is not.
                raise UsageError(f"{what} is {value:g}.", fix=f"Choose {least} or more.")
        rates = (1.0, *self.via, self.target.rate)
        if any(low >= high for low, high in pairwise(rates)) and self.via:
            raise UsageError(
                f"The rates on the way, {', '.join(f'{rate:g}' for rate in self.via)}, do not "
                f"ascend from 1 to {self.target.rate:g}.",
                fix="State them in ascending order, each below the target's.",
            )
        if not self.rho > 0:
            raise UsageError(f"rho is {self.rho:g}.", fix="Choose more than 0, such as 0.002.")
        if self.batch_norm and self.coding.kind != "none":
            raise UsageError(
                "Folding batch normalisation would take weights off their levels.",
                fix="Prune with batch_norm in one admm pass, give levels in a second without.",
            )

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases, unless one ends early."""
        pruning = len(self.rates) * (self.epochs + self.retrain) if self.prunes else 0
        return pruning + self.coding.total_epochs

    @property
    def rates(self) -> tuple[float, ...]:
        """The rate of each step."""
        return (*self.via, self.target.rate)

    @property
    def prunes(self) -> bool:
        """Whether weights have to go."""
        return self.target.rate > 1 or bool(self.target.layers)

    def run(self, graph: Graph, context: Context) -> Graph:
        self.target.check(graph)
        self.coding.check(graph)
        from .training.prune import by_admm

        return by_admm(self, graph, context)
