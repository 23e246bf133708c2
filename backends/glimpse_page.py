"""One self-contained HTML page about a network that looks several times: costs, and where."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ir.numeric import Array
from .cost_axes import linear
from .cost_figures import Figure, Trace, colour, layout
from .cost_page import from_template
from .cost_rows import Table
from .looks import Look
from .page import Card, png
from .stage_cost import Regime

TEMPLATE = "glimpses.html.j2"
MICRO, KIB = 1e6, 1024
HEIGHT = 340
"""[px] of a figure."""


@dataclass(frozen=True, slots=True)
class Rival:
    """The network that looks once, at every pixel: products, DRAM bytes, energy [pJ]."""

    name: str
    macs: int
    dram: float
    energy: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A window on a picture, in pixels, its colour and what is said behind it."""

    look: Look
    colour: str
    number: int
    source: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture as a data URI with its size, and the looks at it."""

    source: str
    width: int
    height: int
    frames: tuple[Frame, ...]


def render(
    name: str,
    hardware: str,
    regimes: Sequence[Regime],
    rival: Rival | None,
    images: Sequence[Array],
    every: Sequence[Sequence[Look]],
    tables: Sequence[Table],
) -> str:
    """The page as HTML; ``images`` are codes ``(c, h, w)`` of one or three channels."""
    return from_template(
        TEMPLATE,
        [_figure(regimes, rival, "energy"), _figure(regimes, rival, "dram")],
        title=f"Where {name} looks, and what that costs",
        hardware=hardware,
        lead=lead(regimes, rival),
        cards=cards(regimes, rival),
        scenes=[_scene(image, looks) for image, looks in zip(images, every, strict=True)],
        tables=tables,
    )


def lead(regimes: Sequence[Regime], rival: Rival | None) -> str:
    """What all looks take, in one sentence."""
    looks = regimes[0].stages
    macs = sum(each.macs for each in looks)
    if rival is None:
        return f"{len(looks)} looks take {macs:,} products."
    return (
        f"{len(looks)} looks take {macs:,} products, {macs / rival.macs:.1%} of those of "
        f"{rival.name}, which looks once at every pixel."
    )


def cards(regimes: Sequence[Regime], rival: Rival | None) -> list[Card]:
    """The first look, all looks, the widest activations."""
    stages = regimes[0].stages
    best = min(regimes, key=lambda each: each.up_to(len(stages))[1])
    _, energy = best.up_to(len(stages))
    peak = max(each.peak for each in stages)
    found = [
        Card("One look", f"{stages[0].macs:,} products", f"{len(stages)} looks in all"),
        Card("All looks", f"{energy / MICRO:.3g} uJ", best.name),
        Card("Largest activations", f"{peak / KIB:,.1f} KiB", "read and written by one layer"),
    ]
    if rival is not None:
        found.append(Card(rival.name, f"{rival.energy / MICRO:.3g} uJ", f"{rival.macs:,} products"))
    return found


def _figure(regimes: Sequence[Regime], rival: Rival | None, what: str) -> Figure:
    """Energy or DRAM bytes up to each look, one line a regime."""
    counts = list(range(1, len(regimes[0].stages) + 1))
    energy = what == "energy"
    unit, scale = ("uJ", MICRO) if energy else ("KiB", KIB)
    data = [
        _line(each.name, counts, [each.up_to(n)[energy] / scale for n in counts], colour(at), unit)
        for at, each in enumerate(regimes)
    ]
    if rival is not None:
        whole = (rival.energy if energy else rival.dram) / scale
        data.append(_line(rival.name, counts, [whole] * len(counts), "var(--ink)", unit))
    title = "Energy up to each look" if energy else "DRAM bytes up to each look"
    x = linear("looks") | {"tickvals": counts, "range": [0.8, counts[-1] + 0.2]}
    shape = layout(x, linear(f"a sample [{unit}]"))
    remark = "Of one sample, by how weights move."
    return Figure(what, title, remark, {"data": data, "layout": shape}, HEIGHT, half=True)


def _line(name: str, x: Sequence[int], y: Sequence[float], hue: str, unit: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": hue, "width": 2},
        "marker": {"color": hue, "size": 8, "symbol": "circle"},
        "hovertemplate": f"%{{x}} looks: %{{y:,.4~r}} {unit}<extra></extra>",
    }


def _scene(image: Array, looks: Sequence[Look]) -> Scene:
    height, width = image.shape[1:]
    low, high = int(image.min()), int(image.max())
    frames = tuple(
        Frame(look, colour(at), at + 1, _source(look.seen, low, high))
        for at, look in enumerate(looks)
    )
    return Scene(_source(image, low, high), width, height, frames)


def _source(codes: Array, low: int, high: int) -> str:
    """Codes ``(c, h, w)`` as a PNG in a data URI, from black to white between two codes."""
    scaled = (codes.astype(np.float64) - low) * (255 / max(high - low, 1))
    pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    shown = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]
    return "data:image/png;base64," + base64.b64encode(png(np.ascontiguousarray(shown))).decode()
