"""One self-contained HTML page about a sweep: the front, beside everything that was tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..backends.cost_axes import around, escaped, logarithmic
from ..backends.cost_figures import Figure, Trace, layout
from ..backends.cost_page import from_template
from ..backends.cost_text import percent, shown
from ..backends.page import Card
from .objectives import score
from .report import all_table, failed_table, front_table
from .space import Space
from .trial import Outcome

TEMPLATE = "sweep.html.j2"
HEIGHT = 380
"""[px] of a figure."""
AXES: dict[str, tuple[str, float]] = {
    "energy": ("energy of one sample [µJ]", 1e6),
    "time": ("time of one sample [ms]", 1.0),
    "bytes": ("file [kB]", 1e3),
}
"""Titles, and how many of the units of scores make one of the axis."""


def render(
    space: Space, outcomes: Sequence[Outcome], best: Sequence[Outcome], title: str = "Sweep"
) -> str:
    """The page as HTML; every text in it is escaped."""
    done = [each for each in outcomes if each.costs is not None]
    front = front_table(space, best, outcomes)
    costs = [each for each in space.objectives if each != "accuracy"]
    figures = [_figure(each, done, best) for each in costs]
    hardware = dict.fromkeys(each.costs.hardware for each in done if each.costs)
    return from_template(
        TEMPLATE,
        [each for each in figures if each is not None],
        title=title,
        lead=front.remark,
        hardware="; ".join(hardware),
        cards=_cards(space, done),
        tables=[front, all_table(space, outcomes), failed_table(space, outcomes)],
    )


def _cards(space: Space, done: Sequence[Outcome]) -> list[Card]:
    """The best of all trials in each objective."""
    names: dict[str, tuple[str, Callable[[float], str]]] = {
        "accuracy": ("Best accuracy", lambda value: percent(-value)),
        "energy": ("Least energy", lambda value: f"{shown(value / 1e6)} µJ"),
        "time": ("Least time", lambda value: f"{shown(value)} ms"),
        "bytes": ("Smallest file", lambda value: f"{value:,} bytes"),
    }
    found = []
    for objective in space.objectives:
        name, said = names[objective]
        best = min(done, key=lambda each: score(each, [objective]))
        found.append(Card(name, said(score(best, [objective])[0]), _label(best)))
    return found


def _figure(cost: str, done: Sequence[Outcome], best: Sequence[Outcome]) -> Figure | None:
    """Accuracy over a cost, a point a trial; None where a cost is zero."""
    title, unit = AXES[cost]
    amounts = {each.number: score(each, [cost])[0] / unit for each in done}
    if not amounts or min(amounts.values()) <= 0:
        return None
    front = {each.number for each in best}
    rest = [each for each in done if each.number not in front]
    data = [
        _trace("beaten by another", "var(--soft)", "circle-open", rest, amounts),
        _trace("on the front", "var(--accent)", "circle", list(best), amounts),
    ]
    spec = {
        "data": data,
        "layout": layout(logarithmic(title, amounts.values()), around("accuracy [%]")),
    }
    name = f"Accuracy and {cost}"
    remark = "A point a trial; the front is that of all objectives together."
    return Figure(f"front-{cost}", name, remark, spec, HEIGHT, half=True)


def _trace(
    name: str, colour: str, symbol: str, outcomes: Sequence[Outcome], amounts: dict[int, float]
) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [amounts[each.number] for each in outcomes],
        "y": [-100 * score(each, ["accuracy"])[0] for each in outcomes],
        "text": [escaped(_label(each)) for each in outcomes],
        "marker": {"color": colour, "symbol": symbol, "size": 10, "opacity": 0.9},
        "hovertemplate": "%{text}: %{y:.2f} %, %{x:,.4~r}<extra></extra>",
    }


def _label(outcome: Outcome) -> str:
    said = " ".join(f"{name}={label}" for name, label in outcome.choices.items())
    return f"{outcome.number:03} {said}"
