"""The phases of the passes that train and prune."""

from __future__ import annotations

from ...ir.graph import Graph
from ..admm import Admm as AdmmPass
from ..base import Context
from ..magnitude import Magnitude
from ..train import Train
from .admm import Admm, Hard
from .loop import Job, Phase, open_job, train
from .magnitude import Gradual


def by_admm(options: AdmmPass, graph: Graph, context: Context) -> Graph:
    """The graph pruned by ADMM, step by step."""
    job = opened(options, graph, context)
    phases: list[Phase] = []
    for step in range(1, options.steps + 1):
        rate = options.target.rate ** (step / options.steps)
        constrain = options.target.constrain(graph, share=1 / rate)
        method = Admm(constrain, options.rho, options.growth, options.every, options.tolerance)
        phases += [
            Phase(f"ADMM {rate:.4g}x", options.epochs, options.optimizer, method, cosine=False),
            Phase(f"retrain {rate:.4g}x", options.retrain, options.optimizer, Hard(constrain)),
        ]
    train(job, phases)
    return finished(job)


def by_magnitude(options: Magnitude, graph: Graph, context: Context) -> Graph:
    """The graph pruned by magnitude, at once or gradually."""
    job = opened(options, graph, context)
    target, optimizer = options.target, options.optimizer
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
        insert_batch_norm(job.module, ({name: x} for x, _ in job.samples.epoch(0)))
    return job


def finished(job: Job) -> Graph:
    """The graph with the trained weights; training is over for every process."""
    return job.module.eval().to_graph()
