"""What each look of a network costs: weights read anew each time, or staying on chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..cost_models.cost import INDICES, PARAMETERS, WEIGHTS, LayerCost, NetworkCost, Transfer
from ..cost_models.layers import layers_of
from ..cost_models.machine import Machine, Memory
from ..cost_models.range import Range
from ..errors import UsageError
from ..ir.program import Program
from .cost import network_cost
from .exits import exit_slots

CONSTANTS = (WEIGHTS, INDICES, PARAMETERS)


@dataclass(frozen=True, slots=True)
class StageCost:
    """Of one look, a sample: products, bytes from and to DRAM, and energy [pJ].

    ``constants`` are the DRAM bytes of weights and other constants among ``dram``. ``peak`` are the
    bytes of the largest activations of a layer, what it reads and what it writes.
    """

    name: str
    macs: int
    dram: float
    constants: float
    energy: Range
    peak: int


@dataclass(frozen=True, slots=True)
class Regime:
    """A way to run all looks: how weights move, and what each look costs then."""

    name: str
    stages: tuple[StageCost, ...]

    def up_to(self, count: int) -> tuple[float, float]:
        """DRAM bytes and nominal energy [pJ] of the first ``count`` looks."""
        chosen = self.stages[:count]
        return sum(each.dram for each in chosen), sum(each.energy.nominal for each in chosen)


def regimes(program: Program, blob: bytes, machine: Machine, batch: int = 16) -> tuple[Regime, ...]:
    """Weights from DRAM for every look; layer by layer over a batch; staying, where they fit."""
    single = network_cost(program, blob, machine)
    together = network_cost(program, blob, machine, samples=batch)
    found = [
        Regime("weights read for every look", _stages(program, single)),
        Regime(f"layer by layer over {batch} samples", _stages(program, together)),
    ]
    kept = staying(program, machine)
    if kept is not None:
        try:
            cost = network_cost(program, blob, kept)
        except UsageError:
            return tuple(found)
        found.append(Regime("weights stay on chip", _stages(program, _read_once(program, cost))))
    return tuple(found)


def staying(program: Program, machine: Machine) -> Machine | None:
    """The machine with what is left beside all weights; None where they do not fit."""
    slots = {layer.weights for layer in layers_of(program)} - {None}
    types = [program.slots[slot].type for slot in slots if slot is not None]
    bits = sum(type_.elements * type_.dtype.bits for type_ in types)
    held = machine.memory_of(WEIGHTS)
    if bits >= held.bits:
        return None

    def smaller(memory: Memory) -> Memory:
        return replace(memory, bits=memory.bits - bits) if memory is held else memory

    return replace(machine, memories=tuple(map(smaller, machine.memories)))


def _read_once(program: Program, cost: NetworkCost) -> NetworkCost:
    """Weights come from DRAM for the first layer that has them, and not again."""
    seen: set[int | None] = {None}
    made = []
    for layer, each in zip(layers_of(program), cost.layers, strict=True):
        again = layer.weights in seen
        kept = tuple(one for one in each.transfers if not (again and _of(one, (WEIGHTS, INDICES))))
        made.append(replace(each, transfers=kept))
        seen.add(layer.weights)
    return replace(cost, layers=tuple(made))


def _of(each: Transfer, operands: Sequence[str]) -> bool:
    """Whether something moves these operands to or from DRAM."""
    return each.memory.startswith("DRAM") and each.operand in operands


def _stages(program: Program, cost: NetworkCost) -> tuple[StageCost, ...]:
    made = [step.output for step in program.steps]
    ends = [0, *(made.index(slot) + 1 for slot in exit_slots(program))]
    names = [program.slots[slot].name for slot in exit_slots(program)]
    layers = [cost.layers[a:b] for a, b in pairwise(ends)]
    peaks = [max(_activations(program, index) for index in range(a, b)) for a, b in pairwise(ends)]
    return tuple(map(_stage, names, layers, peaks, [cost.samples] * len(names)))


def _activations(program: Program, index: int) -> int:
    step = program.steps[index]
    slots = [program.slots[each] for each in {*step.inputs, step.output}]
    return sum(slot.size_bytes for slot in slots if slot.constant is None)


def _stage(name: str, layers: Sequence[LayerCost], peak: int, samples: int) -> StageCost:
    moved = [each for layer in layers for each in layer.transfers]
    constants = sum(each.reads + each.writes for each in moved if _of(each, CONSTANTS))
    return StageCost(
        name=name,
        macs=sum(layer.macs for layer in layers) // samples,
        dram=sum(layer.bits("DRAM") for layer in layers) / 8 / samples,
        constants=constants / 8 / samples,
        energy=Range.total(layer.energy for layer in layers) * (1 / samples),
        peak=peak,
    )
