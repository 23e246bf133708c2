"""``intaglio diff``: print where two networks part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import files
from .difference import First, LayerDifference, Unit, compare
from .side import Reading
from .terminal import Column, elided, say, say_json, table

COLUMNS: tuple[Column, ...] = (
    ("layer", "text"),
    ("compared", "left"),
    ("elements", "right"),
    ("differ", "right"),
    ("mean", "right"),
    ("worst", "right"),
)
UNITS: dict[Unit, str] = {
    "codes": "codes, exactly",
    "steps": "reals, in steps",
    "reals": "reals, exactly",
}


def diff(
    a: Path,
    b: Path,
    x: Path | None,
    samples: int,
    seed: int,
    reading: Reading,
    *,
    as_json: bool,
) -> bool:
    """Print each layer's difference and the first element that differs; whether all are equal.

    Where a side is real, a code differs when it is more than half a step from the other side.
    """
    inputs = None if x is None else files.read_arrays(x)
    found = compare(a, b, inputs, samples, seed, reading)
    parted = next((each for each in found if each.first is not None), None)
    if as_json:
        layers = [each.to_json() for each in found]
        say_json({"equal": parted is None, "first": parted and parted.name, "layers": layers})
    else:
        _show(found, parted)
    return parted is None


def _show(found: Sequence[LayerDifference], parted: LayerDifference | None) -> None:
    table(COLUMNS, map(_row, found))
    if parted is None or parted.first is None:
        say(f"Equal in all {len(found)} layers that both name.")
        return
    first: First = parted.first
    say(
        f"They part at layer '{parted.name}': {parted.different:,} of {parted.elements:,} elements "
        f"differ, the first at {list(first.index)}: {first.a:.9g} and {first.b:.9g}."
    )


def _row(each: LayerDifference) -> tuple[object, ...]:
    size = (f"{each.mean:.4g}", f"{each.worst:.4g}") if each.worst else ("", "")
    return elided(each.name), UNITS[each.unit], f"{each.elements:,}", f"{each.different:,}", *size
