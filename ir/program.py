"""The program: integer steps in execution order over slots. What a sequencer executes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .certificate import Certificate
from .numeric import Encoding
from .op import Op
from .tensor import Tensor, TensorType

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor: an activation at a byte ``offset`` of a sample's arena, or a ``constant``.

    An activation fills ``type.elements`` containers in storage order (ir/layout.py).
    """

    name: str
    type: TensorType
    offset: int = 0
    constant: Tensor | None = None
    origin: str = ""
    encoding: Encoding | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of one sample in the arena."""
        return self.type.elements * self.type.dtype.container.itemsize


@dataclass(frozen=True, slots=True)
class Step:
    """``slots[output] = epilogue(op(inputs), parameters)``, or just ``op(inputs)``.

    The intermediate accumulator has type int32 and needs no slot.
    """

    op: Op
    inputs: tuple[int, ...]
    output: int
    epilogue: Op | None = None
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Exit:
    """A sample is done once the greatest code of ``slot`` leads all others by ``margin`` or more.

    ``slot`` is an output ``(n, classes)`` of the program.
    """

    slot: int
    margin: int


@dataclass(frozen=True)
class Program:
    """A compiled network. Indices in ``steps``, ``inputs`` and ``outputs`` point into ``slots``.

    ``exits`` are outputs at which samples may be done early, in the order in which steps make them;
    the last output is the answer of those that are not. All others are computed for every sample.
    """

    name: str
    slots: tuple[Slot, ...]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arena_bytes: int
    recipe: str = ""
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    exits: tuple[Exit, ...] = ()

    def slot(self, name: str) -> Slot:
        """The slot of that name; KeyError when there is none."""
        return {slot.name: slot for slot in self.slots}[name]

    @cached_property
    def _first_readers(self) -> Mapping[int, Step]:
        reads = [(index, step) for step in self.steps for index in (*step.inputs, *step.parameters)]
        return dict(reversed(reads))

    def owns(self, step: Step, slot: int) -> bool:
        """Whether ``step`` is the first that reads ``slot``: others share what it brought."""
        return self._first_readers.get(slot) is step

    @property
    def constants(self) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.slots if slot.constant is not None)
