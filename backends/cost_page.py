"""One self-contained HTML page that compares networks on one hardware."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from ..cost_models.comparison import HOLDS, Compared, check_comparable, verdicts
from ..cost_models.turning import UNKNOWN_EVEN, Even
from .break_even_rows import even_tables
from .cost_figures import Figure
from .cost_plots import figures
from .cost_rows import layer_table, tables
from .cost_text import energy_unit, lead, percent, sentence, shown, spread
from .page import Card

TEMPLATE, PARTS = "cost.html.j2", "parts.html.j2"


def render(
    compared: Sequence[Compared],
    title: str = "What networks cost",
    even: Even = UNKNOWN_EVEN,
) -> str:
    """The page as HTML; every text in it is escaped. Of break-even it says what is known."""
    check_comparable(compared)
    unit = energy_unit(compared)
    drawn = figures(compared, even)
    return from_template(
        TEMPLATE,
        drawn,
        title=title,
        hardware=compared[0].cost.hardware,
        clock=f"{compared[0].cost.clock_mhz:g} MHz",
        lead=lead(compared),
        cards=cards(compared),
        sentences=[sentence(each, unit) for each in verdicts(compared)],
        tables={each.title: each for each in tables(compared)},
        even=even_tables(even),
        layers=[layer_table(each, unit) for each in compared],
    )


def from_template(name: str, drawn: Sequence[Figure], **values: Any) -> str:
    """A page with figures, the styles and scripts of all such pages in it; text is escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    texts = {each: _text(each) for each in (name, PARTS)}
    environment = Environment(
        loader=DictLoader(texts),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(
        figures=drawn,
        specs=Markup(inlined({each.key: each.spec for each in drawn})),
        style=Markup(_text("cost.css")),
        script=Markup(_text("cost.js")),
        plotly=Markup(get_plotlyjs()),
        **values,
    )


def _text(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def cards(compared: Sequence[Compared]) -> list[Card]:
    """Who needs the least of each, and how firm the verdict on energy is."""
    unit = energy_unit(compared)
    small = min(compared, key=lambda each: each.cost.file_bytes)
    frugal = min(compared, key=lambda each: each.cost.energy.nominal)
    fast = min(compared, key=lambda each: each.cost.time)
    nominal, low, high = spread(frugal.cost.energy, unit)
    found = [
        Card("Smallest file", f"{small.cost.file_bytes:,} bytes", small.name),
        Card("Least energy", f"{nominal} {unit}", f"{frugal.name}; {low} to {high} {unit}"),
        Card("Least time", f"{fast.cost.time:,} cycles", f"{fast.name}; {shown(fast.model_ms)} ms"),
    ]
    known = [each for each in compared if each.accuracy is not None]
    if known:
        best = max(known, key=lambda each: each.accuracy or 0.0)
        found.append(Card("Best accuracy", percent(best.accuracy), best.name))
    pairs = verdicts(compared)
    if pairs:
        holds = sum(each.stability == HOLDS for each in pairs)
        value = pairs[0].stability if len(pairs) == 1 else f"{holds} of {len(pairs)} hold"
        found.append(Card("Energy verdict", value, "with all constants low, nominal and high"))
    return found


def inlined(value: Any) -> str:
    """JSON that no text in it can end: it may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
