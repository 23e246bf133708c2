"""What a network costs on given hardware: the result of the model, and nothing of how it is found.

Energies in [pJ] for one sample, times in cycles, amounts in bits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .range import Range

WEIGHTS, INDICES, PARAMETERS = "weights", "indices", "parameters"
INPUTS, OUTPUTS, SUMS = "inputs", "outputs", "sums"
STANDBY = "standby"
ROWS = "DRAM rows"
"""The memory of what DRAM takes besides: the rest of its bursts, rows opened and kept open."""
OPERANDS = (WEIGHTS, INDICES, PARAMETERS, INPUTS, OUTPUTS, SUMS, STANDBY)
"""What moves: values and places of weights, other constants, activations read and written,
unfinished sums. Nothing moves on standby: energy is drawn as time passes."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bits of one operand read from and written to one memory, e.g. ``DRAM`` or ``SRAM``."""

    memory: str
    operand: str
    reads: int
    writes: int
    energy: Range


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Operations of one kind, e.g. ``multiply``, ``add``, ``decode``; ``skipped`` were not done."""

    kind: str
    count: int
    energy: Range
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer: what moves, what is computed, and what it waits for.

    ``cycles`` by what bounds them: ``compute``, ``decode``, and each memory by name; the layer
    takes the greatest. ``utilisation`` is the share of multipliers at work while computing,
    ``imbalance`` the slowest unit's share of non-zero weights over the mean (1.0 where nothing is
    skipped). ``start`` cycles pass before, until the first tiles are on chip.
    """

    name: str
    op: str
    macs: int
    macs_done: int
    weight_bytes: int
    transfers: tuple[Transfer, ...]
    arithmetic: tuple[Arithmetic, ...]
    cycles: dict[str, int]
    utilisation: float = 1.0
    imbalance: float = 1.0
    start: int = 0
    remark: str = ""

    @property
    def energy(self) -> Range:
        """[pJ] of everything."""
        moved = Range.total(each.energy for each in self.transfers)
        return moved + Range.total(each.energy for each in self.arithmetic)

    @property
    def bound(self) -> str:
        """What the layer waits for."""
        return max(self.cycles, key=lambda name: self.cycles[name]) if self.cycles else ""

    @property
    def time(self) -> int:
        """Cycles of the layer."""
        return self.start + max(self.cycles.values(), default=0)

    def bits(self, memory: str) -> int:
        """Bits read from and written to a memory."""
        return sum(each.reads + each.writes for each in self.transfers if each.memory == memory)


@dataclass(frozen=True, slots=True)
class Assumption:
    """A constant that the result rests on, with its unit and where it is from."""

    name: str
    value: Range
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """All layers of a network in order, on one hardware."""

    network: str
    hardware: str
    clock_mhz: float
    layers: tuple[LayerCost, ...]
    file_bytes: int
    assumptions: tuple[Assumption, ...]
    samples: int = 1

    @property
    def energy(self) -> Range:
        """[pJ] of all samples: the sum of the layers'."""
        return Range.total(layer.energy for layer in self.layers)

    @property
    def time(self) -> int:
        """Cycles of all samples: layers run one after the other, each for all of them."""
        return sum(layer.time for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Every field, and the totals."""
        totals = {"energy": asdict(self.energy), "cycles": self.time}
        return asdict(self) | {"totals": totals}
