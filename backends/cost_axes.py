"""Axes of figures: titles with units, and logarithmic ones whose ticks read as plain numbers."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

WRAP = 15
"""Characters of a name on a line of an axis: a phone has room for no more beside the bars."""
ROOM = 1.5
"""A logarithmic axis goes on by this factor beyond its values."""
FEW_DECADES = 1.6
"""Up to so many decades have ticks at 1, 2 and 5."""
MOST_TICKS = 6

Axis = dict[str, Any]


def around(title: str) -> Axis:
    """Around its values, with a title that has the unit."""
    return {
        "title": {"text": title, "standoff": 10},
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
    """Around all values, none of them zero; the title says that it is logarithmic."""
    found = list(values)
    low, high = min(found) / ROOM, max(found) * ROOM
    marks = ticks(low, high)
    return around(f"{title}, logarithmic") | {
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
    """One place a name, from top to bottom."""
    return {
        "type": "category",
        "categoryarray": [wrapped(name) for name in names],
        "categoryorder": "array",
        "autorange": "reversed",
        "automargin": True,
        "tickangle": 0,
        "ticklabelstandoff": 6,
    }


def bits_axis() -> Axis:
    """Whole numbers of bits."""
    return around("bits of a weight") | {"dtick": 1, "tickformat": "d"}


def wrapped(name: str) -> str:
    """A name on short lines, as plotly.js reads it."""
    return "<br>".join(escaped(line) for line in textwrap.wrap(name, WRAP)) or " "


def escaped(name: str) -> str:
    """A name that plotly.js shows as it is."""
    return html.escape(name, quote=False)


def plain(number: float) -> str:
    """A round number without powers of ten; large ones with k, M or G."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:g}{letter}"
    return f"{number:.12f}".rstrip("0").rstrip(".")
