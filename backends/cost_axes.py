"""Axes of figures: titles with units, and logarithmic ones whose ticks read as plain numbers."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

WRAP, LINES = 16, 3
"""Characters of a line and lines of a name on an axis: a phone has room for no more beside bars."""
ROOM = 1.5
"""A logarithmic axis goes on by this factor beyond its values."""
FEW_DECADES = 2.5
"""Up to so many decades have ticks at 1, 2 and 5."""
MOST_TICKS = 6

Axis = dict[str, Any]


def around(title: str) -> Axis:
    """Around its values, with a title that has the unit."""
    return {
        "title": {"text": title, "standoff": 10, "font": {"size": 13}},
        "gridcolor": "var(--line)",
        "zerolinecolor": "var(--line)",
        "linecolor": "var(--line)",
        "showline": True,
        "automargin": True,
        "tickangle": 0,
        "fixedrange": True,
    }


def linear(title: str) -> Axis:
    """From zero, in plain numbers."""
    return around(title) | {
        "rangemode": "tozero",
        "separatethousands": True,
        "exponentformat": "none",
    }


def logarithmic(title: str, values: Iterable[float]) -> Axis:
    """Around all values, none of them zero; the title says so."""
    found = list(values)
    low, high = min(found) / ROOM, max(found) * ROOM
    marks = ticks(low, high)
    return around(f"{title} (log)") | {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": marks,
        "ticktext": [plain(mark) for mark in marks],
    }


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones: 1, 2 and 5 of few decades, powers of ten of many."""
    decades = math.log10(high / low)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if decades <= FEW_DECADES else (1,)
    stride = max(1, math.ceil(decades / MOST_TICKS))
    marks = [step * 10.0**power for power in range(first, last + 1, stride) for step in steps]
    return [mark for mark in marks if low <= mark <= high]


def names_axis(names: Sequence[str]) -> Axis:
    """The places 0, 1, .. from top to bottom, each with a name."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [wrapped(name) for name in names],
        "range": [len(names) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "tickangle": 0,
        "ticklabelstandoff": 6,
        "tickfont": {"size": 12},
    }


def bits_axis() -> Axis:
    """Whole numbers of bits."""
    return around("bits of a weight") | {"dtick": 1, "tickformat": "d"}


def wrapped(name: str) -> str:
    """A name on short lines, the end left out if it is long, as plotly.js reads it."""
    lines = textwrap.wrap(name, WRAP, max_lines=LINES, placeholder=" …")
    return "<br>".join(map(escaped, lines)) or " "


def escaped(name: str) -> str:
    """A name that plotly.js shows as it is."""
    return html.escape(name, quote=False)


def plain(number: float) -> str:
    """A number without powers of ten."""
    return f"{number:,.12f}".rstrip("0").rstrip(".")
