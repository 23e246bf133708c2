"""The columns of results: of all formats the same, in full precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .trial import Outcome

COLUMNS = (
    "trial", "front", "accuracy", "samples", "correct", "energy_low_pj", "energy_pj",
    "energy_high_pj", "cycles", "ms", "dram_bytes", "file_bytes", "weight_bits", "nonzero",
    "hardware", "storage", "recipe", "error",
)  # fmt: skip
"""Those beside the choices, whose names they take."""


def rows(outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    """One row a trial in the order of numbers: choices first, None where there is nothing.

    The seconds that a trial took are not in it: rows are the same for everybody.
    """
    numbers = {each.number for each in best}
    for each in sorted(outcomes, key=lambda outcome: outcome.number):
        row: dict[str, Any] = {"trial": each.number, **each.choices}
        row |= {name: None for name in COLUMNS if name not in row}
        row["front"] = each.number in numbers
        if each.compiled is not None:
            compiled = each.compiled
            row |= {"samples": compiled.samples, "correct": compiled.correct}
            row["accuracy"] = compiled.accuracy
        if each.costs is not None:
            row |= {name: getattr(each.costs, name) for name in COST_COLUMNS}
        row |= {"storage": " ".join(each.storage), "recipe": each.recipe, "error": each.error}
        yield row


COST_COLUMNS = (
    "energy_low_pj", "energy_pj", "energy_high_pj", "cycles", "ms", "dram_bytes", "file_bytes",
    "weight_bits", "nonzero", "hardware",
)  # fmt: skip
