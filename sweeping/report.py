"""What a sweep leaves: rows as CSV and JSON, the front as Markdown."""

from __future__ import annotations

import csv as comma
import io
import json
from collections.abc import Sequence
from typing import Any

from ..backends.cost_rows import Table
from ..backends.cost_tables import markdown_table
from ..backends.cost_text import percent, shown
from .columns import COLUMNS, rows
from .space import Space
from .trial import Outcome

MICRO = 1e6
"""pJ in a uJ."""
VERSION = 1
"""Of the fields that `to_json` writes."""
MEASURED = ("Accuracy", "Energy [µJ]", "low", "high", "ms", "Bytes")


def csv(space: Space, outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> str:
    """One row a trial, in full precision; cells that a trial does not have are empty."""
    text = io.StringIO()
    names = [COLUMNS[0], *space.choices, *COLUMNS[1:]]
    writer = comma.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(outcomes, best))
    return text.getvalue()


def to_json(space: Space, outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> dict[str, Any]:
    """The same as JSON values, and which trials are on the front."""
    return {
        "version": VERSION,
        "space": space.source,
        "objectives": list(space.objectives),
        "combinations": space.count,
        "front": [each.number for each in best],
        "trials": list(rows(outcomes, best)),
    }


def json_text(data: Any) -> str:
    """JSON for a file."""
    return json.dumps(data, indent=2) + "\n"


def front_table(space: Space, best: Sequence[Outcome], outcomes: Sequence[Outcome]) -> Table:
    """The front, a row a trial: its choices and what they give."""
    failed = sum(each.costs is None for each in outcomes)
    lost = f" {failed} failed." if failed else ""
    return Table(
        "Front",
        f"{len(best)} of {len(outcomes)} trials ({space.count:,} combinations) that no other beats "
        f"in {_listed(space.objectives)}.{lost}",
        ("Trial", *space.choices, *MEASURED),
        tuple(_row(each) for each in best),
        align=_align(space),
    )


def all_table(space: Space, outcomes: Sequence[Outcome]) -> Table:
    """Every trial that did not fail."""
    done = [each for each in outcomes if each.costs is not None]
    return Table(
        "All trials",
        "In the order of the space.",
        ("Trial", *space.choices, *MEASURED),
        tuple(_row(each) for each in done),
        align=_align(space),
    )


def _align(space: Space) -> str:
    return "l" + "l" * len(space.choices) + "r" * len(MEASURED)


def _row(outcome: Outcome) -> tuple[str, ...]:
    costs, compiled = outcome.costs, outcome.compiled
    assert costs is not None
    assert compiled is not None
    energies = (costs.energy_pj, costs.energy_low_pj, costs.energy_high_pj)
    return (
        f"{outcome.number:03}",
        *outcome.choices.values(),
        percent(compiled.accuracy),
        *(shown(each / MICRO) for each in energies),
        shown(costs.ms),
        f"{costs.file_bytes:,}",
    )


def failed_table(space: Space, outcomes: Sequence[Outcome]) -> Table:
    """The trials that failed, and why."""
    failed = [each for each in outcomes if each.costs is None]
    return Table(
        "Failed",
        "Trials that gave no network or no cost.",
        ("Trial", *space.choices, "Why"),
        tuple((f"{e.number:03}", *e.choices.values(), e.error) for e in failed),
        align="l" + "l" * len(space.choices) + "l",
    )


def markdown(space: Space, outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> str:
    """The front and what failed, as Markdown."""
    tables = [front_table(space, best, outcomes), failed_table(space, outcomes)]
    return "\n".join(markdown_table(table, "##") for table in tables if table.rows)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
