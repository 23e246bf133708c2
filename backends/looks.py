"""Where a network that looks several times has looked: windows, what they read, what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..cost_models.crops import Window, window
from ..errors import UsageError
from ..ir.numeric import Array
from ..ir.ops_crop import ONE, Crop
from ..ir.program import Program, Step
from .exits import exit_slots


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one image: its window in pixels, what it reads of the image, and what it says.

    ``left``, ``top``, ``right`` and ``bottom`` are positions of the outermost samples; ``seen`` are
    the codes of the samples ``(c, h, w)``, ``answer`` the class of the exit behind the look.
    """

    left: float
    top: float
    right: float
    bottom: float
    read: Window
    seen: Array
    answer: int


def crops(program: Program) -> tuple[Step, ...]:
    """The steps that look at an input of the program, in order; raises UsageError for none."""
    found = tuple(
        step
        for step in program.steps
        if isinstance(step.op, Crop) and step.inputs[0] in program.inputs
    )
    if not found:
        raise UsageError(
            f"Network '{program.name}' looks at its image as a whole: it has no crops.",
            fix="Give a network that was compiled with --glimpses.",
        )
    return found


def looks(program: Program, trace: Mapping[str, Array]) -> tuple[tuple[Look, ...], ...]:
    """Every look at every image; ``trace`` are the codes of all activations by name."""
    names = [slot.name for slot in program.slots]
    answers = [trace[names[slot]].argmax(axis=1) for slot in exit_slots(program)]
    steps = crops(program)
    count = len(answers[0])
    return tuple(
        tuple(
            _look(program, step, trace, n, int(a[n]))
            for step, a in zip(steps, answers, strict=True)
        )
        for n in range(count)
    )


def _look(program: Program, step: Step, trace: Mapping[str, Array], n: int, answer: int) -> Look:
    op = step.op
    assert isinstance(op, Crop)
    _, height, width = program.slots[step.inputs[0]].type.sample_shape
    told = [trace[program.slots[slot].name][n] for slot in step.inputs[1:]]
    where = told[0] if told else None
    rows, columns = (each / ONE for each in op.positions((height, width), where))
    return Look(
        *(float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])),
        window(op, (height, width), where),
        trace[program.slots[step.output].name][n],
        answer,
    )


def mean_pixels(every: tuple[tuple[Look, ...], ...]) -> tuple[float, ...]:
    """Pixels of the image that each look reads, the mean over images."""
    found = np.array([[look.read.pixels for look in each] for each in every], np.float64)
    return tuple(found.mean(axis=0).tolist())
