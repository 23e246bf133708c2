"""Families of a sweep at equal accuracy: of each the cheapest, beside each other as by compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import api
from ..backends.compared import compared
from ..backends.cost import network_cost
from ..cost_models.comparison import Compared
from ..cost_models.hardware import Hardware
from ..errors import UsageError
from ..sweeping.folder import Folder
from ..sweeping.front import cheapest
from ..sweeping.objectives import score
from ..sweeping.space import Space
from ..sweeping.trial import Outcome
from .compare import Files
from .compare import show as show_compared
from .compare import write as write_compared
from .terminal import note, say


@dataclass(frozen=True, slots=True)
class Equal:
    """Accuracies count as equal within ``points`` of the best; ``family`` is a choice."""

    points: float
    family: str

    @classmethod
    def of(cls, points: float | None, family: str | None) -> Equal | None:
        """What both options say together; raises UsageError for one without the other."""
        if points is None and family is None:
            return None
        if points is None or family is None:
            given, other = ("family", "equal") if points is None else ("equal", "family")
            raise UsageError(f"--{given} goes with --{other}.", fix=f"Give --{other} as well.")
        return cls(points, family)

    def check(self, space: Space) -> None:
        """Raise UsageError unless the space has the choice."""
        if self.family not in space.choices:
            raise UsageError(
                f"There is no choice '{self.family}'.",
                where=f"'{space.source}'",
                fix=f"--family is one of {', '.join(space.choices)}.",
            )


Group = tuple[str, int, str]
"""Hardware, bits of weights, family: networks are compared on one hardware at equal bits."""


def chosen(space: Space, outcomes: Sequence[Outcome], equal: Equal) -> dict[Group, Outcome]:
    """The cheapest of each group that is accurate enough, by hardware, more bits first."""
    cost = cost_of(space)
    done = {each.number: each for each in outcomes if each.costs and each.compiled}
    found = cheapest(
        (
            (number, _group(each, equal), _accuracy(each), score(each, [cost])[0])
            for number, each in done.items()
        ),
        equal.points,
    )
    order = list(space.choices[equal.family])
    groups = sorted(found, key=lambda group: (group[0], -group[1], order.index(group[2])))
    return {group: done[found[group]] for group in groups}


def equal_json(space: Space, outcomes: Sequence[Outcome], equal: Equal) -> dict[str, Any]:
    """Which trials are compared, as JSON values."""
    found = chosen(space, outcomes, equal)
    rows = [
        {"hardware": hardware, "bits": bits, "family": family, "trial": each.number}
        for (hardware, bits, family), each in found.items()
    ]
    return {"points": equal.points, "family": equal.family, "networks": rows}


def cost_of(space: Space) -> str:
    """By what trials are cheap: the first objective that is no accuracy, else the bytes."""
    return next((each for each in space.objectives if each != "accuracy"), "bytes")


def _group(outcome: Outcome, equal: Equal) -> Group:
    assert outcome.costs is not None
    return outcome.costs.hardware, outcome.costs.weight_bits, outcome.choices[equal.family]


def _accuracy(outcome: Outcome) -> float:
    assert outcome.compiled is not None
    return outcome.compiled.accuracy


def show_equal(
    folder: Folder, space: Space, outcomes: Sequence[Outcome], equal: Equal, *, quiet: bool
) -> None:
    """Write, and print unless ``quiet``, a comparison for each hardware of the space."""
    found = chosen(space, outcomes, equal)
    best = max(_accuracy(each) for each in outcomes if each.compiled and each.costs)
    most = max(each.costs.nonzero for each in outcomes if each.costs)
    for at, hardware in enumerate(dict.fromkeys(group[0] for group in found)):
        here = {group: each for group, each in found.items() if group[0] == hardware}
        machine = space.planned(next(iter(here.values())).number).hardware
        rows = [_compared(group, each, machine, most) for group, each in here.items()]
        name = "equal" if not at else f"equal-{at + 1}"
        paths = (folder.path / f"{name}.{end}" for end in ("html", "md", "csv"))
        write_compared(rows, Files(*paths))
        if not quiet:
            say(
                f"Within {equal.points:g} points of {100 * best:.2f} %, of each {equal.family} and "
                f"width of weights the least {cost_of(space)}:"
            )
            show_compared(rows)
    _note_missing(space, found, equal)


def _compared(group: Group, outcome: Outcome, hardware: Hardware, most: int) -> Compared:
    assert outcome.compiled is not None
    network = api.Network(outcome.compiled.blob)
    cost = network_cost(network.program, network.blob, hardware.machine(), hardware.assumptions())
    name = f"{group[2]} {outcome.number:03}"
    return compared(name, network.program, network.blob, cost, most, _accuracy(outcome))


def _note_missing(space: Space, found: Mapping[Group, Outcome], equal: Equal) -> None:
    """Say which families have no network that is accurate enough."""
    there = {family for _, _, family in found}
    for family in space.choices[equal.family]:
        if family not in there:
            note(f"No '{family}' is within {equal.points:g} points of the best.")
