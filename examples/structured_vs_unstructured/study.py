"""Is pruning without structure worth its indices? The committed networks, beside each other.

    python examples/structured_vs_unstructured/study.py [--out FOLDER]

For each hardware a page, tables and rows are written to FOLDER; the verdicts are printed. Blobs and
accuracies are those of ``examples/results``; nothing is trained.
"""

import argparse
import json
import lzma
from math import prod
from pathlib import Path

from rich.console import Console
from rich.table import Table

from intaglio.api import Network
from intaglio.backends.compared import compared
from intaglio.backends.cost import network_cost
from intaglio.backends.cost_page import render
from intaglio.backends.cost_tables import csv, markdown
from intaglio.commands.compare import curves, simulated_ms
from intaglio.cost_models.comparison import Compared, verdicts
from intaglio.cost_models.hardware import load_hardware

RESULTS = Path(__file__).resolve().parent.parent / "results"
HARDWARE = ("edge-npu", "edge-npu-gate", "edge-npu-skip", "mcu")
FAMILIES = {
    "LeNet-5": (
        "lenet-dense-s0",
        "lenet-structured-60x-s0",
        "lenet-structured-60x-w4-s0",
        "lenet-structured-232x-s0",
        "lenet-admm-71x-s0",
        "lenet-admm-240x-s0",
        "lenet-71x-w4-s0",
        "lenet-71x-w2-s0",
    ),
    "ResNet-20": ("resnet20-structured-2x-s0", "resnet20-4x-s0"),
}


def family(names: tuple[str, ...], hardware: str) -> list[Compared]:
    """The networks on one hardware, with the accuracy that their blobs had on all test images."""
    described = load_hardware(hardware)
    networks = {
        name: Network(lzma.decompress((RESULTS / f"{name}.intg.xz").read_bytes())) for name in names
    }
    logs = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in names}
    most = max(sum(prod(row[1:]) for row in log["kept"].values()) for log in logs.values())
    found = []
    for name, network in networks.items():
        cost = network_cost(
            network.program, network.blob, described.machine(), described.assumptions()
        )
        found.append(
            compared(
                name.removesuffix("-s0"),
                network.program,
                network.blob,
                cost,
                most,
                logs[name]["accuracy"] / 100,
                simulated_ms(network),
            )
        )
    return found


def study(out: Path) -> list[tuple[str, Compared, Compared, str]]:
    """Write every report; pairs of equal bits, what energy favours and whether that holds."""
    out.mkdir(parents=True, exist_ok=True)
    pairs = []
    for title, names in FAMILIES.items():
        for hardware in HARDWARE:
            found = family(names, hardware)
            stem = f"{title.lower()}-{hardware}"
            page = render(found, curves(found), f"{title} on {hardware}")
            (out / f"{stem}.html").write_text(page, encoding="utf-8")
            (out / f"{stem}.md").write_text(markdown(found), encoding="utf-8")
            (out / f"{stem}.csv").write_text(csv(found), encoding="utf-8")
            for each in verdicts(found):
                verdict = f"{each.energy} ({each.stability})"
                pairs.append((hardware, each.structured, each.non_structured, verdict))
    return pairs


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
    for hardware, a, b, verdict in study(out):
        table.add_row(
            hardware,
            f"{a.name} {a.rate:.0f}x",
            f"{b.name} {b.rate:.0f}x",
            f"{100 * ((a.accuracy or 0) - (b.accuracy or 0)):+.2f}",
            f"{a.cost.file_bytes / b.cost.file_bytes:.2f}",
            f"{a.cost.energy.nominal / b.cost.energy.nominal:.2f}",
            f"{a.cost.time / b.cost.time:.2f}",
            verdict,
        )
    Console(width=130).print(table)
    print("Points, bytes, uJ and cycles: the structured network's less or over the other's.")
    print(f"Reports: {out}")


if __name__ == "__main__":
    main()
