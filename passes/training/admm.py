"""ADMM: weights that move towards a constraint set while they minimise the loss.

    minimise f(W) + sum_i g(Z_i)  subject to  W_i = Z_i,  with scaled duals U_i:

    W <- argmin f(W) + rho/2 |W - Z + U|^2      the epochs of a phase
    Z <- project(W + U)                         every few epochs
    U <- U + W - Z

Source: Boyd et al., "Distributed Optimization and Statistical Learning via ADMM", 2011, section
3.1.1; for weights Zhang et al., "A Systematic DNN Weight Pruning Framework using ADMM", ECCV 2018.
U is scaled by rho: when rho grows, U shrinks by the same factor (Boyd, section 3.4.1). It grows to
``MOST_RHO`` at most. Residuals are those of section 3.3, relative to the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...ir.numeric import Array
from ..projections.constraint import Constraint
from .method import Method
from .module import GraphModule

Constrain = Callable[[Mapping[str, Array]], Mapping[str, Constraint]]
"""The constraint of each weight, chosen in view of all weights that it is for."""
MOST_RHO = 100.0
"""Here the penalty outweighs any loss and W lies at Z; growing on would end in an overflow."""


@dataclass
class Admm(Method):
    """The W, Z and U of one phase; ``every`` so many epochs Z and U move and rho grows."""

    constrain: Constrain
    rho: float
    growth: float = 1.0
    every: int = 1
    tolerance: float = 0.0
    weights: dict[str, Tensor] = field(default_factory=dict)
    z: dict[str, Tensor] = field(default_factory=dict)
    u: dict[str, Tensor] = field(default_factory=dict)
    residuals: tuple[float, float] = (float("inf"), float("inf"))

    def start(self, module: GraphModule) -> None:
        """Z is the projection of W, U is zero."""
        self.weights = dict(module.weights)
        self.u = {name: torch.zeros_like(w) for name, w in _detached(self.weights).items()}
        self.z = projected(self.constrain, _detached(self.weights))
        self.weights = {name: self.weights[name] for name in self.z}

    def penalty(self) -> Tensor | None:
        """``rho/2 |W - Z + U|^2`` over all layers."""
        parts = [
            (weight - self.z[name] + self.u[name]).square().sum()
            for name, weight in self.weights.items()
        ]
        return torch.stack(parts).sum() * (self.rho / 2)

    @torch.no_grad()
    def after_epoch(self, epoch: int) -> Mapping[str, float]:
        """The updates of Z and U when they are due; the relative residuals."""
        if (epoch + 1) % self.every == 0:
            self._update()
        primal, dual = self.residuals
        return {"residual": primal, "dual_residual": dual, "rho": self.rho}

    def _update(self) -> None:
        weights = _detached(self.weights)
        before = self.z
        self.z = projected(self.constrain, {name: w + self.u[name] for name, w in weights.items()})
        norm = _norm(weights) or 1.0
        apart = {name: w - self.z[name] for name, w in weights.items()}
        moved = {name: self.z[name] - before[name] for name in weights}
        self.residuals = _norm(apart) / norm, self.rho * _norm(moved) / norm
        growth = min(self.growth, max(MOST_RHO / self.rho, 1.0))
        for name, gap in apart.items():
            self.u[name] = (self.u[name] + gap) / growth
        self.rho *= growth

    @property
    def done(self) -> bool:
        """Whether W and Z are as near to each other as asked, and Z rests."""
        return max(self.residuals) < self.tolerance

    def state(self) -> dict[str, Any]:
        """Z, U, rho and the residuals."""
        return {"z": self.z, "u": self.u, "rho": self.rho, "residuals": self.residuals}

    def restore(self, module: GraphModule, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        device = next(module.parameters()).device
        self.z = {name: value.to(device) for name, value in state["z"].items()}
        self.u = {name: value.to(device) for name, value in state["u"].items()}
        self.weights = {name: module.weights[name] for name in self.z}
        self.rho, self.residuals = state["rho"], tuple(state["residuals"])


@dataclass
class Hard(Method):
    """Weights projected once, at the start; their zeros then stay zero: masked retraining."""

    constrain: Constrain

    def start(self, module: GraphModule) -> None:
        """The projection takes the weights' place."""
        put(module, projected(self.constrain, _detached(module.weights)))


def projected(constrain: Constrain, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The projection of each value that has a constraint."""
    arrays = {name: value.cpu().numpy() for name, value in values.items()}
    return {
        name: torch.from_numpy(np.ascontiguousarray(constraint.project(arrays[name]))).to(
            values[name]
        )
        for name, constraint in constrain(arrays).items()
    }


@torch.no_grad()
def put(module: GraphModule, values: Mapping[str, Tensor]) -> None:
    """Give weights new values."""
    for name, value in values.items():
        module.weights[name].copy_(value)


def _detached(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in weights.items()}


def _norm(values: Mapping[str, Tensor]) -> float:
    """The Euclidean norm of all values together."""
    return float(torch.stack([value.square().sum() for value in values.values()]).sum().sqrt())
