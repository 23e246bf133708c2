"""What a sweep may look for, and how good an outcome is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

from .front import Score, front
from .trial import Compiled, Costs, Outcome

Objective = Literal["accuracy", "energy", "time", "bytes"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
LESS_IS_BETTER: dict[str, Callable[[Compiled, Costs], float]] = {
    "accuracy": lambda compiled, costs: -compiled.accuracy,
    "energy": lambda compiled, costs: costs.energy_pj,
    "time": lambda compiled, costs: costs.ms,
    "bytes": lambda compiled, costs: costs.file_bytes,
}


def score(outcome: Outcome, objectives: Sequence[str]) -> Score:
    """One number for each objective, less is better; the outcome did not fail."""
    assert outcome.compiled is not None
    assert outcome.costs is not None
    compiled, costs = outcome.compiled, outcome.costs
    return tuple(LESS_IS_BETTER[each](compiled, costs) for each in objectives)


def on_front(outcomes: Iterable[Outcome], objectives: Sequence[str]) -> list[Outcome]:
    """Those that no other beats in all objectives together, the best in the first one first."""
    done = {each.number: each for each in outcomes if each.costs is not None}
    scores = {number: score(each, objectives) for number, each in done.items()}
    best = sorted(front(scores), key=lambda number: (scores[number], number))
    return [done[number] for number in best]
