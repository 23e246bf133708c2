"""The frame of every benchmark: numbered lines of figures beside their aims, as a table or JSON."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # some figures are those of cases that tests draw, too
Sense = Literal[">=", "<=", "=="]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; ``aim`` is None when it is only recorded.

    ``value`` is None where it cannot be measured here: ``unit`` then says why.
    """

    name: str
    value: float | None
    unit: str = ""
    sense: Sense = ">="
    aim: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without an aim, or where nothing could be measured."""
        if self.aim is None or self.value is None:
            return None
        if self.sense == "==":
            return self.value == self.aim
        return self.value >= self.aim if self.sense == ">=" else self.value <= self.aim


Lines = Mapping[str, Callable[[], list[Figure]]]


def commit() -> str:
    """The commit of the checkout, with ``+`` when files differ from it."""
    head = _git("rev-parse", "HEAD")
    return head + ("+" if _git("status", "--porcelain") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def machine() -> str:
    """Processor, number of processors, Python."""
    names = (
        [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        if Path("/proc/cpuinfo").exists()
        else []
    )
    name = names[0] if names else platform.processor()
    return f"{name}, {len(names) or '?'} processors, Python {platform.python_version()}"


def main(title: str, lines: Lines) -> None:
    """Measure every line, or ``--line N``, and print the table or, with ``--json``, JSON."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--line", choices=list(lines), help="measure only this line")
    chosen = parser.parse_args()
    measured = {}
    for number in [chosen.line] if chosen.line else list(lines):
        print(f"line {number} ...", file=sys.stderr, flush=True)
        measured[number] = lines[number]()
    if chosen.json:
        found = {number: [asdict(f) for f in figures] for number, figures in measured.items()}
        print(json.dumps({"commit": commit(), "machine": machine(), "lines": found}, indent=1))
    else:
        show(title, measured)


def show(title: str, measured: Mapping[str, list[Figure]]) -> None:
    """Print figures beside their aims."""
    table = Table("line", "figure", "value", "aim", "met", title=title, caption=machine())
    for number, figures in measured.items():
        for index, figure in enumerate(figures):
            aim = "" if figure.aim is None else f"{figure.sense} {figure.aim:g} {figure.unit}"
            met = {None: "", True: "yes", False: "NO"}[figure.met]
            known = figure.value is not None
            value = f"{figure.value:.6g} {figure.unit}" if known else figure.unit
            table.add_row(number if index == 0 else "", figure.name, value, aim, met)
    Console().print(table)
