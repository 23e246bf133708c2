"""Is pruning without structure worth its indices? The committed networks, beside each other.

    python examples/structured_vs_unstructured/study.py [--out FOLDER]

For each hardware a page, tables and rows are written to FOLDER; the verdicts are printed. Blobs and
accuracies are those of ``examples/results``; nothing is trained.
"""

import argparse
import json
import lzma
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from intaglio.api import Network
from intaglio.backends.break_even import Candidate, break_even
from intaglio.backends.compared import compared
from intaglio.backends.cost import network_cost, packed_constants
from intaglio.backends.cost_page import render
from intaglio.backends.cost_tables import csv, markdown
from intaglio.commands.compare import simulated_ms
from intaglio.cost_models.comparison import DENSE, N_OF_M, Compared, verdicts
from intaglio.cost_models.hardware import load_hardware

PROGRESS = Console(stderr=True)
RESULTS = Path(__file__).resolve().parent.parent / "results"
HARDWARE = ("edge-npu", "edge-npu-gate", "edge-npu-skip", "mcu")
WIDTHS = (1, 2, 4, 8)
"""Bits at which rates of break-even are looked for."""
FAMILIES = {
    "LeNet-5": (
        "lenet-dense-s0",
        "lenet-dense-w2-s0",
        "lenet-binary-s0",
        "lenet-structured-25x-s0",
        "lenet-structured-25x-w2-s0",
        "lenet-structured-60x-s0",
        "lenet-structured-60x-w4-s0",
        "lenet-structured-232x-s0",
        "lenet-n-of-m-16x-s0",
        "lenet-n-of-m-16x-w2-s0",
        "lenet-admm-71x-s0",
        "lenet-71x-w4-s0",
        "lenet-71x-w2-s0",
        "lenet-71x-w1-s0",
        "lenet-admm-120x-w2-s0",
        "lenet-admm-240x-s0",
    ),
    "ResNet-20": (
        "resnet20-dense-s0",
        "resnet20-structured-2x-w8-s0",
        "resnet20-structured-2x-s0",
        "resnet20-4x-w8-s0",
        "resnet20-4x-s0",
    ),
}


STATED: dict[str, dict[str, Any]] = {
    "lenet-n-of-m-16x": {"kind": N_OF_M},
    "lenet-n-of-m-16x-w2": {"kind": N_OF_M},
    "lenet-dense-w2": {"kind": DENSE, "bits": 2},
}
"""What blobs do not show: columns that went broke up groups, and 0 is one of three codes."""


@dataclass(frozen=True)
class Pair:
    """Two networks of equal bits on one hardware, and what energy favours."""

    hardware: str
    structured: Compared
    without: Compared
    verdict: str


def blob(name: str) -> bytes:
    """The blob of a committed network."""
    return lzma.decompress((RESULTS / f"{name}.intg.xz").read_bytes())


def family(
    names: Sequence[str], hardware: str, milliseconds: Mapping[str, float]
) -> list[Candidate]:
    """The networks on one hardware, with the accuracy that their blobs had on all test images."""
    described = load_hardware(hardware)
    logs = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in names}
    most = max(sum(prod(row[1:]) for row in log["kept"].values()) for log in logs.values())
    machine, found = described.machine(), []
    for name in names:
        network = Network(blob(name))
        cost = network_cost(network.program, network.blob, machine, described.assumptions())
        each = compared(
            name.removesuffix("-s0"),
            network.program,
            network.blob,
            cost,
            most,
            logs[name]["accuracy"] / 100,
            milliseconds[name],
        )
        each = replace(each, **STATED.get(each.name, {}))
        constants = packed_constants(network.program, network.blob)
        found.append(Candidate(each, network.program, constants, machine))
    return found


def report(title: str, hardware: str, milliseconds: Mapping[str, float], out: Path) -> list[Pair]:
    """Write the reports of a family on one hardware; its pairs of equal bits."""
    candidates = family(FAMILIES[title], hardware, milliseconds)
    found, even = [each.compared for each in candidates], break_even(candidates, WIDTHS)
    stem = f"{title.lower()}-{hardware}"
    page = render(found, f"{title} on {hardware}", even)
    (out / f"{stem}.html").write_text(page, encoding="utf-8")
    (out / f"{stem}.md").write_text(markdown(found, even), encoding="utf-8")
    (out / f"{stem}.csv").write_text(csv(found, even), encoding="utf-8")
    return [
        Pair(hardware, each.structured, each.non_structured, f"{each.energy} ({each.stability})")
        for each in verdicts(found)
    ]


def study(out: Path) -> list[Pair]:
    """Write every report, in processes beside each other; all pairs of equal bits."""
    out.mkdir(parents=True, exist_ok=True)
    names = [name for each in FAMILIES.values() for name in each]
    milliseconds = {
        name: simulated_ms(Network(blob(name)))
        for name in track(names, "Simulator", console=PROGRESS)
    }
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(report, title, hardware, milliseconds, out)
            for title, hardware in product(FAMILIES, HARDWARE)
        ]
        return [
            pair for each in track(running, "Reports", console=PROGRESS) for pair in each.result()
        ]


def main() -> None:
    """Write the reports and print the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/structured_vs_unstructured"))
    out = parser.parse_args().out
    heads = (
        "hardware",
        "structured",
        "without",
        "points",
        "bytes",
        "uJ",
        "cycles",
        "energy favours",
    )
    table = Table(*heads)
    for pair in study(out):
        a, b = pair.structured, pair.without
        table.add_row(
            pair.hardware,
            f"{a.name} {a.rate:.0f}x",
            f"{b.name} {b.rate:.0f}x",
            f"{100 * ((a.accuracy or 0) - (b.accuracy or 0)):+.2f}",
            f"{a.cost.file_bytes / b.cost.file_bytes:.2f}",
            f"{a.cost.energy.nominal / b.cost.energy.nominal:.2f}",
            f"{a.cost.time / b.cost.time:.2f}",
            pair.verdict,
        )
    Console(width=130).print(table)
    print("Points, bytes, uJ and cycles: the structured network's less or over the other's.")
    print(f"Reports: {out}")


if __name__ == "__main__":
    main()
