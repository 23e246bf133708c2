"""What is minimised, and what is measured: cross entropy, distillation, accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape as glob_escape
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...ir.graph import Graph
from ...ir.ops_layout import Reshape
from ...ir.ops_quant import Dequantize, Quantize
from ...ir.ops_softmax import Softmax
from ..labelled import features_of, scores_of
from ..optimizer import Loss, Optimizer
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
    relations: Any = None

    def __call__(self, module: Any, x: Tensor, y: Tensor) -> Tensor:
        given = module(x)
        found = scores(self.graph, given)
        share = self.options.distill
        loss = self._labels(found, y) + self._relations(given, y)
        if not share:
            return loss
        with torch.no_grad():
            told = answer(self.teacher.graph, self.teacher(x))
        apart = distance(found[self.graph.outputs[-1]], told, self.options.temperature)
        return (1 - share) * loss + share * apart

    def _labels(self, found: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """The loss against the labels, of all outputs that count."""
        total = torch.zeros((), device=y.device)
        for loss in self.options.losses or (Loss(glob_escape(self.graph.outputs[-1])),):
            counted = matching(self.graph, loss)
            for name in counted:
                entropy = functional.cross_entropy(
                    found[name], y, label_smoothing=self.options.smoothing
                )
                if loss.distill:
                    told = found[self.graph.outputs[-1]].detach()
                    apart = distance(found[name], told, loss.temperature)
                    entropy = (1 - loss.distill) * entropy + loss.distill * apart
                total = total + loss.weight / len(counted) * entropy
        return total

    def _relations(self, given: Any, y: Tensor) -> Tensor:
        """The loss of relations between samples, where features are outputs."""
        if self.relations is None:
            return torch.zeros((), device=y.device)
        loss: Tensor = self.relations([given[name] for name in features_of(self.graph)], y)
        return loss


def distance(given: Tensor, told: Tensor, heat: float) -> Tensor:
    """The divergence of scores from those told, softened, as distillation weighs it."""
    found = functional.log_softmax(given / heat, dim=1)
    wanted = functional.log_softmax(told / heat, dim=1)
    apart = functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
    return heat**2 * apart


def matching(graph: Graph, loss: Loss) -> list[str]:
    """The outputs that a loss speaks of; raises UsageError for none."""
    found = [name for name in scores_of(graph) if fnmatchcase(name, loss.outputs)]
    if not found:
        raise UsageError(
            f"No output matches '{loss.outputs}' of a loss.",
            fix=f"The outputs are {', '.join(scores_of(graph))}.",
        )
    return found


def scores(graph: Graph, found: Any) -> dict[str, Tensor]:
    """Each output's scores before the softmax that it may end in, but for a sum without a say."""
    named = found if isinstance(found, Mapping) else {graph.outputs[0]: found}
    return {
        name: each.clamp(min=LEAST_SHARE).log() if _ends_in_softmax(graph, name) else each
        for name, each in named.items()
        if name in scores_of(graph)
    }


def answer(graph: Graph, found: Any) -> Tensor:
    """The scores of the last output, which is the network's answer."""
    return scores(graph, found)[graph.outputs[-1]]


def _ends_in_softmax(graph: Graph, output: str) -> bool:
    node = graph.producers.get(output)
    while node is not None and isinstance(node.op, Quantize | Dequantize | Reshape):
        node = graph.producers.get(node.inputs[0])
    return node is not None and isinstance(node.op, Softmax)


@torch.no_grad()
def accuracies(module: GraphModule, samples: Samples, world: World) -> dict[str, float]:
    """Of each output, in order, percent of the samples whose greatest score is at the label."""
    module.eval()
    outputs = scores_of(module.graph)
    found = torch.zeros(len(outputs) + 1, device=world.device, dtype=torch.float64)
    for x, y in samples.epoch(0):
        given = scores(module.graph, module(x))
        hits = [(given[name].argmax(1) == y).sum() for name in outputs]
        found += torch.stack([*hits, torch.tensor(len(y)).to(y)])
    *hit, count = world.total(found).tolist()
    return {name: 100 * each / max(count, 1) for name, each in zip(outputs, hit, strict=True)}
