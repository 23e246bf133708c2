"""What a network consists of, for people who build their own hardware: constants and vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..ir.numeric import Array
from ..ir.op import Op
from ..ir.program import Program, Slot, Step
from ..ir.tensor import TensorType

MAX_STEM = 48
"""Characters of a tensor's name that go into a file's name."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One array to deliver, in logical order: ``stem`` names its file, ``slot`` its tensor.

    ``use`` says what it is for. Golden vectors have their samples as axis 0.
    """

    stem: str
    slot: str
    use: str
    type: TensorType
    array: Array


def step_name(program: Program, index: int) -> str:
    """Number and name of a step, the beginning of its files' names."""
    return f"{index:03}_{_plain(program.slots[program.steps[index].output].name)}"


def _plain(name: str) -> str:
    """A name of letters, digits and ``_`` only."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:MAX_STEM].rstrip("_") or "x"


def roles(step: Step) -> list[tuple[str, int]]:
    """Each operand of a step with its name: ``x``, ``weight``, ``multiplier`` ..., and its slot."""
    found = list(zip(_operands(step.op, len(step.inputs)), step.inputs, strict=True))
    if step.epilogue is not None:
        names = _operands(step.epilogue, 1 + len(step.parameters))[1:]
        found += zip(names, step.parameters, strict=True)
    return found


def _operands(op: Op, count: int) -> list[str]:
    if op.variadic:
        return [f"{op.inputs[0]}{index}" for index in range(count)]
    return [name.rstrip("?") for name in op.inputs[:count]]


def constants(program: Program) -> Iterator[Item]:
    """Each constant once, under the name of the first step that reads it."""
    seen = set()
    for index, step in enumerate(program.steps):
        for role, place in roles(step):
            slot = program.slots[place]
            if slot.constant is not None and place not in seen:
                seen.add(place)
                stem = f"{step_name(program, index)}_{role}"
                yield Item(stem, slot.name, role, slot.type, slot.constant.array)


def golden(program: Program, trace: Mapping[str, Array]) -> Iterator[Item]:
    """What enters the network and what leaves each step, of ``Simulator.trace``."""
    if not trace:
        return
    for index, place in enumerate(program.inputs):
        slot = program.slots[place]
        yield _vectors(f"golden_input{index}_{_plain(slot.name)}", "input", slot, trace)
    for index, step in enumerate(program.steps):
        stem = f"golden_{step_name(program, index)}"
        yield _vectors(stem, f"result of step {index}", program.slots[step.output], trace)


def _vectors(stem: str, use: str, slot: Slot, trace: Mapping[str, Array]) -> Item:
    return Item(stem, slot.name, use, slot.type, trace[slot.name])
