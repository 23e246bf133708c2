"""Running a program whose samples may be done early: the rest of it is spared them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from ..ir.numeric import Array
from ..ir.program import Program
from ..kernels.isa import Isa
from .simulator import Simulator, check_inputs
from .stages import stages


@dataclass(frozen=True, slots=True)
class Early:
    """Of each sample the codes ``(n, classes)`` of the exit that it took, and which that was.

    ``taken`` counts from 0 in the order of ``names``; codes of two exits may mean different reals.
    """

    names: tuple[str, ...]
    codes: Array
    taken: Array

    @property
    def classes(self) -> Array:
        """The class of the greatest code of each sample."""
        found: Array = self.codes.argmax(axis=1)
        return found


def margins(codes: Array) -> Array:
    """How far the greatest code of each sample ``(n, classes)`` is above every other, int64."""
    ordered = np.sort(codes.astype(np.int64), axis=1)
    found: Array = ordered[:, -1] - ordered[:, -2]
    return found


class EarlySimulator:
    """Runs ``program`` in stages, each for the samples that are not done. Raises UsageError.

    Outputs that are no exits are not given. The same as ``Simulator``, told by margins afterwards.
    """

    def __init__(self, program: Program, isa: Isa | None = None) -> None:
        if not program.exits:
            raise UsageError(
                f"Network '{program.name}' has no early exits.",
                fix="Find margins for them with: intaglio exits NET.intg --data DATA.",
            )
        self.program = program
        self.exits = [program.slots[each.slot].name for each in program.exits]
        self.answer = program.slots[program.outputs[-1]].name
        parts = stages(program, [each.slot for each in program.exits])
        self._stages = [Simulator(part, isa) for part in parts]

    def run(
        self,
        inputs: Mapping[str, Array],
        progress: Callable[[int, int], None] | None = None,
        threads: int = 1,
    ) -> Early:
        """The exit of each sample, for codes of the inputs by name. Raises DataError."""
        total = check_inputs(self.program, inputs)
        live, left = dict(inputs), np.arange(total)
        taken = np.full(total, len(self.exits))
        codes = np.empty((total, self._classes), np.int64)
        for number, stage in enumerate(self._stages):
            names = [stage.program.slots[index].name for index in stage.program.inputs]
            live |= stage.run({name: live[name] for name in names}, threads=threads)
            last = number == len(self.exits)
            scores = live[self.answer if last else self.exits[number]]
            margin = 0 if last else self.program.exits[number].margin
            done = margins(scores) >= margin
            codes[left[done]], taken[left[done]] = scores[done], number
            left, live = left[~done], {name: each[~done] for name, each in live.items()}
            if progress is not None:
                progress(number + 1, len(self._stages))
            if not len(left):
                break
        return Early((*self.exits, self.answer), codes, taken)

    @property
    def _classes(self) -> int:
        return self.program.slots[self.program.outputs[-1]].type.elements
