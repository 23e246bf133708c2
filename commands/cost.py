"""``intaglio cost``: what a blob costs on a described machine, by layer, memory or operand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from .. import api
from ..backends.cost import network_cost
from ..cost_models.cost import LayerCost, NetworkCost, Transfer
from ..cost_models.hardware import load_hardware
from ..cost_models.range import Range
from ..errors import UsageError
from .terminal import Column, elided, facts, say_json, table

BY = ("layer", "memory", "operand")
MICRO = 1e6
"""pJ in a uJ."""


def show_cost(
    path: Path, hardware: str, by: str, limit: int | None, batch: int = 1, *, as_json: bool
) -> None:
    """Print the cost of a blob; raises UsageError for unknown hardware or another ``by``.

    ``batch`` samples run together: rows, DRAM and JSON count them all; energy and time of a sample.
    """
    if by not in BY:
        raise UsageError(f"There is no cost by '{by}'.", fix=f"Choose {', '.join(BY)}.")
    if batch < 1:
        raise UsageError(f"A batch of {batch} samples was asked for.", fix="Ask for at least 1.")
    network, found = api.load(path, limit), load_hardware(hardware)
    machine, assumptions = found.machine(), found.assumptions()
    cost = network_cost(network.program, network.blob, machine, assumptions, batch)
    if as_json:
        say_json(cost.to_json())
        return
    if by == "layer":
        _by_layer(cost)
    elif by == "memory":
        _by_part(cost, "memory", lambda transfer: transfer.memory)
    else:
        _by_part(cost, "operand", lambda transfer: transfer.operand)
    _totals(cost)


def _by_layer(cost: NetworkCost) -> None:
    columns: tuple[Column, ...] = (
        ("layer", "text"),
        ("op", "left"),
        ("products", "right"),
        ("DRAM bytes", "right"),
        ("uJ", "right"),
        ("cycles", "right"),
        ("waits for", "left"),
        ("used", "right"),
    )
    table(columns, [_layer_row(layer) for layer in cost.layers])


def _layer_row(layer: LayerCost) -> tuple[str, ...]:
    return (
        elided(layer.name),
        layer.op,
        f"{layer.macs_done:,}" if layer.macs else "",
        f"{layer.bits('DRAM') / 8:,.0f}",
        _micro(layer.energy.nominal),
        f"{layer.time:,}",
        layer.bound,
        f"{layer.utilisation:.0%}" if layer.macs else "",
    )


def _by_part(cost: NetworkCost, name: str, part: Callable[[Transfer], str]) -> None:
    """Transfers by what ``part`` says of them, then arithmetic by its kind."""
    reads: dict[str, int] = defaultdict(int)
    writes: dict[str, int] = defaultdict(int)
    energy: dict[str, Range] = defaultdict(lambda: Range.exact(0))
    for layer in cost.layers:
        for transfer in layer.transfers:
            key = part(transfer)
            reads[key] += transfer.reads
            writes[key] += transfer.writes
            energy[key] += transfer.energy
        for each in layer.arithmetic:
            energy[each.kind] += each.energy
    columns: tuple[Column, ...] = (
        (name, "text"),
        ("bytes read", "right"),
        ("bytes written", "right"),
        ("uJ", "right"),
        ("low", "right"),
        ("high", "right"),
    )
    rows = [
        (
            key,
            *(f"{bits[key] / 8:,.0f}" if bits[key] else "" for bits in (reads, writes)),
            *map(_micro, (found.nominal, found.low, found.high)),
        )
        for key, found in energy.items()
    ]
    table(columns, rows)


def _totals(cost: NetworkCost) -> None:
    energy, cycles = cost.energy * (1 / cost.samples), cost.time / cost.samples
    batch = [("batch", f"{cost.samples:,} samples: rows above and DRAM have all")]
    facts(
        [
            ("network", cost.network),
            ("hardware", f"{cost.hardware}, {cost.clock_mhz:g} MHz"),
            ("file", f"{cost.file_bytes:,} bytes"),
            *(batch if cost.samples > 1 else []),
            ("DRAM", f"{sum(layer.bits('DRAM') for layer in cost.layers) / 8:,.0f} bytes"),
            ("energy", _energy(energy)),
            ("time", f"{cycles:,.0f} cycles, {cycles / (1e3 * cost.clock_mhz):.3f} ms a sample"),
        ]
    )


def _energy(energy: Range) -> str:
    if not energy.high:
        return "not modelled for this hardware"
    low, high = _micro(energy.low), _micro(energy.high)
    return f"{_micro(energy.nominal)} uJ a sample, {low} to {high} with all constants low or high"


def _micro(picojoules: float) -> str:
    """As uJ with three digits."""
    micro = picojoules / MICRO
    return f"{micro:,.0f}" if micro >= 100 else f"{micro:.3g}"
