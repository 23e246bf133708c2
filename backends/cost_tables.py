"""A comparison of costs as plain data: Markdown, CSV and JSON."""

from __future__ import annotations

import csv as comma
import html
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..cost_models.comparison import (
    Compared,
    Verdict,
    all_assumptions,
    check_comparable,
    energy_by_memory,
    energy_by_operand,
    verdicts,
)
from ..cost_models.cost import LayerCost
from ..cost_models.range import Range
from ..cost_models.turning import UNKNOWN_EVEN, Even
from .break_even_rows import CSV_COLUMNS as EVEN_COLUMNS
from .break_even_rows import even_csv, even_json, even_tables
from .cost_rows import Table, layer_table, tables
from .cost_text import energy_unit, lead

VERSION = 1
"""Of the fields that `to_json` writes."""


def markdown(compared: Sequence[Compared], even: Even = UNKNOWN_EVEN) -> str:
    """Every table as Markdown, those of layers too; names are escaped."""
    check_comparable(compared)
    unit = energy_unit(compared)
    parts = [f"# Costs on {_plain(compared[0].cost.hardware)}\n\n{_plain(lead(compared))}\n"]
    parts += [markdown_table(table, "##") for table in (*tables(compared), *even_tables(even))]
    parts.append("## Layers\n")
    parts += [markdown_table(layer_table(each, unit), "###") for each in compared]
    return "\n".join(parts)


def markdown_table(table: Table, level: str) -> str:
    """A table under a heading; whatever Markdown would read as its own is escaped."""
    rule = ("---:" if side == "r" else "---" for side in table.align)
    rows = (table.columns, tuple(rule), *(tuple(map(_plain, row)) for row in table.rows))
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{level} {_plain(table.title)}\n\n{_plain(table.remark)}\n\n{lines}\n"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for sign in "\\`*_[]|#~$":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(html.escape(text, quote=False).split())


CSV_COLUMNS = (
    "level", "network", "kind", "bits", "rate", "accuracy", "layer", "op", "macs", "macs_done",
    "weight_bytes", "value_bytes", "index_bytes", "header_bytes", "other_bytes", "file_bytes",
    "energy_low_pj", "energy_pj", "energy_high_pj", "cycles", "bound", "utilisation", "imbalance",
    "model_ms", "simulator_ms", "remark",
    *EVEN_COLUMNS,
)  # fmt: skip
"""``level`` is network, layer, break-even or crossover; cells that it does not have are empty."""


def csv(compared: Sequence[Compared], even: Even = UNKNOWN_EVEN) -> str:
    """One row a network, a layer and a finding of break-even, in full precision.

    The heading is `CSV_COLUMNS`.
    """
    check_comparable(compared)
    text = io.StringIO()
    writer = comma.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for each in compared:
        shared = {"network": each.name, "kind": each.kind, "bits": each.bits}
        writer.writerow(shared | _csv_network(each))
        writer.writerows(shared | _csv_layer(layer) for layer in each.cost.layers)
    writer.writerows(even_csv(even))
    return text.getvalue()


def _csv_network(each: Compared) -> dict[str, Any]:
    cost = each.cost
    return {
        "level": "network",
        "rate": each.rate,
        "accuracy": "" if each.accuracy is None else each.accuracy,
        "value_bytes": each.value_bytes,
        "index_bytes": each.index_bytes,
        "header_bytes": each.header_bytes,
        "other_bytes": each.other_bytes,
        "file_bytes": cost.file_bytes,
        "macs": sum(layer.macs for layer in cost.layers),
        "macs_done": sum(layer.macs_done for layer in cost.layers),
        "weight_bytes": sum(layer.weight_bytes for layer in cost.layers),
        "cycles": cost.time,
        "model_ms": each.model_ms,
        "simulator_ms": "" if each.simulator_ms is None else each.simulator_ms,
    } | _csv_energy(cost.energy)


def _csv_layer(layer: LayerCost) -> dict[str, Any]:
    return {
        "level": "layer",
        "layer": layer.name,
        "op": layer.op,
        "macs": layer.macs,
        "macs_done": layer.macs_done,
        "weight_bytes": layer.weight_bytes,
        "cycles": layer.time,
        "bound": layer.bound,
        "utilisation": layer.utilisation,
        "imbalance": layer.imbalance,
        "remark": layer.remark,
    } | _csv_energy(layer.energy)


def _csv_energy(energy: Range) -> dict[str, float]:
    return {
        "energy_low_pj": energy.low,
        "energy_pj": energy.nominal,
        "energy_high_pj": energy.high,
    }


def to_json(compared: Sequence[Compared], even: Even = UNKNOWN_EVEN) -> dict[str, Any]:
    """Everything in full precision: energies in [pJ], times in cycles and [ms]."""
    check_comparable(compared)
    first = compared[0].cost
    return {
        "version": VERSION,
        "hardware": first.hardware,
        "clock_mhz": first.clock_mhz,
        "networks": [_json_network(each) for each in compared],
        "verdicts": [_json_verdict(each) for each in verdicts(compared)],
        "break_even": even_json(even),
        "assumptions": [asdict(each) for each in all_assumptions(compared)],
    }


def _json_network(each: Compared) -> dict[str, Any]:
    cost = each.cost
    return {
        "name": each.name,
        "kind": each.kind,
        "bits": each.bits,
        "rate": each.rate,
        "accuracy": each.accuracy,
        "bytes": each.parts | {"file": cost.file_bytes},
        "energy_pj": asdict(cost.energy),
        "energy_by_memory_pj": {n: asdict(e) for n, e in energy_by_memory(cost).items()},
        "energy_by_operand_pj": {n: asdict(e) for n, e in energy_by_operand(cost).items()},
        "cycles": cost.time,
        "model_ms": each.model_ms,
        "simulator_ms_measured_on_this_machine": each.simulator_ms,
        "layers": [
            asdict(layer)
            | {"energy_pj": asdict(layer.energy), "time_cycles": layer.time, "bound": layer.bound}
            for layer in cost.layers
        ],
    }


def _json_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "structured": verdict.structured.name,
        "non_structured": verdict.non_structured.name,
        "bits": verdict.structured.bits,
        "storage": verdict.storage,
        "energy": verdict.energy,
        "energy_all_low": verdict.energy_low,
        "energy_all_high": verdict.energy_high,
        "energy_verdict": verdict.stability,
        "time": verdict.time,
        "accuracy_gap": verdict.accuracy_gap,
    }
