"""Gradual magnitude pruning: the cubic schedule that others are measured against.

Source: Zhu and Gupta, "To prune, or not to prune", 2017, equation (1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .admm import Constrain, projected, put
from .method import Method, State
from .module import GraphModule


@dataclass
class Gradual(Method):
    """Projects after each epoch on a set that shrinks until ``epochs`` are over.

    ``at(share)`` gives the constraints at which ``share`` of the weights is left.
    """

    at: Callable[[float], Constrain]
    keep: float
    epochs: int

    def start(self, module: GraphModule) -> None:
        """The weights as they are."""
        self.module = module

    def after_epoch(self, epoch: int) -> Mapping[str, float]:
        """Fewer weights: ``keep + (1 - keep) (1 - t)^3`` of them at the time t of 0..1."""
        left = max(1 - (epoch + 1) / self.epochs, 0.0)
        share = self.keep + (1 - self.keep) * left**3
        values = {name: weight.detach() for name, weight in self.module.weights.items()}
        put(self.module, projected(self.at(share), values))
        return {"kept": share}

    def restore(self, module: GraphModule, state: State) -> None:
        """Go on with the weights of ``module``."""
        self.module = module
