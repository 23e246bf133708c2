"""The figures of a comparison that have a point a layer or a network: roofline, front, curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..cost_models.comparison import NON_STRUCTURED, Compared, on_front
from ..cost_models.cost import LayerCost
from ..cost_models.turning import Even
from .cost_axes import around, bits_axis, escaped, logarithmic
from .cost_figures import (
    Figure,
    Trace,
    byte_figure,
    colour,
    layout,
    memory_figure,
    operand_figure,
)
from .cost_text import UNITS, byte_unit, energy_unit, percent, shown

DRAM, COMPUTE = "DRAM", "compute"
"""What the roofline is about, by the names that a cost has for them."""
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "x",
    "star",
    "hexagon",
)
AXES = {"energy": "energy of one sample", "bytes": "file"}
HEIGHT = 380
"""[px] of a figure of points."""

STROKES = {"storage": "solid", "energy": "dash", "time": "dot"}
Point = tuple[float, float]


def figures(compared: Sequence[Compared], even: Even) -> list[Figure]:
    """All figures for which there are data."""
    found = [
        memory_figure(compared),
        operand_figure(compared),
        byte_figure(compared),
        roofline(compared),
        front_figure(compared, "energy"),
        front_figure(compared, "bytes"),
        break_even_figure(compared, even),
    ]
    return [each for each in found if each is not None]


def intensity(layer: LayerCost) -> Point | None:
    """Operations per DRAM byte and per cycle; None where one of them is zero."""
    if not layer.macs_done or not layer.bits(DRAM) or not layer.time:
        return None
    return 8 * layer.macs_done / layer.bits(DRAM), layer.macs_done / layer.time


def roof(compared: Sequence[Compared]) -> Point | None:
    """The most bytes per cycle from DRAM, and operations per cycle, that any layer stands for."""
    layers = [layer for each in compared for layer in each.cost.layers]
    slopes = [x.bits(DRAM) / 8 / x.cycles[DRAM] for x in layers if x.cycles.get(DRAM)]
    peaks = [
        x.macs_done / (x.cycles[COMPUTE] * x.utilisation)
        for x in layers
        if x.cycles.get(COMPUTE) and x.utilisation
    ]
    slope, peak = max(slopes, default=0.0), max(peaks, default=0.0)
    return (slope, peak) if slope and peak else None


def roofline(compared: Sequence[Compared]) -> Figure | None:
    """A point a layer, below what DRAM and multipliers allow; None if no layer has both."""
    named = [
        [(layer.name, found) for layer in each.cost.layers if (found := intensity(layer))]
        for each in compared
    ]
    points = [point for each in named for _, point in each]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    data = [_layers(at, compared[at], each) for at, each in enumerate(named)]
    limits = roof(compared)
    if limits is not None:
        data.append(_roof(limits, min(xs), max(xs)))
        ys.append(limits[1])
    spec = {
        "data": data,
        "layout": layout(
            logarithmic("operations per DRAM byte", xs),
            logarithmic("operations per cycle", ys),
        ),
    }
    return Figure(
        "roofline",
        "Roofline",
        "A point a layer. An operation is a product that is added up; skipped ones do not count, "
        "nor do layers without any or without DRAM traffic. The roof is the greatest bandwidth "
        "and the most multipliers that a layer here stands for.",
        spec,
        HEIGHT,
    )


def front_figure(compared: Sequence[Compared], against: str) -> Figure | None:
    """Accuracy against energy or bytes, of the networks whose accuracy is known."""
    unit, amounts = _amounts(compared, against)
    if not amounts:
        return None
    best = on_front(compared)
    spec = {
        "data": [
            _network(at, compared[at], amount, compared[at].name in best, unit)
            for at, amount in amounts.items()
        ],
        "layout": layout(
            logarithmic(f"{AXES[against]} [{unit}]", amounts.values()), around("accuracy [%]")
        ),
    }
    return Figure(
        f"front-{against}",
        f"Accuracy and {against}",
        "Filled: no other network is as good in accuracy, energy and bytes and better in one.",
        spec,
        HEIGHT,
        half=True,
    )


def break_even_figure(compared: Sequence[Compared], even: Even) -> Figure | None:
    """The rate that non-structured pruning needs, by bits; None without a finite rate."""
    lines = [
        (name, [(bits, rate) for bits, rate in points if math.isfinite(rate) and rate > 0])
        for name, points in even.curves.items()
    ]
    rates = [rate for _, points in lines for _, rate in points]
    if not rates:
        return None
    order = list(dict.fromkeys(name for (name, _), _ in lines))
    data = [_curve(order.index(name), name, x, points) for (name, x), points in lines if points]
    marks = [each for each in compared if each.kind == NON_STRUCTURED]
    if marks:
        data.append(_marks(marks))
    spec = {
        "data": data,
        "layout": layout(
            bits_axis(),
            logarithmic("non-structured rate", [*rates, *(each.rate for each in marks)]),
        ),
    }
    return Figure(
        "break-even",
        "Break-even",
        "The rate at which a non-structured network takes as much as the structured one of the "
        "line; above it takes less. Solid: storage, dashed: energy, dotted: time; without a line, "
        "no rate is enough.",
        spec,
        HEIGHT,
    )


def _amounts(compared: Sequence[Compared], against: str) -> tuple[str, dict[int, float]]:
    if against == "bytes":
        unit, factor = byte_unit(compared)
        found = {at: each.cost.file_bytes / factor for at, each in enumerate(compared)}
    else:
        unit = energy_unit(compared)
        found = {at: each.cost.energy.nominal / UNITS[unit] for at, each in enumerate(compared)}
    known = {at for at, each in enumerate(compared) if each.accuracy is not None}
    return unit, {at: amount for at, amount in found.items() if at in known and amount > 0}


def _layers(at: int, network: Compared, points: Sequence[tuple[str, Point]]) -> Trace:
    return _scatter(at, network.name) | {
        "x": [x for _, (x, _) in points],
        "y": [y for _, (_, y) in points],
        "text": [escaped(name) for name, _ in points],
        "hovertemplate": "%{text}: %{x:,.4~r} per byte, %{y:,.4~r} per cycle<extra></extra>",
    }


def _roof(limits: Point, low: float, high: float) -> Trace:
    slope, peak = limits
    # Beyond both ends of the axis, which cut the line.
    xs = sorted((low / 10, peak / slope, high * 10))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"roof: {shown(slope)} bytes and {shown(peak)} operations per cycle",
        "x": xs,
        "y": [min(peak, slope * x) for x in xs],
        "line": {"color": "var(--soft)", "width": 1.5, "dash": "dash"},
        "hoverinfo": "skip",
    }


def _network(at: int, network: Compared, amount: float, best: bool, unit: str) -> Trace:
    trace = _scatter(at, network.name)
    accuracy = network.accuracy or 0.0
    opened = {} if best else {"symbol": f"{trace['marker']['symbol']}-open"}
    return trace | {
        "x": [amount],
        "y": [100 * accuracy],
        "marker": trace["marker"] | {"size": 13} | opened,
        "hovertemplate": f"{escaped(network.name)}: {percent(accuracy)}, {shown(amount)} {unit}"
        "<extra></extra>",
    }


def _curve(at: int, name: str, amount: str, points: Sequence[Point]) -> Trace:
    return _scatter(at, f"{name}, {amount}") | {
        "mode": "lines+markers",
        "x": [bits for bits, _ in points],
        "y": [rate for _, rate in points],
        "line": {"color": colour(at), "width": 2, "dash": STROKES[amount]},
        "hovertemplate": f"{escaped(name)}, {amount}, %{{x}} bits: %{{y:,.4~r}}x<extra></extra>",
    }


def _marks(networks: Sequence[Compared]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "non-structured networks here",
        "x": [each.bits for each in networks],
        "y": [each.rate for each in networks],
        "text": [escaped(each.name) for each in networks],
        "marker": {
            "color": "var(--ink)",
            "symbol": "x-thin-open",
            "size": 12,
            "line": {"width": 3},
        },
        "hovertemplate": "%{text}: %{x} bits, %{y:,.4~r}x<extra></extra>",
    }


def _scatter(at: int, name: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "marker": {
            "color": colour(at),
            "symbol": SYMBOLS[at % len(SYMBOLS)],
            "size": 10,
            "opacity": 0.9,
        },
    }
