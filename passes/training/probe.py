"""How much of each layer stays, found by measuring: prune one layer at a time and see the loss."""

from __future__ import annotations

from dataclasses import replace
from glob import escape
from itertools import islice
from math import prod

import torch
from torch.nn import functional

from ...errors import UsageError
from ...ir.graph import Graph, Node
from ...ir.ops_linear import Conv
from ..projections.constraint import Constraint
from ..projections.search import Curve, search
from ..target import LayerTarget, Target, weight_layers
from .admm import put
from .loop import Job
from .module import GraphModule
from .objective import answer

BATCHES = 20
"""Training batches that each loss is measured on."""
STEPS = 2
"""Levels for each halving of a layer."""


def found(target: Target, job: Job, graph: Graph) -> Target:
    """The target with what every layer keeps stated, where it asks for a search."""
    if target.allocate not in ("storage", "energy"):
        return target
    layers = weight_layers(graph)
    curves = {name: _curve(target, job, graph, name, node) for name, node in layers.items()}
    whole = sum(curve.keeps[-1] * curve.cost for curve in curves.values())
    kept = search(curves, whole / target.rate)
    stated = (
        LayerTarget(escape(node.name), rate=curves[name].keeps[-1] / kept[name])
        for name, node in layers.items()
    )
    return replace(target, allocate="uniform", layers=(*stated, *target.layers))


def _curve(target: Target, job: Job, graph: Graph, name: str, node: Node) -> Curve:
    """The loss at each level of one layer, all others whole."""
    weight = job.module.weights[name]
    before = weight.detach().clone()
    size = weight.numel()
    levels = []
    for keep, constraint in _levels(target, graph, node, tuple(weight.shape)):
        pruned = constraint.project(before.cpu().numpy())
        put(job.module, {name: torch.from_numpy(pruned).to(before)})
        levels.append((keep, _loss(job)))
    put(job.module, {name: before})
    done = len(job.module.weights)
    job.context.progress("Measure layers", list(job.module.weights).index(name) + 1, done)
    levels.sort()
    cost = float(_uses(node)) if target.allocate == "energy" else 1.0
    keeps, losses = zip(*levels, strict=True)
    if keeps[-1] != size:
        raise UsageError("The scheme cannot keep the whole layer.", where=node.where)
    return Curve(keeps, losses, cost)


def _uses(node: Node) -> int:
    """How many products of a sample each weight of a layer has a part in."""
    shape = node.type.sample_shape
    return prod(shape[1:] if isinstance(node.op, Conv) else shape[:-1])


def _levels(
    target: Target, graph: Graph, node: Node, shape: tuple[int, ...]
) -> list[tuple[int, Constraint]]:
    """Fewer and fewer weights and the constraint of each, until a layer would be empty."""
    size, found = prod(shape), dict[int, Constraint]()
    for step in range(STEPS * size.bit_length()):
        keep = round(size / 2 ** (step / STEPS))
        try:
            made = target.of_layer(graph, node, shape, keep / size)
        except UsageError:
            break
        if made not in found.values():
            found[keep] = made
    return list(found.items())


@torch.no_grad()
def _loss(job: Job) -> float:
    """The mean loss over some training batches."""
    module: GraphModule = job.module.eval()
    total = torch.zeros(2, device=job.world.device)
    for x, y in islice(job.samples.epoch(0), BATCHES):
        loss = functional.cross_entropy(answer(module.graph, module(x)), y, reduction="sum")
        total += torch.stack([loss, torch.tensor(float(len(y))).to(loss)])
    loss_sum, count = job.world.total(total).tolist()
    return loss_sum / max(count, 1)
