"""Margins at which samples may be done early: found on labelled samples, for a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from ..errors import DataError, UsageError
from ..ir.numeric import Array, numbers
from ..ir.program import Exit, Program, Slot
from .early import margins

MOST_POINTS = 400
"""Thresholds that are tried."""
NEVER = (1 << 32) - 1
"""A margin that no codes of 32 bits reach, but for the widest."""


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold: the margin of each exit but the last, what is right, and what it costs.

    ``shares`` of samples that each exit takes, ``accuracy`` of all samples, ``cost`` the mean of
    what was spent, in the unit of the costs given.
    """

    threshold: float
    margins: tuple[int, ...]
    shares: tuple[float, ...]
    accuracy: float
    cost: float


def exit_slots(program: Program) -> list[int]:
    """The outputs of class scores in the order of their steps; the last is the answer.

    Raises UsageError for fewer than two, or where an output is no class scores or an input.
    """
    made = [step.output for step in program.steps]
    outputs = set(program.outputs)
    types = {program.slots[slot].type.sample_shape for slot in outputs}
    scores = len(types) == 1 and len(next(iter(types))) == 1
    if len(outputs) < 2 or not scores or not outputs <= set(made):
        raise UsageError(
            f"Network '{program.name}' has {len(outputs)} outputs, and no early exits among them.",
            fix="Give a network with two or more outputs of as many class scores, such as "
            "'compile --glimpses' makes.",
        )
    return sorted(outputs, key=made.index)


def curve(
    program: Program, codes: Mapping[str, Array], labels: Array, costs: Sequence[float]
) -> tuple[Point, ...]:
    """Every threshold that is worth a look, from all exits taken at once to none early.

    ``codes`` ``(n, classes)`` by output; ``costs`` of a sample up to each exit. One real threshold
    holds for all exits: the margin of each is the least integer that stands for it.
    """
    slots = [program.slots[index] for index in exit_slots(program)]
    scores = [codes[slot.name] for slot in slots]
    right = np.stack([each.argmax(axis=1) == labels for each in scores])
    leads = np.stack([margins(each) for each in scores])
    if not leads.shape[1]:
        raise DataError("There are no samples to find margins on.", fix="Give at least one.")
    scales = [_scale(slot) for slot in slots]
    real = np.concatenate([lead * s for lead, s in zip(leads[:-1], scales, strict=False)])
    tried = np.unique(np.quantile(real, np.linspace(0, 1, MOST_POINTS), method="lower"))
    points = [
        _point(float(each), scales, leads, right, np.asarray(costs, np.float64))
        for each in (*tried, float(real.max()) * 1.001 + max(scales))
    ]
    return tuple({point.margins: point for point in points}.values())


def _point(
    threshold: float, scales: Sequence[float], leads: Array, right: Array, costs: Array
) -> Point:
    needed = tuple(min(ceil(threshold / scale), NEVER) for scale in scales[:-1])
    done = leads >= np.array([*needed, 0])[:, None]
    taken = done.argmax(axis=0)
    every = np.arange(done.shape[1])
    shares = np.bincount(taken, minlength=len(leads)) / len(every)
    return Point(
        threshold,
        needed,
        tuple(shares.tolist()),
        float(right[taken, every].mean()),
        float(costs[taken].mean()),
    )


def chosen(points: Sequence[Point], least: float) -> Point:
    """The cheapest point that is right for a share ``least`` of samples, the most accurate if none.

    The last point takes no exit early.
    """
    good = [point for point in points if point.accuracy >= least]
    return min(good, key=lambda each: each.cost) if good else max(points, key=lambda e: e.accuracy)


def with_exits(program: Program, margins_: Sequence[int]) -> Program:
    """The program whose samples may be done early, at all outputs but the last."""
    slots = exit_slots(program)[:-1]
    return replace(program, exits=tuple(map(Exit, slots, margins_)))


def _scale(slot: Slot) -> float:
    """Real of one code; 1 where the codes mean nothing."""
    return 1.0 if slot.encoding is None else float(max(numbers(slot.encoding.scale)))
