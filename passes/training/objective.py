"""What is minimised, and what is measured: cross entropy, distillation, accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...ir.graph import Graph
from ...ir.ops_layout import Reshape
from ...ir.ops_quant import Dequantize, Quantize
from ...ir.ops_softmax import Softmax
from ..optimizer import Optimizer
from .module import GraphModule
from .samples import Samples
from .world import World

LEAST_SHARE = 1e-30
"""Of the shares of a softmax: below, a logarithm has no gradient that float32 can hold."""


@dataclass(frozen=True)
class Objective:
    """The loss of the scores of ``graph``: labels, and what the ``teacher`` says."""

    options: Optimizer
    graph: Graph
    teacher: GraphModule

    def __call__(self, module: Any, x: Tensor, y: Tensor) -> Tensor:
        scores = logits(self.graph, module(x))
        share = self.options.distill
        loss = functional.cross_entropy(scores, y, label_smoothing=self.options.smoothing)
        if not share:
            return loss
        heat = self.options.temperature
        with torch.no_grad():
            told = logits(self.teacher.graph, self.teacher(x))
            wanted = functional.log_softmax(told / heat, dim=1)
        given = functional.log_softmax(scores / heat, dim=1)
        apart = functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return (1 - share) * loss + share * heat**2 * apart


def logits(graph: Graph, scores: Tensor) -> Tensor:
    """The scores before the softmax that ``graph`` may end in, but for a sum that has no say."""
    return scores.clamp(min=LEAST_SHARE).log() if _ends_in_softmax(graph) else scores


def _ends_in_softmax(graph: Graph) -> bool:
    node = graph.producers.get(graph.outputs[0])
    while node is not None and isinstance(node.op, Quantize | Dequantize | Reshape):
        node = graph.producers.get(node.inputs[0])
    return node is not None and isinstance(node.op, Softmax)


@torch.no_grad()
def accuracy(module: GraphModule, samples: Samples, world: World) -> float:
    """Percent of the samples whose greatest score is at the label."""
    module.eval()
    found = torch.zeros(2, device=world.device, dtype=torch.float64)
    for x, y in samples.epoch(0):
        found += torch.stack([(module(x).argmax(1) == y).sum(), torch.tensor(len(y)).to(y)])
    hits, count = world.total(found).tolist()
    return 100 * hits / max(count, 1)
