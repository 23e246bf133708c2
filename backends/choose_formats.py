"""The format in which each constant of a blob is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from ..cost_models.machine import Machine
from ..cost_models.storage import read_energy
from ..errors import UsageError
from ..ir.formats.base import Format, Size
from ..ir.formats.dense import Dense
from ..ir.formats.entropy import Entropy
from ..ir.formats.table import FORMATS
from ..ir.program import Slot
from ..ir.tensor import Tensor
from ..kernels.rans import Compiled

ENTROPY = Entropy(Compiled())
STORED: dict[int, Format] = FORMATS | {Entropy.id: ENTROPY}
"""Every format by its number, the entropy code with the compiled coder."""
DENSE = Dense()
SMALLEST, ENERGY = "smallest", "energy"
BY_NAME = {each.name: each for each in STORED.values()}
CHOICES = (SMALLEST, ENERGY, *BY_NAME)


class Stored(NamedTuple):
    """A constant in a format."""

    format: Format
    data: bytes


USUAL = "edge-npu"
"""The hardware that energy is of where none is stated."""


@dataclass(frozen=True)
class Storage:
    """Which format a constant takes: ``smallest``, the cheapest to read in ``energy``, or by name.

    ``by_tensor`` says it for constants whose name or origin matches a pattern; the last match wins.
    A constant that a format cannot hold is stored dense. ``machine`` prices energy, by default
    USUAL.
    """

    choice: str = SMALLEST
    by_tensor: Mapping[str, str] = field(default_factory=dict)
    machine: Machine | None = None

    def __post_init__(self) -> None:
        for each in (self.choice, *self.by_tensor.values()):
            if each not in CHOICES:
                raise UsageError(
                    f"There is no storage '{each}'.", fix=f"Choose {', '.join(CHOICES)}."
                )

    @classmethod
    def parse(cls, *texts: str) -> Storage:
        """``entropy`` or ``fc1*=bitmap``, one after the other; raises UsageError."""
        pairs = [text.rpartition("=") for text in texts]
        general = [choice for pattern, _, choice in pairs if not pattern]
        by_tensor: dict[str, str] = {}
        for pattern, _, choice in pairs:
            if pattern:
                by_tensor.pop(pattern, None)  # one that is repeated counts where it is last
                by_tensor[pattern] = choice
        return cls(general[-1] if general else SMALLEST, by_tensor)

    def unmatched(self, slots: Iterable[Slot]) -> list[str]:
        """Patterns that are of none of these constants."""
        listed = list(slots)
        return [each for each in self.by_tensor if not any(_matches(each, slot) for slot in listed)]

    def store(self, slot: Slot) -> Stored | None:
        """The constant of a slot as it goes into the blob; None of an activation."""
        tensor, choice = slot.constant, self._choice(slot)
        if tensor is None:
            return None
        if choice in BY_NAME:
            return _fixed(BY_NAME[choice], tensor)
        candidates = [
            (self._cost(choice, format_, size, tensor), format_.id, format_)
            for format_ in STORED.values()
            if format_.id != Entropy.id and (size := format_.size(tensor)) is not None
        ]
        cost, _, found = min(candidates, key=lambda each: each[:2])
        coded, size = ENTROPY.packed(tensor)
        if self._cost(choice, ENTROPY, size, tensor) < cost:
            return Stored(ENTROPY, coded)
        return Stored(found, found.pack(tensor))

    def _choice(self, slot: Slot) -> str:
        matches = [choice for each, choice in self.by_tensor.items() if _matches(each, slot)]
        return matches[-1] if matches else self.choice

    def _cost(self, choice: str, format_: Format, size: Size, tensor: Tensor) -> float:
        if choice == SMALLEST:
            return size.bytes
        machine = self.machine or _usual()
        return read_energy(machine, format_.name, size, tensor.type.elements)


def _matches(pattern: str, slot: Slot) -> bool:
    return fnmatchcase(slot.name, pattern) or fnmatchcase(slot.origin, pattern)


@cache
def _usual() -> Machine:
    from ..cost_models.hardware import load_hardware  # pydantic is not needed otherwise

    return load_hardware(USUAL).machine()


def _fixed(format_: Format, tensor: Tensor) -> Stored:
    if format_.size(tensor) is None:
        return Stored(DENSE, DENSE.pack(tensor))
    return Stored(format_, format_.pack(tensor))
