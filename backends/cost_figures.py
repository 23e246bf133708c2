"""The figures of a comparison, as data that plotly.js draws.

Colours are names of the page's own, ``var(--...)``, so that one figure serves light and dark. Text
in a figure is read as HTML by plotly.js: names are escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..cost_models.comparison import (
    ARITHMETIC,
    DECODE,
    Compared,
    energy_by_memory,
    energy_by_operand,
    part_names,
)
from ..cost_models.cost import NetworkCost
from ..cost_models.range import Range
from .cost_axes import escaped, linear, names_axis
from .cost_text import UNITS, byte_unit, energy_unit, spread

COLOURS = 7
"""Colours of networks and of memories; then they begin again."""
KNOWN = {
    "weights": "var(--weights)",
    "values": "var(--weights)",
    "indices": "var(--indices)",
    "inputs": "var(--inputs)",
    "outputs": "var(--outputs)",
    "sums": "var(--sums)",
    "headers": "var(--sums)",
    "other": "var(--rest)",
    ARITHMETIC: "var(--rest)",
    DECODE: "var(--decode)",
}
"""Colours of what has the same colour in all figures."""
BAR, AROUND = 50, 60
"""[px] of a bar, and of axis and title together."""

Trace = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend: a name, the colour and the shape of its sign."""

    name: str
    colour: str
    shape: str


@dataclass(frozen=True, slots=True)
class Figure:
    """``spec`` has data and layout of plotly.js; ``half`` ones share a row if there is room."""

    key: str
    title: str
    remark: str
    spec: dict[str, Any]
    height: int
    half: bool = False

    @property
    def legend(self) -> list[Entry]:
        """One entry a trace."""
        return [Entry(each["name"], *_sign(each)) for each in self.spec["data"]]


def energy_figure(
    compared: Sequence[Compared], what: str, split: Callable[[NetworkCost], dict[str, Range]]
) -> Figure:
    """Bars stacked by what takes the energy, each with the range of its whole."""
    unit = energy_unit(compared)
    parts = [split(each.cost) for each in compared]
    order = part_names(parts)
    none = Range.exact(0.0)
    bars = {name: [part.get(name, none).nominal / UNITS[unit] for part in parts] for name in order}
    return _stacked(
        f"energy-by-{what}",
        f"Energy by {what}",
        "Bars: nominal constants. Whiskers: the whole with all constants low and with all high.",
        compared,
        [_bars(compared, name, bars[name], at, unit) for at, name in enumerate(order)]
        + [_whiskers(compared, unit)],
        f"energy of one sample [{unit}]",
    )


def memory_figure(compared: Sequence[Compared]) -> Figure:
    """Energy by memory."""
    return energy_figure(compared, "memory", energy_by_memory)


def operand_figure(compared: Sequence[Compared]) -> Figure:
    """Energy by operand."""
    return energy_figure(compared, "operand", energy_by_operand)


def byte_figure(compared: Sequence[Compared]) -> Figure:
    """Bars of the file, stacked by what its bytes hold."""
    unit, factor = byte_unit(compared)
    bars = [
        _bars(compared, name, [each.parts[name] / factor for each in compared], at, unit)
        for at, name in enumerate(compared[0].parts)
    ]
    return _stacked(
        "bytes",
        "Bytes",
        "The whole file: values of weights, their places, headers of sections, all else.",
        compared,
        bars,
        f"file [{unit}]",
    )


def layout(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    """What all figures share: no paper and no legend, which are the page's."""
    return {
        "xaxis": x,
        "yaxis": y,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--ink)", "size": 13, "family": "system-ui, sans-serif"},
        "margin": {"l": 8, "r": 14, "t": 8, "b": 8},
        "hoverlabel": {
            "bgcolor": "var(--panel)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)"},
        },
        "dragmode": False,
        "showlegend": False,
    }


def colour(at: int) -> str:
    """The colour of a network or memory by its place."""
    return f"var(--series-{at % COLOURS + 1})"


def _sign(trace: Trace) -> tuple[str, str]:
    if "marker" not in trace:
        return trace["line"]["color"], "dash"
    return trace["marker"]["color"], trace["marker"].get("symbol", "square")


def _stacked(
    key: str,
    title: str,
    remark: str,
    compared: Sequence[Compared],
    data: list[Trace],
    axis: str,
) -> Figure:
    shape = layout(linear(axis), names_axis([each.name for each in compared]))
    spec = {"data": data, "layout": shape | {"barmode": "stack", "bargap": 0.45}}
    return Figure(key, title, remark, spec, AROUND + BAR * len(compared))


def _bars(
    compared: Sequence[Compared], name: str, amounts: Sequence[float], at: int, unit: str
) -> Trace:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": list(range(len(compared))),
        "x": list(amounts),
        "marker": {
            "color": KNOWN.get(name, colour(at)),
            "line": {"color": "var(--panel)", "width": 0.5},
        },
        "text": [escaped(each.name) for each in compared],
        "textposition": "none",
        "hovertemplate": f"%{{text}}, {escaped(name)}: %{{x:,.4~r}} {unit}<extra></extra>",
    }


def _whiskers(compared: Sequence[Compared], unit: str) -> Trace:
    scale = 1 / UNITS[unit]
    energies = [each.cost.energy * scale for each in compared]
    texts = [spread(each.cost.energy, unit) for each in compared]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "low to high",
        "y": list(range(len(compared))),
        "x": [energy.nominal for energy in energies],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [energy.high - energy.nominal for energy in energies],
            "arrayminus": [energy.nominal - energy.low for energy in energies],
            "color": "var(--ink)",
            "thickness": 1.5,
            "width": 6,
        },
        "marker": {"color": "var(--ink)", "symbol": "line-ns-open", "size": 9},
        "text": [
            f"{escaped(each.name)}, all: {text[0]} {unit}, {text[1]} to {text[2]}"
            for each, text in zip(compared, texts, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
