"""``intaglio breakeven``: how far single weights must be pruned to be as small as structures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from ..cost_models.breakeven import INDICES, cheapest, required_rate
from ..errors import UsageError
from .terminal import Column, out, say_json, table

PLACES = {
    "packed": "a bitmap or relative indices of the best width, of a mask without pattern",
    "shannon": "Shannon's limit, which no code of a mask without pattern passes",
}
Row = dict[str, float | str | None]


def show_breakeven(bits: str, structured: str, limit: str, *, as_json: bool) -> None:
    """Print the rates, by bits of values and rate of structures."""
    if limit not in INDICES:
        raise UsageError(
            f"There is no limit '{limit}'.", fix=f"The limits are {' and '.join(INDICES)}."
        )
    widths, rates = _numbers("bits", bits), _numbers("structured", structured)
    rows = list(_rows(widths, rates, limit))
    if as_json:
        say_json({"limit": limit, "rates": rows})
        return
    columns: list[Column] = [("bits", "right"), *((f"{rate:g}x", "right") for rate in rates)]
    texts = [_text(row["rate"]) for row in rows]
    starts = range(0, len(texts), len(rates))
    lines = zip(widths, starts, strict=True)
    table(columns, ([f"{width:g}", *texts[at : at + len(rates)]] for width, at in lines))
    out().print(_reading(widths[-1], rates[-1], texts[-1], limit))


def _rows(widths: Sequence[float], rates: Sequence[float], limit: str) -> Iterator[Row]:
    """Each rate with the code that reaches it; None where no rate does."""
    index = INDICES[limit]
    for bits in widths:
        for structured in rates:
            rate = required_rate(structured, bits, index)
            found: Row = {"bits": bits, "structured": structured, "rate": None, "code": None}
            if rate < inf:
                found |= {"rate": rate, "code": cheapest(rate, bits, index).name}
            yield found


def _reading(bits: float, structured: float, text: str, limit: str) -> str:
    whole = f"whole filters or columns pruned {structured:g} times"
    if text == "never":
        first = f"With {bits:g}-bit values, single weights are never as small as {whole}."
    else:
        first = (
            f"With {bits:g}-bit values, single weights must be pruned {text} times to take no more "
            f"bits than {whole}."
        )
    return f"{first} Places of single weights: {PLACES[limit]}."


def _text(rate: float | str | None) -> str:
    """Three digits, all those before the point."""
    if not isinstance(rate, float):
        return "never"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:#.3g}"


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--{name} is '{text}'.", fix="Give numbers with commas between, such as 8,4,1."
        ) from None
