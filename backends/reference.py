"""Running a program with every op's reference, step by step: the simulator must equal it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import MismatchError, NumericError
from ..ir.numeric import INT32, Array, NumericType
from ..ir.program import Program, Slot, Step
from .simulator import Simulator, check_inputs


def run_reference(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs by name, in logical order, for inputs by name. Raises DataError, NumericError."""
    trace = trace_reference(program, inputs)
    names = (program.slots[index].name for index in program.outputs)
    return {name: trace[name] for name in names}


def trace_reference(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every activation of the program by name. Raises DataError, and NumericError on overflow."""
    check_inputs(program, inputs)
    found: dict[int, Array] = {}
    for index in program.inputs:
        slot = program.slots[index]
        found[index] = inputs[slot.name].astype(slot.type.dtype.container)
    for step in program.steps:
        found[step.output] = _execute(program, step, found)
    return {program.slots[index].name: array for index, array in found.items()}


def _execute(program: Program, step: Step, found: Mapping[int, Array]) -> Array:
    def operand(index: int) -> Array:
        constant = program.slots[index].constant
        return found[index] if constant is None else constant.array

    slot = program.slots[step.output]
    result = step.op.reference(*map(operand, step.inputs))
    if step.epilogue is None:
        return _stored(result, slot.type.dtype, slot)
    accumulator = _stored(result, INT32, slot)
    codes = step.epilogue.reference(accumulator, *map(operand, step.parameters))
    return _stored(codes, slot.type.dtype, slot)


def _stored(result: Array, dtype: NumericType, slot: Slot) -> Array:
    """The result in the container of dtype; NumericError unless every element is a value of it."""
    if not dtype.contains(result):
        raise NumericError(
            f"Its values reach {result.min()}..{result.max()}, which {dtype} does not hold.",
            where=_where(slot),
            fix="The program is damaged; compile the network again.",
        )
    return result.astype(dtype.container)


def check(program: Program, inputs: Mapping[str, Array]) -> int:
    """Compare simulator and reference at every activation; the number of codes compared.

    Raises MismatchError naming the activation, the first index that differs and both values.
    """
    expected = trace_reference(program, inputs)
    return compare(program, Simulator(program).trace(inputs), expected)


def compare(program: Program, got: Mapping[str, Array], expected: Mapping[str, Array]) -> int:
    """The number of codes in ``expected``, a trace; MismatchError unless ``got`` equals it."""
    for name, codes in expected.items():
        if not np.array_equal(got[name], codes):
            raise _mismatch(program.slot(name), got[name], codes)
    return sum(codes.size for codes in expected.values())


def _mismatch(slot: Slot, got: Array, expected: Array) -> MismatchError:
    places = np.argwhere(got != expected)
    first = tuple(map(int, places[0]))
    return MismatchError(
        f"{len(places)} of {expected.size} codes differ, first at {first}: the simulator gives "
        f"{got[first]}, the reference {expected[first]}.",
        where=_where(slot),
        fix="This is a fault of intaglio; please report it with the network.",
    )


def _where(slot: Slot) -> str:
    return f"Node '{slot.origin or slot.name}'"
