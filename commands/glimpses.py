"""``intaglio glimpses``: what each look of a network costs, and where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import api, files
from ..backends.cost import network_cost
from ..backends.cost_rows import Table
from ..backends.glimpse_page import Rival, render
from ..backends.looks import Look, crops, looks, mean_pixels
from ..backends.stage_cost import Regime, regimes
from ..cost_models.hardware import load_hardware
from ..errors import DataError
from ..ir.numeric import Array
from .terminal import Bars, Column, note, say, say_json, table

MICRO = 1e6
"""pJ in a uJ."""
SHOWN = 24
"""Images on a page."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked for; None is not said."""

    blob: Path
    images: Path | None
    hardware: str
    full: Path | None
    batch: int
    html: Path | None


@dataclass(frozen=True)
class Found:
    """What each look costs in every regime, the network it is compared with, and where it looks."""

    order: Order
    regimes: tuple[Regime, ...]
    rival: Rival | None
    images: Array | None
    every: tuple[tuple[Look, ...], ...]


def show_glimpses(order: Order, *, as_json: bool) -> None:
    """Print costs, write the page; raises an IntaglioError."""
    found = find(order)
    if order.html is not None:
        shown = tables(found)
        name = order.blob.name.split(".")[0]
        pictures = [] if found.images is None else list(found.images[:SHOWN])
        arguments = (name, order.hardware, found.regimes, found.rival, pictures)
        page = render(*arguments, found.every[:SHOWN], shown)
        files.write_whole(order.html, page.encode())
        note(f"Wrote {order.html}.")
    if as_json:
        say_json(to_json(found))
        return
    for each in tables(found):
        columns: list[Column] = [
            (name, "right" if side == "r" else "text")
            for name, side in zip(each.columns, each.align, strict=True)
        ]
        say(f"{each.title}. {each.remark}")
        table(columns, each.rows)
    if found.rival is not None:
        say(eaten(found, found.rival))


def find(order: Order) -> Found:
    """Costs and, with images, every look at them."""
    network = api.load(order.blob)
    crops(network.program)
    machine = load_hardware(order.hardware).machine()
    with Bars() as bars:
        bars("Cost of looks", 0, 1)
        costs = regimes(network.program, network.blob, machine, order.batch)
        bars("Cost of looks", 1, 1)
    rival = None
    if order.full is not None:
        full = api.load(order.full)
        cost = network_cost(full.program, full.blob, machine)
        rival = Rival(
            order.full.name.split(".")[0],
            sum(layer.macs for layer in cost.layers),
            sum(layer.bits("DRAM") for layer in cost.layers) / 8,
            cost.energy.nominal,
        )
    if order.images is None:
        return Found(order, costs, rival, None, ())
    codes = network.encode(files.read_arrays(order.images))
    every = looks(network.program, {k: v.codes for k, v in network.trace(codes).items()})
    if not every:
        raise DataError("There are no images.", where=f"'{order.images}'", fix="Give at least one.")
    return Found(order, costs, rival, next(iter(codes.values())), every)


def tables(found: Found) -> list[Table]:
    """What each look takes; energy and DRAM bytes up to each, by how weights move."""
    return [_looks(found), *(_up_to(found, what) for what in ("energy", "dram"))]


def _looks(found: Found) -> Table:
    pixels: Sequence[float | None] = [None] * len(found.regimes[0].stages)
    if found.every:
        pixels = mean_pixels(found.every)
    rows = [
        (each.name, f"{each.macs:,}", f"{each.peak:,}", "" if read is None else f"{read:,.0f}")
        for each, read in zip(found.regimes[0].stages, pixels, strict=True)
    ]
    remark = "Products, bytes of the largest activations, pixels read of the image (the mean)."
    return Table(
        "Looks", remark, ("up to exit", "products", "activations", "pixels"), tuple(rows), "lrrr"
    )


def _up_to(found: Found, what: str) -> Table:
    energy = what == "energy"
    count = len(found.regimes[0].stages)
    rows = [
        (each.name, *(_number(each.up_to(n)[energy], energy) for n in range(1, count + 1)))
        for each in found.regimes
    ]
    if found.rival is not None:
        whole = _number(found.rival.energy if energy else found.rival.dram, energy)
        rows.append((f"{found.rival.name}, one look", *([whole] * count)))
    title = "Energy [uJ]" if energy else "DRAM bytes"
    columns = ("weights", *(f"{n} looks" if n > 1 else "1 look" for n in range(1, count + 1)))
    remark = f"Of a sample, up to each look, on {found.order.hardware}."
    return Table(title, remark, columns, tuple(rows), "l" + "r" * count)


def _number(value: float, energy: bool) -> str:
    return f"{value / MICRO:.3g}" if energy else f"{value:,.0f}"


def eaten(found: Found, rival: Rival) -> str:
    """How many looks take less energy than one look at every pixel, by how weights move."""
    count = len(found.regimes[0].stages)
    parts = []
    for each in found.regimes:
        fewer = [n for n in range(1, count + 1) if each.up_to(n)[1] < rival.energy]
        most = max(fewer, default=0)
        parts.append(f"{each.name}: {most if most < count else f'all {count}'}")
    return f"Looks that take less energy than {rival.name}: {'; '.join(parts)}."


def to_json(found: Found) -> dict[str, Any]:
    """Everything that is printed, and every window."""
    return {
        "hardware": found.order.hardware,
        "regimes": [asdict(each) for each in found.regimes],
        "full": found.rival and asdict(found.rival),
        "windows": [
            [[look.left, look.top, look.right, look.bottom] for look in each]
            for each in found.every
        ],
        "answers": [[look.answer for look in each] for each in found.every],
    }
