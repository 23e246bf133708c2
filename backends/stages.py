"""A program cut at its exits: one program for what each sample may be spared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ..ir.program import Program, Step


def stages(program: Program, cuts: Sequence[int]) -> tuple[Program, ...]:
    """Programs that do together what ``program`` does, one up to each slot of ``cuts``, one more.

    Each takes what it reads of inputs and of what was made before, and gives what is an output of
    ``program`` or is read later. ``cuts`` are slots in the order in which steps make them.
    """
    made = [step.output for step in program.steps]
    ends = [0, *(made.index(slot) + 1 for slot in cuts), len(program.steps)]
    return tuple(
        _stage(program, program.steps[:first], program.steps[first:last], program.steps[last:])
        for first, last in pairwise(ends)
    )


def _stage(
    program: Program, before: Sequence[Step], own: Sequence[Step], after: Sequence[Step]
) -> Program:
    given = {*program.inputs, *(step.output for step in before)}
    made = {step.output for step in own}
    later = {index for step in after for index in step.inputs} | set(program.outputs)
    read = {index for step in own for index in step.inputs}
    used = [*sorted(given & read), *(step.output for step in own)]
    used += [i for step in own for i in (*step.inputs, *step.parameters)]
    place = {index: position for position, index in enumerate(dict.fromkeys(used))}
    return replace(
        program,
        slots=tuple(program.slots[index] for index in place),
        steps=tuple(
            replace(
                step,
                inputs=tuple(place[index] for index in step.inputs),
                output=place[step.output],
                parameters=tuple(place[index] for index in step.parameters),
            )
            for step in own
        ),
        inputs=tuple(place[index] for index in sorted(given & read)),
        outputs=tuple(place[index] for index in sorted(made & later)),
        exits=(),
    )
