"""The phases of the passes that train and prune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from ...ir.graph import Graph
from ...ir.numeric import Array
from ..admm import Admm as AdmmPass
from ..base import Context
from ..coded import code_weights
from ..magnitude import Magnitude
from ..projections.constraint import Constraint
from ..projections.levels import Levels
from ..projections.sparse import NonStructured
from ..projections.sparse_levels import SparseLevels
from ..train import Train
from .admm import Admm, Constrain, Hard
from .harden import Harden
from .loop import Job, Phase, open_job, train
from .magnitude import Gradual
from .probe import found

MEASURED = 50
"""Batches that the statistics of a batch normalisation begin with."""


def by_admm(options: AdmmPass, graph: Graph, context: Context) -> Graph:
    """The graph pruned by ADMM, step by step, and its weights as codes if asked for."""
    if not options.total_epochs:
        return graph
    job = opened(options, graph, context)
    options = replace(options, target=found(options.target, job, graph))
    phases = [phase for rate in options.rates for phase in _pruning(options, graph, rate)]
    phases = phases if options.prunes else []
    if options.coding.kind == "none":
        train(job, phases)
        return finished(job)
    harden = Harden(_levels(options, graph), options.coding.rounds, options.coding.each)
    train(job, [*phases, *_coding(options, harden)])
    return code_weights(finished(job), harden.codes())


def _pruning(options: AdmmPass, graph: Graph, rate: float) -> list[Phase]:
    """Towards the rate of one step by ADMM, then retraining at that rate."""
    constrain = options.target.constrain(graph, share=1 / rate)
    joint = options.coding.joint and options.coding.kind != "none"
    within = _both(constrain, _levels(options, graph)) if joint else constrain
    return [
        Phase(
            f"ADMM {rate:.4g}x", options.epochs, options.optimizer, _admm(options, within), False
        ),
        Phase(f"retrain {rate:.4g}x", options.retrain, options.optimizer, Hard(constrain)),
    ]


def _coding(options: AdmmPass, harden: Harden) -> list[Phase]:
    """Towards the levels by ADMM, then the hardening."""
    coding, optimizer = options.coding, options.optimizer
    method = _admm(options, lambda weights: harden.levels)
    return [
        Phase("ADMM levels", coding.epochs, optimizer, method, False),
        Phase("harden", coding.rounds * coding.each, optimizer, harden),
    ]


def _levels(options: AdmmPass, graph: Graph) -> dict[str, Levels]:
    return options.coding.levels(graph, prunes=options.prunes)


def _admm(options: AdmmPass, constrain: Constrain) -> Admm:
    return Admm(constrain, options.rho, options.growth, options.every, options.tolerance)


def _both(constrain: Constrain, levels: Mapping[str, Levels]) -> Constrain:
    """Few weights, and those on levels."""

    def both(weights: Mapping[str, Array]) -> Mapping[str, Constraint]:
        sparse = constrain(weights)
        return {name: Within(levels[name], sparse[name]) for name in sparse}

    return both


@dataclass(frozen=True)
class Within:
    """First the weights that ``sparse`` keeps, then the nearest of the levels for those.

    For single weights this is not quite the nearest point: see SparseLevels, which is and is used
    for them.
    """

    levels: Levels
    sparse: Constraint

    def project(self, weight: Array) -> Array:
        if isinstance(self.sparse, NonStructured):
            return SparseLevels(self.sparse.keep, self.levels).project(weight)
        return self.levels.project(self.sparse.project(weight))


def by_magnitude(options: Magnitude, graph: Graph, context: Context) -> Graph:
    """The graph pruned by magnitude, at once or gradually."""
    job = opened(options, graph, context)
    target, optimizer = found(options.target, job, graph), options.optimizer
    phases = [Phase("retrain", options.retrain, optimizer, Hard(target.constrain(graph)))]
    if options.gradual:
        shrink = Gradual(
            lambda share: target.constrain(graph, share), 1 / target.rate, options.gradual
        )
        phases.insert(0, Phase("shrink", options.gradual, optimizer, shrink, cosine=False))
    train(job, phases)
    return finished(job)


def by_training(options: Train, graph: Graph, context: Context) -> Graph:
    """The graph trained as it is."""
    job = opened(options, graph, context)
    train(job, [Phase("train", options.epochs, options.optimizer, Hard(lambda weights: {}))])
    return finished(job)


def opened(options: AdmmPass | Magnitude | Train, graph: Graph, context: Context) -> Job:
    """The job, with batch normalisation if asked for."""
    job = open_job(options, graph, context, options.optimizer.batch)
    if options.batch_norm:
        from .batch_norm import insert_batch_norm

        name = graph.inputs[0].name
        first = islice(job.samples.epoch(0), MEASURED)
        insert_batch_norm(job.module, ({name: x} for x, _ in first))
    return job


def finished(job: Job) -> Graph:
    """The graph with the trained weights; training is over for every process."""
    return job.module.eval().to_graph()
