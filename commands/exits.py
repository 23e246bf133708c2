"""``intaglio exits``: margins at which samples are done early, for a loss that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import api
from ..backends.blob_layout import EXITS
from ..backends.blob_sections import with_section
from ..backends.blob_writer import exit_records
from ..backends.exits import Point, chosen, curve, exit_slots, with_exits
from ..backends.stage_cost import regimes
from ..cost_models.hardware import load_hardware
from ..datasets import read_test
from ..errors import DataError, UsageError
from .terminal import Bars, Column, facts, note, say_json, table

MICRO = 1e6
"""pJ in a uJ."""


@dataclass(frozen=True, slots=True)
class Found:
    """The curve of a network, the point chosen on it, and the names of its exits in order."""

    names: tuple[str, ...]
    points: tuple[Point, ...]
    point: Point
    unit: str


def find_exits(
    blob: Path, data: Path, points: float, hardware: str | None, output: Path | None
) -> Found:
    """Margins for at most so many points lost on the data; a blob that has them, if asked for.

    Costs are products of a sample, or with hardware uJ. Raises an IntaglioError.
    """
    if not 0 <= points <= 100:
        raise UsageError(f"A loss of {points:g} points was allowed.", fix="Choose 0 to 100.")
    network = api.load(blob)
    slots = exit_slots(network.program)
    x, y = read_test(data)
    classes = network.program.slots[slots[-1]].type.elements
    if y.size and not 0 <= y.min() <= y.max() < classes:
        raise DataError(
            f"Labels reach from {y.min()} to {y.max()}, but the network has {classes} classes.",
            where=f"'{data}'",
            fix=f"Number the classes 0 to {classes - 1}.",
        )
    with Bars() as bars:
        codes = network.simulate(network.encode(x), lambda done, total: bars("Run", done, total))
    found = curve(network.program, codes, y.reshape(-1), costs(network, hardware))
    point = chosen(found, found[-1].accuracy - points / 100)
    if output is not None:
        program = with_exits(network.program, point.margins)
        made = with_section(network.blob, EXITS, exit_records(program.exits))
        api.Network(made, limit=1 << 62).save(output)
        note(f"Wrote {output}.")
    names = tuple(network.program.slots[slot].name for slot in slots)
    return Found(names, found, point, "products" if hardware is None else "uJ")


def costs(network: api.Network, hardware: str | None) -> list[float]:
    """What a sample costs up to each exit: products, or uJ with weights read for every look."""
    machine = load_hardware(hardware or "edge-npu").machine()
    regime = regimes(network.program, network.blob, machine, batch=1)[0]
    if hardware is None:
        each: Sequence[float] = [stage.macs for stage in regime.stages]
    else:
        each = [stage.energy.nominal / MICRO for stage in regime.stages]
    return [sum(each[: count + 1]) for count in range(len(each))]


def show(found: Found, *, as_json: bool) -> None:
    """Print what each exit takes, and what that saves."""
    point, last = found.point, found.points[-1]
    if as_json:
        say_json(to_json(found))
        return
    columns: tuple[Column, ...] = (("exit", "text"), ("margin", "right"), ("samples", "right"))
    margins = (*(f"{margin:,}" for margin in point.margins), "all others")
    rows = zip(found.names, margins, (f"{share:.1%}" for share in point.shares), strict=True)
    table(columns, rows)
    facts(
        [
            ("accuracy", f"{point.accuracy:.2%}, {last.accuracy:.2%} with every look"),
            (
                found.unit,
                f"{_number(point.cost)} a sample, {_number(last.cost)} with every look "
                f"({point.cost / last.cost:.0%})",
            ),
        ]
    )


def to_json(found: Found) -> dict[str, Any]:
    """Names, the point chosen and the whole curve."""
    return {
        "exits": found.names,
        "unit": found.unit,
        "chosen": asdict(found.point),
        "curve": [asdict(each) for each in found.points],
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
