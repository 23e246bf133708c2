"""What ``intaglio sweep`` writes and prints."""

from __future__ import annotations

from collections.abc import Sequence

from ..files import write_whole
from ..sweeping.folder import Folder
from ..sweeping.report import csv, failed_table, front_table, json_text, markdown, to_json
from ..sweeping.space import Space
from ..sweeping.trial import Outcome
from .terminal import Column, facts, say, table

SHOWN_FAILURES = 5


def write(
    folder: Folder, space: Space, outcomes: Sequence[Outcome], best: Sequence[Outcome]
) -> None:
    """The reports of the folder: rows.csv, rows.json, front.md, sweep.html."""
    from ..sweeping.page import render

    texts = {
        "rows.csv": csv(space, outcomes, best),
        "rows.json": json_text(to_json(space, outcomes, best)),
        "front.md": markdown(space, outcomes, best),
        "sweep.html": render(space, outcomes, best),
    }
    for name, text in texts.items():
        write_whole(folder.path / name, text.encode())


def show(space: Space, outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> None:
    """Print the front, and the first trials that failed."""
    found = front_table(space, best, outcomes)
    wanted = [at for at, name in enumerate(found.columns) if name not in ("low", "high")]
    columns: list[Column] = [
        (found.columns[at], "right" if found.align[at] == "r" else "text") for at in wanted
    ]
    table(columns, [[row[at] for at in wanted] for row in found.rows])
    say(found.remark)
    failed = failed_table(space, outcomes).rows
    rows = [(f"{row[0]} {' '.join(row[1:-1])}", row[-1]) for row in failed[:SHOWN_FAILURES]]
    more = len(failed) - len(rows)
    facts([*rows, *([("", f"and {more} more, all in front.md")] if more else [])])
