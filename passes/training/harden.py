"""Incremental hardening: weights take their levels for good, the nearest first.

Source: Zhou et al., "Incremental Network Quantization", ICLR 2017; as in ADMM-NN it follows an ADMM
phase that brought weights near their levels, and exact zeros are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import torch
from torch import Tensor

from ...ir import tensor as ir
from ...ir.numeric import Array
from ..projections.levels import Levels
from .method import Method
from .module import GraphModule


@dataclass
class Harden(Method):
    """Fixes scales at the start, then half of what still moves in each of ``rounds``, at last all.

    A round is ``each`` epochs long.
    """

    levels: Mapping[str, Levels]
    rounds: int
    each: int
    scales: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    fixed: dict[str, Tensor] = field(default_factory=dict)

    def start(self, module: GraphModule) -> None:
        """Fit the scales and fix the first half."""
        self.weights = dict(module.weights)
        self.scales = {
            name: torch.from_numpy(levels.fit(_array(self.weights[name])))
            for name, levels in self.levels.items()
        }
        self.fixed = {name: torch.zeros_like(w, dtype=torch.bool) for name, w in self._all()}
        self._snap(0)

    @torch.no_grad()
    def after_step(self) -> None:
        """What is fixed stays."""
        for name, weight in self._all():
            weight.copy_(torch.where(self.fixed[name], self.values[name], weight))

    def after_epoch(self, epoch: int) -> Mapping[str, float]:
        """The next half is fixed when its round begins."""
        ended, rest = divmod(epoch + 1, self.each)
        if not rest and ended < self.rounds:
            self._snap(ended)
        total = sum(mask.numel() for mask in self.fixed.values())
        return {"fixed": sum(int(mask.sum()) for mask in self.fixed.values()) / total}

    def state(self) -> dict[str, Any]:
        """Scales and what is fixed; the values are in the weights."""
        return {"scales": self.scales, "fixed": self.fixed}

    def restore(self, module: GraphModule, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.weights = dict(module.weights)
        self.scales = state["scales"]
        device = next(module.parameters()).device
        self.fixed = {name: mask.to(device) for name, mask in state["fixed"].items()}
        self.values = {name: weight.detach().clone() for name, weight in self._all()}

    def codes(self) -> dict[str, tuple[ir.Tensor, Array]]:
        """The codes and scale of each weight; right when all are fixed."""
        return {
            name: self.levels[name].codes(_array(weight), self.scales[name].numpy())
            for name, weight in self._all()
        }

    def _all(self) -> list[tuple[str, Tensor]]:
        return [(name, self.weights[name]) for name in self.levels]

    @torch.no_grad()
    def _snap(self, ended: int) -> None:
        """Fix half of each layer's weights that still move, in the last round all.

        Zeros of a pruned layer do not move and are not counted: they would be most of the half.
        """
        part = 1 if ended + 1 == self.rounds else 2
        self.values = {}
        for name, weight in self._all():
            array = _array(weight)
            found = self.levels[name].project(array, self.scales[name].numpy())
            level = torch.from_numpy(found).to(weight)
            self.fixed[name] = _nearest(weight, level, self.fixed[name], part)
            weight.copy_(torch.where(self.fixed[name], level, weight))
            self.values[name] = weight.clone()


def _nearest(weight: Tensor, level: Tensor, fixed: Tensor, part: int) -> Tensor:
    """``fixed``, zeros, and of the others one in ``part``, rounded up: the nearest to their level.

    Among equally near ones the lower flat index comes first.
    """
    still = fixed | (weight == 0)
    apart = torch.where(still, torch.inf, (weight - level).abs()).flatten()
    chosen = torch.zeros_like(apart, dtype=torch.bool)
    moving = int((~still).sum())
    chosen[torch.argsort(apart, stable=True)[: ceil(moving / part)]] = True
    return chosen.reshape(weight.shape) | still


def _array(weight: Tensor) -> Array:
    return weight.detach().cpu().numpy().copy()
