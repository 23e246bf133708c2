"""Which outcomes no other beats, and which are the cheapest of their family at equal accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

Score = tuple[float, ...]
"""One number for each objective: less is better in all of them."""
Key = TypeVar("Key")
Group = TypeVar("Group")


def front(scores: Mapping[Key, Score]) -> list[Key]:
    """Those that no other beats, in the order given; equal scores are all on the front or none.

    Beaten is one if another is as good in every objective and better in one.
    """
    kinds = set(scores.values())
    best = {each for each in kinds if not any(_beats(other, each) for other in kinds)}
    return [key for key, score in scores.items() if score in best]


def _beats(one: Score, other: Score) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def cheapest(
    outcomes: Iterable[tuple[Key, Group, float, float]], points: float
) -> dict[Group, Key]:
    """Of each group the one of the least cost whose accuracy is within ``points`` of the best.

    An outcome is (key, group, accuracy in 0..1, cost); the best accuracy is of all groups together.
    Of equal costs the more accurate is taken, then the first. A group with none is left out.
    """
    listed: Sequence[tuple[Key, Group, float, float]] = list(outcomes)
    best = max((accuracy for _, _, accuracy, _ in listed), default=0.0)
    found: dict[Group, tuple[tuple[float, float], Key]] = {}
    for key, group, accuracy, cost in listed:
        if 100 * (best - accuracy) > points + 1e-9:
            continue
        rank = (cost, -accuracy)
        if group not in found or rank < found[group][0]:
            found[group] = (rank, key)
    return {group: key for group, (_, key) in found.items()}
