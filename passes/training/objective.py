"""What is minimised, and what is measured: cross entropy, distillation, accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..optimizer import Optimizer
from .module import GraphModule
from .samples import Samples
from .world import World


@dataclass(frozen=True)
class Objective:
    """The loss of class scores: labels, and what the ``teacher`` says."""

    options: Optimizer
    teacher: GraphModule

    def __call__(self, module: Any, x: Tensor, y: Tensor) -> Tensor:
        scores = module(x)
        share = self.options.distill
        loss = functional.cross_entropy(scores, y, label_smoothing=self.options.smoothing)
        if not share:
            return loss
        heat = self.options.temperature
        with torch.no_grad():
            wanted = functional.log_softmax(self.teacher(x) / heat, dim=1)
        given = functional.log_softmax(scores / heat, dim=1)
        apart = functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return (1 - share) * loss + share * heat**2 * apart


@torch.no_grad()
def accuracy(module: GraphModule, samples: Samples, world: World) -> float:
    """Percent of the samples whose greatest score is at the label."""
    module.eval()
    found = torch.zeros(2, device=world.device, dtype=torch.float64)
    for x, y in samples.epoch(0):
        found += torch.stack([(module(x).argmax(1) == y).sum(), torch.tensor(len(y)).to(y)])
    hits, count = world.total(found).tolist()
    return 100 * hits / max(count, 1)
