"""The one training loop: phases of epochs, each with a method; it counts, saves and stops."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ...errors import DataError, PassError, UsageError
from ...ir.graph import Graph
from ..base import Context, Pass
from ..labelled import features_of
from ..optimizer import Optimizer
from .checkpoint import Checkpoint, checkpoint
from .method import Method, State
from .module import GraphModule, to_torch
from .objective import Objective, accuracies
from .relations import Relations
from .samples import Samples, measuring_samples, training_samples
from .world import World, together, world

CHECK_EVERY = 100
"""Steps between two looks at the loss: each look waits for the device."""
Row = dict[str, Any]
Masks = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Phase:
    """Some epochs of one method; ``cosine`` lowers the learning rate to nothing at their end."""

    name: str
    epochs: int
    optimizer: Optimizer
    method: Method
    cosine: bool = True


@dataclass
class Job:
    """A module in training: data, checkpoint, and one row of figures for each epoch done."""

    module: GraphModule
    samples: Samples
    test: Samples | None
    world: World
    checkpoint: Checkpoint
    context: Context
    teacher: GraphModule
    seed: int
    rows: list[Row] = field(default_factory=list)
    shared: Any = None
    """The module that gives gradients of all processes' samples; made when training begins."""

    def record(self, *rows: Row) -> None:
        """Keep the figures of epochs, and tell them to whoever asked."""
        self.rows += rows
        log = self.context.training.log if self.context.training else None
        if log is not None and self.world.leads:
            for row in rows:
                log(row)


def open_job(pass_: Pass, graph: Graph, context: Context, batch: int) -> Job:
    """The job of ``pass_`` on ``graph``; raises DataError where the data does not fit."""
    training = context.training
    if training is None:
        raise PassError("It trains, but there is no labelled data.")
    here = world(training.device)
    torch.manual_seed(_draw(training.seed, 0, 0))
    samples = training_samples(graph, training, batch, here)
    test = measuring_samples(graph, training, here)
    saved = checkpoint(pass_, graph, context, samples, here)
    module, teacher = (placed(each, here) for each in (graph, training.teacher or graph))
    return Job(module, samples, test, here, saved, context, teacher.eval(), training.seed)


def placed(graph: Graph, here: World) -> GraphModule:
    """The graph's module on the device; with channels last in memory, convs take half the time."""
    module = to_torch(graph).to(here.device)
    for weight in module.weights.values():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


def train(job: Job, phases: Sequence[Phase]) -> None:
    """Run the phases in order, from the checkpoint if there is one.

    Raises PassError when the loss is no number; the checkpoint of the epoch before stays.
    """
    with together(job.world):
        _train(job, phases)


def _train(job: Job, phases: Sequence[Phase]) -> None:
    saved = job.world.spread(job.checkpoint.load())
    first = 0
    _relate(job, phases)
    if saved is not None:
        first = saved["phase"]
        job.record(*saved["rows"])
        job.module.load_state_dict(saved["module"])
    if saved is not None and saved["finished"]:
        phases[-1].method.restore(job.module, saved["method"])
        return
    job.shared = job.world.share(job.module)
    for index in range(first, len(phases)):
        _run(job, phases, index, saved if index == first else None)
    _save(job, {"phase": len(phases) - 1, "finished": True}, phases[-1])


def _relate(job: Job, phases: Sequence[Phase]) -> None:
    """Give the module what compares relations, if a phase asks for it; it trains and is saved."""
    wanted = next((each.optimizer.relation for each in phases if each.optimizer.relation), None)
    if not wanted:
        return
    if job.world.size > 1:
        raise UsageError(
            "Relations are compared within the samples of one process.",
            fix="Train in one process, or leave 'relation' out.",
        )
    names = features_of(job.module.graph)
    if len(names) < 2:
        raise UsageError(
            "Relations are compared between two or more features, and the network has not so many.",
            fix='Put the pass branch with "features": true before.',
        )
    widths = [job.module.graph.type_of(name).sample_shape[0] for name in names]
    job.module.relations = Relations(widths, wanted).to(job.world.device)


def _run(job: Job, phases: Sequence[Phase], index: int, saved: State | None) -> None:
    phase = phases[index]
    if saved is None:
        phase.method.start(job.module)
    else:
        phase.method.restore(job.module, saved["method"])
    stepper = Stepper(job, phase, saved)
    for epoch in range(saved["epoch"] if saved else 0, phase.epochs):
        if phase.method.done:
            break
        began = time.perf_counter()
        loss = stepper.epoch(epoch, _draw(job.seed, index, epoch), _detail(job))
        job.world.align(job.module)
        told = phase.method.after_epoch(epoch)
        reported = {key: value for key, value in told.items() if isfinite(value)}
        score = {} if job.test is None else _measured(job, job.test)
        seconds = round(time.perf_counter() - began, 2)
        row = {"phase": phase.name, "epoch": epoch + 1, "loss": loss, **reported, **score}
        job.record({**row, "seconds": seconds})
        stepper.show(epoch, stepper.steps, _detail(job))
        place = {"phase": index, "epoch": epoch + 1, "finished": False}
        _save(job, place | stepper.state(), phase)


def _measured(job: Job, test: Samples) -> Row:
    """The accuracy of the answer, the last output, and of each output where there are several."""
    found = accuracies(job.module, test, job.world)
    answer = {"accuracy": found[job.module.graph.outputs[-1]]}
    each = {f"accuracy of {name}": percent for name, percent in found.items()}
    return answer | (each if len(found) > 1 else {})


def _draw(seed: int, phase: int, epoch: int) -> int:
    """A seed for each epoch of each phase, of 63 bits."""
    return ((seed * 1_000_003 + phase) * 1_000_003 + epoch) % (1 << 63)


def _detail(job: Job) -> str:
    """The figures of the epoch before, in few characters."""
    last = job.rows[-1] if job.rows else {}
    shown = [f"{key} {last[key]:.2g}" for key in ("loss", "residual") if key in last]
    shown += [f"{last['accuracy']:.2f}%"] if "accuracy" in last else []
    return "  ".join(shown)


def _save(job: Job, place: State, phase: Phase) -> None:
    """Save where training is; a finished pass needs no state of its optimizer any more."""
    if not job.world.leads:
        return
    state = {"module": job.module.state_dict(), "method": phase.method.state(), "rows": job.rows}
    job.checkpoint.save(state | place)
    job.checkpoint.write_log(job.rows)


class Stepper:
    """The optimizer of one phase and the masks of its zeros."""

    def __init__(self, job: Job, phase: Phase, saved: State | None) -> None:
        self.job, self.phase = job, phase
        self.steps = 0
        relations = job.module.relations if phase.optimizer.relation else None
        self.objective = Objective(phase.optimizer, job.module.graph, job.teacher, relations)
        self.optimizer = make_optimizer(job.module, phase.optimizer)
        steps = phase.epochs * len(job.samples)
        self.schedule = (
            torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
            if phase.cosine and steps
            else None
        )
        if saved is not None:
            self.optimizer.load_state_dict(saved["optimizer"])
            if self.schedule is not None:
                self.schedule.load_state_dict(saved["schedule"])

    def state(self) -> State:
        """What goes on in the next epoch."""
        schedule = self.schedule.state_dict() if self.schedule is not None else {}
        return {"optimizer": self.optimizer.state_dict(), "schedule": schedule}

    def epoch(self, number: int, draw: int, detail: str) -> float:
        """One epoch, counted from 0; the mean loss."""
        masks = zero_masks(self.job.module)
        self.job.module.train()
        total, self.steps = torch.zeros((), device=self.job.world.device), 0
        for x, y in self.job.samples.epoch(draw):
            total += self.step(x, y, masks)
            self.steps += 1
            if self.steps % CHECK_EVERY == 0:
                self._check(total)
            self.show(number, self.steps, detail)
        if not self.steps:
            raise DataError("The training data is empty.", fix="Give at least one batch.")
        total = self.job.world.total(total)
        self._check(total, *self.job.module.parameters())
        return float(total) / (self.steps * self.job.world.size)

    def step(self, x: Tensor, y: Tensor, masks: Masks) -> Tensor:
        """One step; its loss without the penalty."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.objective(self.job.shared, x, y)
        penalty = self.phase.method.penalty()
        torch.autograd.backward(loss if penalty is None else loss + penalty)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        with torch.no_grad():
            for weight, mask in masks:
                weight.mul_(mask)
        self.phase.method.after_step()
        return loss.detach()

    def show(self, epoch: int, steps: int, detail: str) -> None:
        """Tell how much of the phase is done."""
        if self.job.world.leads:
            each = len(self.job.samples)
            done, total = epoch * each + steps, self.phase.epochs * each
            self.job.context.progress(self.phase.name, done, total, detail)

    def _check(self, *values: Tensor) -> None:
        if all(bool(torch.isfinite(each).all()) for each in values):
            return
        path = self.job.checkpoint.path
        kept = f" The state before this epoch is in '{path}'." if path and path.exists() else ""
        epoch = 1 + sum(row["phase"] == self.phase.name for row in self.job.rows)
        raise PassError(
            f"The loss is not a number in phase '{self.phase.name}', epoch {epoch}.{kept}",
            fix="Lower the learning rate or rho, and look for outliers in the data.",
        )


def zero_masks(module: GraphModule) -> Masks:
    """Each layer's weights that have zeros, and 1 where they have none."""
    pairs = [(weight, weight.detach() != 0) for weight in module.weights.values()]
    return [(weight, mask.float()) for weight, mask in pairs if not bool(mask.all())]


def make_optimizer(module: GraphModule, options: Optimizer) -> torch.optim.Optimizer:
    """The optimizer; only weights decay. Raises UsageError where nothing trains."""
    weights = list(module.weights.values())
    known = {id(weight) for weight in weights}
    others = [each for each in module.parameters() if id(each) not in known]
    groups = [
        {"params": weights, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise UsageError(
            "The network has nothing that trains: no real weights, biases or scales.",
            fix="Leave this pass out, or put it before weights are given codes.",
        )
    if options.method == "adam":
        return torch.optim.Adam(groups, options.learning_rate)
    return torch.optim.SGD(groups, options.learning_rate, momentum=0.9, nesterov=True)
