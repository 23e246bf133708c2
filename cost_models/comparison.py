"""Networks beside each other on one hardware: what is compared, and what the numbers favour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from ..errors import UsageError
from .cost import OPERANDS, Assumption, NetworkCost, Transfer
from .range import Range

DENSE, STRUCTURED, N_OF_M, NON_STRUCTURED = "dense", "structured", "n:m", "non-structured"
KINDS = (DENSE, STRUCTURED, N_OF_M, NON_STRUCTURED)
NEITHER = "neither"
HOLDS, TURNS = "holds", "turns"
DECODE, ARITHMETIC = "decode", "arithmetic"


@dataclass(frozen=True, slots=True)
class Compared:
    """A network with its cost; ``accuracy`` in 0..1 and ``simulator_ms`` are None if not known.

    ``rate`` is weights before over weights left. The four parts of the file add up to its bytes.
    ``simulator_ms`` is the measured time of one sample in the simulator, on the machine that runs
    it: no time of the hardware.
    """

    name: str
    kind: str
    bits: int
    accuracy: float | None
    rate: float
    cost: NetworkCost
    value_bytes: int
    index_bytes: int
    header_bytes: int
    other_bytes: int
    simulator_ms: float | None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"There is no kind of pruning '{self.kind}'.",
                where=self.name,
                fix=f"Use one of {', '.join(KINDS)}.",
            )
        parts = sum(self.parts.values())
        if parts != self.cost.file_bytes:
            raise UsageError(
                f"The parts of the file have {parts} bytes, the file has {self.cost.file_bytes}.",
                where=self.name,
                fix="Count what is neither value nor index nor header as other.",
            )
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise UsageError(
                f"An accuracy is a share in 0..1, not {self.accuracy}.",
                where=self.name,
                fix="Divide percent by 100.",
            )

    @property
    def parts(self) -> dict[str, int]:
        """Bytes of the file by what they hold."""
        return {
            "values": self.value_bytes,
            "indices": self.index_bytes,
            "headers": self.header_bytes,
            "other": self.other_bytes,
        }

    @property
    def model_ms(self) -> float:
        """[ms] of one sample on the hardware, by the model."""
        return self.cost.time / (self.cost.clock_mhz * 1000)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What storage, energy and time favour in a pair of networks with weights of equal bits."""

    structured: Compared
    non_structured: Compared

    @property
    def storage(self) -> str:
        """The kind whose file is smaller."""
        return favoured(self.structured.cost.file_bytes, self.non_structured.cost.file_bytes)

    @property
    def time(self) -> str:
        """The kind that takes fewer cycles."""
        return favoured(self.structured.cost.time, self.non_structured.cost.time)

    @property
    def energy(self) -> str:
        """The kind that takes less energy, both with nominal constants."""
        return favoured(self._ours.nominal, self._theirs.nominal)

    @property
    def energy_low(self) -> str:
        """The same with all constants low, in both networks."""
        return favoured(self._ours.low, self._theirs.low)

    @property
    def energy_high(self) -> str:
        """The same with all constants high, in both networks."""
        return favoured(self._ours.high, self._theirs.high)

    @property
    def stability(self) -> str:
        """Whether energy favours the same kind with all constants low, nominal and high."""
        return HOLDS if self.energy_low == self.energy == self.energy_high else TURNS

    @property
    def accuracy_gap(self) -> float | None:
        """Accuracy of the structured less the other's; None if one of them is not known."""
        if self.structured.accuracy is None or self.non_structured.accuracy is None:
            return None
        return self.structured.accuracy - self.non_structured.accuracy

    @property
    def _ours(self) -> Range:
        return self.structured.cost.energy

    @property
    def _theirs(self) -> Range:
        return self.non_structured.cost.energy


def favoured(structured: float, non_structured: float) -> str:
    """The kind with the smaller amount; neither if they are equal."""
    if structured == non_structured:
        return NEITHER
    return STRUCTURED if structured < non_structured else NON_STRUCTURED


def verdicts(compared: Sequence[Compared]) -> list[Verdict]:
    """Every pair of a structured and a non-structured network with weights of equal bits."""
    left = [each for each in compared if each.kind == STRUCTURED]
    right = [each for each in compared if each.kind == NON_STRUCTURED]
    return [Verdict(a, b) for a, b in product(left, right) if a.bits == b.bits]


def check_comparable(compared: Sequence[Compared]) -> None:
    """Raise UsageError unless there are networks, of different names, on one hardware."""
    if not compared:
        raise UsageError("There is no network to compare.", fix="Give at least one.")
    names = [each.name for each in compared]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"Two networks are called '{twice}'.", fix="Give each network a name of its own."
        )
    first = compared[0]
    for each in compared:
        if (each.cost.hardware, each.cost.clock_mhz) != (first.cost.hardware, first.cost.clock_mhz):
            raise UsageError(
                f"It is on {_place(each)}, '{first.name}' on {_place(first)}.",
                where=each.name,
                fix="Compare networks on one hardware.",
            )


def energy_by_memory(cost: NetworkCost) -> dict[str, Range]:
    """[pJ] of each memory in the order of first use, of arithmetic and of decoding."""
    return _sums([*((each.memory, each.energy) for each in _transfers(cost)), *_computed(cost)])


def energy_by_operand(cost: NetworkCost) -> dict[str, Range]:
    """[pJ] of moving each operand that moves, of arithmetic and of decoding."""
    moved = sorted(_transfers(cost), key=lambda each: OPERANDS.index(each.operand))
    return _sums([*((each.operand, each.energy) for each in moved), *_computed(cost)])


def part_names(parts: Sequence[dict[str, Range]]) -> list[str]:
    """Names in any of the parts: memories as found, operands as listed, then what is computed."""
    found = list(dict.fromkeys(name for part in parts for name in part))
    last = (*OPERANDS, ARITHMETIC, DECODE)
    return sorted(found, key=lambda name: last.index(name) if name in last else -1)


def on_front(compared: Sequence[Compared]) -> set[str]:
    """Names of networks that no other beats in accuracy, energy and bytes together.

    Beaten is a network if another is as good in all three and better in one. Networks without an
    accuracy are left out.
    """
    scores = {
        each.name: (-each.accuracy, each.cost.energy.nominal, each.cost.file_bytes)
        for each in compared
        if each.accuracy is not None
    }

    def beaten(score: tuple[float, ...]) -> bool:
        return any(
            other != score and all(a <= b for a, b in zip(other, score, strict=True))
            for other in scores.values()
        )

    return {name for name, score in scores.items() if not beaten(score)}


def all_assumptions(compared: Sequence[Compared]) -> list[Assumption]:
    """Each assumption of any network once, in the order of first use."""
    found = (assumption for each in compared for assumption in each.cost.assumptions)
    return list(dict.fromkeys(found))


def _transfers(cost: NetworkCost) -> Iterator[Transfer]:
    return (each for layer in cost.layers for each in layer.transfers)


def _computed(cost: NetworkCost) -> list[tuple[str, Range]]:
    found = [each for layer in cost.layers for each in layer.arithmetic]
    return [
        *((ARITHMETIC, each.energy) for each in found if each.kind != DECODE),
        *((DECODE, each.energy) for each in found if each.kind == DECODE),
    ]


def _sums(energies: Iterable[tuple[str, Range]]) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for name, energy in energies:
        found[name] = found.get(name, Range.exact(0.0)) + energy
    return found


def _place(compared: Compared) -> str:
    return f"'{compared.cost.hardware}' at {compared.cost.clock_mhz:g} MHz"
