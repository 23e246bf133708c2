"""Tables of break-even, and the same as rows of plain data."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from typing import Any

from ..cost_models.turning import Even, Needed, Turn
from .cost_rows import Table

RATES = ("storage", "energy", "time")


def even_tables(even: Even) -> list[Table]:
    """Rates that match each structured network, and widths where verdicts turn; none unknown."""
    found = []
    if even.needed:
        found.append(rate_table(even))
    if even.turns:
        found.append(turn_table(even))
    return found


def rate_table(even: Even) -> Table:
    """A row for each structured network and width."""
    return Table(
        "Break-even rates",
        f"How far single weights of {even.dense} must be pruned to take no more than the "
        f"structured network at equal bits: one left of so many, of its {even.weights:,} weights. "
        "Places are random and rates the same in every layer.",
        ("Structured", "Bits", "For storage", "For energy", "For time"),
        tuple(_rate_row(each) for each in even.needed),
        "lrrrr",
    )


def turn_table(even: Even) -> Table:
    """A row for each pair and amount."""
    return Table(
        "Crossover bits",
        "The width of weights nearest to the networks' own at which the other kind takes less, "
        "with the masks that they have.",
        ("Structured", "Non-structured", "Amount", "Bits", "Favoured", "Crossover"),
        tuple(_turn_row(each) for each in even.turns),
        "lllrlr",
    )


def _rate_row(each: Needed) -> tuple[str, ...]:
    rates = (_rate(getattr(each, name)) for name in RATES)
    return (each.structured, f"{each.bits}", *rates)


def _rate(rate: float) -> str:
    return "at no rate" if isinf(rate) else f"{rate:.3g}x" if rate < 1000 else f"{rate:,.0f}x"


def _turn_row(each: Turn) -> tuple[str, ...]:
    crossover = f"none in 1..{len(each.favours)}" if each.at is None else f"{each.at} bits"
    pair = each.structured, each.non_structured
    return (*pair, each.amount, f"{each.bits}", each.favoured, crossover)


def even_json(even: Even) -> dict[str, Any]:
    """Rates in full precision, null where no rate is enough."""
    return {
        "of": even.dense,
        "weights": even.weights,
        "rates": [_rates(each) for each in even.needed],
        "crossovers": [_crossover(each) for each in even.turns],
    }


def _rates(each: Needed) -> dict[str, Any]:
    rates = {f"{name}_rate": getattr(each, name) for name in RATES}
    finite = {name: None if isinf(rate) else rate for name, rate in rates.items()}
    return {"structured": each.structured, "bits": each.bits} | finite


def _crossover(each: Turn) -> dict[str, Any]:
    return {
        "structured": each.structured,
        "non_structured": each.non_structured,
        "amount": each.amount,
        "bits": each.bits,
        "favoured": each.favoured,
        "crossover_bits": each.at,
    }


CSV_COLUMNS = ("storage_rate", "energy_rate", "time_rate", "other", "amount", "favoured",
               "crossover_bits")  # fmt: skip


def even_csv(even: Even) -> Sequence[dict[str, Any]]:
    """Rows of the levels break-even and crossover; ``inf`` where no rate is enough."""
    rates = (
        {"level": "break-even", "network": each.structured, "bits": each.bits}
        | {f"{name}_rate": getattr(each, name) for name in RATES}
        for each in even.needed
    )
    turns = (
        {"level": "crossover", "network": each.structured, "other": each.non_structured}
        | {"bits": each.bits, "amount": each.amount, "favoured": each.favoured}
        | {"crossover_bits": "" if each.at is None else each.at}
        for each in even.turns
    )
    return [*rates, *turns]
