"""One trial: a network compiled by one recipe, measured, and what it costs on one hardware."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from .. import api
from ..backends.compared import weight_bits
from ..backends.cost import network_cost
from ..backends.summary import weight_counts
from ..cost_models.hardware import Hardware
from ..errors import IntaglioError
from ..ir.graph import Graph
from ..passes.base import Training
from ..passes.pipeline import Pipeline, digest_of


@dataclass(frozen=True, slots=True)
class Compiled:
    """A network that was compiled and measured: its blob, and how many of the samples are right."""

    blob: bytes
    samples: int
    correct: int

    @property
    def accuracy(self) -> float:
        """In 0..1."""
        return self.correct / self.samples


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is told: the combination, and the network where another trial compiled it."""

    number: int
    choices: Mapping[str, str]
    recipe: str
    storage: tuple[str, ...]
    hardware: Hardware
    compiled: Compiled | None = None

    @property
    def network(self) -> tuple[str, tuple[str, ...]]:
        """What the blob depends on: tasks of equal networks differ in their hardware alone."""
        return self.recipe, self.storage


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one sample: energies in [pJ], time in cycles and [ms]; bytes of the file and from DRAM."""

    hardware: str
    energy_low_pj: float
    energy_pj: float
    energy_high_pj: float
    cycles: int
    ms: float
    file_bytes: int
    dram_bytes: float
    weight_bits: int
    nonzero: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a combination; without costs it failed, and ``error`` says why.

    ``recipe``, as the blob states it, and ``storage`` are empty where no recipe came of it.
    """

    number: int
    choices: Mapping[str, str]
    recipe: str = ""
    storage: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0
    costs: Costs | None = None
    compiled: Compiled | None = field(default=None, repr=False)

    @property
    def network(self) -> tuple[str, tuple[str, ...]]:
        """What its blob depends on."""
        return self.recipe, self.storage

    def to_json(self) -> dict[str, Any]:
        """All but the blob."""
        found = {key: value for key, value in asdict(self).items() if key != "compiled"}
        if self.compiled is None:
            return found
        return found | {"samples": self.compiled.samples, "correct": self.compiled.correct}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], blob: bytes) -> Outcome:
        """The inverse; ``blob`` is not looked at where nothing was compiled."""
        fields = dict(data)
        samples, correct = fields.pop("samples", 0), fields.pop("correct", 0)
        fields["storage"] = tuple(fields["storage"])
        fields["costs"] = fields["costs"] and Costs(**fields["costs"])
        return cls(**fields, compiled=Compiled(blob, samples, correct) if samples else None)


@cache
def trained_part(recipe: str) -> str:
    """The passes of a recipe up to the last that trains; empty where none does."""
    passes = Pipeline.parse(recipe).passes
    last = max((at for at, each in enumerate(passes) if each.needs_training), default=-1)
    return str(Pipeline(passes[: last + 1]))


Measure = Callable[[api.Network], tuple[int, int]]
"""How many samples of the test data there are, and how many of them a network gets right."""


@dataclass(frozen=True)
class Work:
    """What is the same for every trial; it is sent once to each worker and called for each task.

    Where ``checkpoints`` is a folder that the worker has too, training goes on there after a kill,
    and trials whose recipes train alike train once. No two of them may train at the same time.
    """

    graph: Graph
    data: api.Data | None
    training: Training | None
    measure: Measure
    checkpoints: Path | None = None

    def __call__(self, task: Task) -> Outcome:
        """The outcome; whatever goes wrong is its error, so that the sweep goes on."""
        began, compiled = time.perf_counter(), task.compiled
        costs, error = None, ""
        try:
            compiled = compiled or self._compile(task)
            costs = _costs(compiled.blob, task.hardware)
        except IntaglioError as found:
            error = str(found)
        except Exception as found:  # One trial's trouble, even a bug of ours, is not the sweep's.
            error = f"{type(found).__name__}: {found}"
        seconds = time.perf_counter() - began
        said = (task.number, task.choices, task.recipe, task.storage)
        return Outcome(*said, error, seconds, costs, compiled)

    def _compile(self, task: Task) -> Compiled:
        network = api.compile(
            self.graph,
            self.data,
            recipe=task.recipe,
            training=self._training(task),
            storage=task.storage,
        )
        return Compiled(network.blob, *self.measure(network))

    def _training(self, task: Task) -> Training | None:
        place, part = self.checkpoints, trained_part(task.recipe)
        if self.training is None or place is None or not part or not place.is_dir():
            return self.training
        return replace(self.training, folder=place / digest_of(part), resume=True)


def _costs(blob: bytes, hardware: Hardware) -> Costs:
    program = api.Network(blob).program
    cost = network_cost(program, blob, hardware.machine())
    return Costs(
        hardware=hardware.name,
        energy_low_pj=cost.energy.low,
        energy_pj=cost.energy.nominal,
        energy_high_pj=cost.energy.high,
        cycles=cost.time,
        ms=cost.time / (cost.clock_mhz * 1000),
        file_bytes=len(blob),
        dram_bytes=sum(layer.bits("DRAM") for layer in cost.layers) / 8,
        weight_bits=weight_bits(program),
        nonzero=weight_counts(program).nonzero,
    )
