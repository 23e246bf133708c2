"""The tables of a comparison, ready for any page: text in rows under headings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..cost_models.comparison import (
    Compared,
    Verdict,
    all_assumptions,
    check_comparable,
    energy_by_memory,
    energy_by_operand,
    part_names,
    verdicts,
)
from ..cost_models.cost import LayerCost, NetworkCost
from ..cost_models.range import Range
from .cost_text import (
    MEASURED,
    MODEL,
    TOGETHER,
    UNKNOWN,
    energy_unit,
    in_unit,
    percent,
    ratio,
    shown,
    spread,
)

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings; ``align`` has ``l`` or ``r`` for each column."""

    title: str
    remark: str
    columns: Row
    rows: tuple[Row, ...]
    align: str


def tables(compared: Sequence[Compared]) -> list[Table]:
    """All tables of a comparison but those of layers."""
    check_comparable(compared)
    unit = energy_unit(compared)
    return [
        verdict_table(compared),
        network_table(compared, unit),
        energy_table("Energy by memory", energy_by_memory, compared, unit),
        energy_table("Energy by operand", energy_by_operand, compared, unit),
        traffic_table(compared, unit),
        arithmetic_table(compared, unit),
        byte_table(compared),
        time_table(compared),
        assumption_table(compared),
    ]


def verdict_table(compared: Sequence[Compared]) -> Table:
    """What each pair favours, with amounts of the structured over the other's."""
    return Table(
        "Verdicts",
        "Structured against non-structured at equal bits of weights; in brackets structured over "
        f"non-structured. {TOGETHER}",
        ("Structured", "Non-structured", "Bits", "Storage", "Energy", "Time", "Energy verdict",
         "All low", "All high", "Accuracy"),
        tuple(_verdict_row(each) for each in verdicts(compared)),
        align="llrllllllr",
    )  # fmt: skip


def _verdict_row(verdict: Verdict) -> Row:
    ours, theirs = verdict.structured.cost, verdict.non_structured.cost
    a, b = ours.energy, theirs.energy
    gap = verdict.accuracy_gap
    return (
        verdict.structured.name,
        verdict.non_structured.name,
        str(verdict.structured.bits),
        f"{verdict.storage} ({ratio(ours.file_bytes, theirs.file_bytes)})",
        f"{verdict.energy} ({ratio(a.nominal, b.nominal)})",
        f"{verdict.time} ({ratio(ours.time, theirs.time)})",
        verdict.stability,
        f"{verdict.energy_low} ({ratio(a.low, b.low)})",
        f"{verdict.energy_high} ({ratio(a.high, b.high)})",
        UNKNOWN if gap is None else f"{100 * gap:+.2f} points",
    )


def network_table(compared: Sequence[Compared], unit: str) -> Table:
    """One row a network."""
    return Table(
        "Networks",
        "Rate: weights before over weights left. Energy and cycles of one sample, by the model.",
        ("Network", "Kind", "Bits", "Rate", "Accuracy", "Bytes", f"Energy [{unit}]", "low", "high",
         "Cycles"),
        tuple(
            (c.name, c.kind, str(c.bits), f"{shown(c.rate)}x", percent(c.accuracy),
             f"{c.cost.file_bytes:,}", *spread(c.cost.energy, unit), f"{c.cost.time:,}")
            for c in compared
        ),
        align="llrrrrrrrr",
    )  # fmt: skip


def energy_table(
    title: str,
    split: Callable[[NetworkCost], dict[str, Range]],
    compared: Sequence[Compared],
    unit: str,
) -> Table:
    """The energy of each network by what takes it; the parts add up to the last column."""
    parts = [split(each.cost) for each in compared]
    names = part_names(parts)
    none = Range.exact(0.0)
    return Table(
        title,
        f"[{unit}] for one sample, nominal constants.",
        ("Network", *names, "all"),
        tuple(
            (c.name, *(in_unit(part.get(name, none).nominal, unit) for name in names),
             in_unit(c.cost.energy.nominal, unit))
            for c, part in zip(compared, parts, strict=True)
        ),
        align="l" + "r" * (len(names) + 1),
    )  # fmt: skip


def traffic_table(compared: Sequence[Compared], unit: str) -> Table:
    """Bits of each operand through each memory, reads and writes apart."""
    rows: list[Row] = []
    for each in compared:
        moved = [transfer for layer in each.cost.layers for transfer in layer.transfers]
        for memory, operand in dict.fromkeys((t.memory, t.operand) for t in moved):
            these = [t for t in moved if (t.memory, t.operand) == (memory, operand)]
            reads, writes = sum(t.reads for t in these), sum(t.writes for t in these)
            energy = Range.total(t.energy for t in these)
            rows.append(
                (each.name, memory, operand, f"{reads:,}", f"{writes:,}", *spread(energy, unit))
            )
    return Table(
        "Traffic",
        "Bits read from and written to each memory for one sample.",
        ("Network", "Memory", "Operand", "Read [bit]", "Written [bit]",
         f"Energy [{unit}]", "low", "high"),
        tuple(rows),
        align="lllrrrrr",
    )  # fmt: skip


def arithmetic_table(compared: Sequence[Compared], unit: str) -> Table:
    """Operations of each kind, done and skipped."""
    rows: list[Row] = []
    for each in compared:
        done = [operation for layer in each.cost.layers for operation in layer.arithmetic]
        for kind in dict.fromkeys(operation.kind for operation in done):
            these = [operation for operation in done if operation.kind == kind]
            count, skipped = sum(o.count for o in these), sum(o.skipped for o in these)
            energy = Range.total(o.energy for o in these)
            rows.append((each.name, kind, f"{count:,}", f"{skipped:,}", *spread(energy, unit)))
    return Table(
        "Arithmetic",
        "Operations for one sample; skipped ones were not done.",
        ("Network", "Kind", "Done", "Skipped", f"Energy [{unit}]", "low", "high"),
        tuple(rows),
        align="llrrrrr",
    )


def byte_table(compared: Sequence[Compared]) -> Table:
    """The file by what its bytes hold."""
    return Table(
        "Bytes",
        "The whole file of each network.",
        ("Network", *compared[0].parts, "file"),
        tuple(
            (c.name, *(f"{size:,}" for size in c.parts.values()), f"{c.cost.file_bytes:,}")
            for c in compared
        ),
        align="lrrrrr",
    )


def time_table(compared: Sequence[Compared]) -> Table:
    """Cycles of the model beside the simulator's time."""
    clock = f"{compared[0].cost.clock_mhz:g} MHz"
    return Table(
        "Time of one sample",
        f"Cycles are the model's, of the hardware at {clock}. The simulator executes the same "
        "integers on this machine's processor: its time says nothing about the hardware.",
        ("Network", f"Cycles ({MODEL})", f"ms ({MODEL})", f"Simulator ms ({MEASURED})"),
        tuple(
            (c.name, f"{c.cost.time:,}", shown(c.model_ms),
             "not measured" if c.simulator_ms is None else shown(c.simulator_ms))
            for c in compared
        ),
        align="lrrr",
    )  # fmt: skip


def assumption_table(compared: Sequence[Compared]) -> Table:
    """Every constant that any of the networks rests on."""
    return Table(
        "Assumptions",
        "Every constant with its range and where it is from.",
        ("Name", "Unit", "Low", "Nominal", "High", "Source"),
        tuple(
            (a.name, a.unit, *(shown(n) for n in (a.value.low, a.value.nominal, a.value.high)),
             a.source)
            for a in all_assumptions(compared)
        ),
        align="llrrrl",
    )  # fmt: skip


def layer_table(network: Compared, unit: str) -> Table:
    """One row a layer, and the sum."""
    cost = network.cost
    layers = cost.layers
    total = (
        "all", "", f"{sum(x.macs for x in layers):,}", f"{sum(x.macs_done for x in layers):,}",
        f"{sum(x.weight_bytes for x in layers):,}", *spread(cost.energy, unit), f"{cost.time:,}",
        "", "", "", "",
    )  # fmt: skip
    return Table(
        network.name,
        "Utilisation: share of multipliers at work while computing. Imbalance: the slowest unit's "
        "share of non-zero weights over the mean.",
        ("Layer", "Operator", "MACs", "MACs done", "Weight bytes", f"Energy [{unit}]", "low",
         "high", "Cycles", "Waits for", "Utilisation", "Imbalance", "Remark"),
        (*(_layer_row(layer, unit) for layer in cost.layers), total),
        align="llrrrrrrrlrrl",
    )  # fmt: skip


def _layer_row(layer: LayerCost, unit: str) -> Row:
    return (
        layer.name, layer.op, f"{layer.macs:,}", f"{layer.macs_done:,}", f"{layer.weight_bytes:,}",
        *spread(layer.energy, unit), f"{layer.time:,}", layer.bound, percent(layer.utilisation),
        shown(layer.imbalance), layer.remark,
    )  # fmt: skip
