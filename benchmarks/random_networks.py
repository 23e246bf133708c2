"""Random networks in every dialect, compared exactly: a nightly run.

    python benchmarks/random_networks.py [--count 2000] [--first 0] [--minutes 60] [--json]

Hypothesis draws them in blocks of 25, numbered from ``--first``; a block repeats itself, so that a
run that ends early goes on with ``--first``. What differs is shrunk and printed with the call that
reproduces it; the run goes on and ends with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle, islice

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from report import Figure, show
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.networks.build import build
from tests.networks.check import Tally
from tests.networks.dialects import TRIALS, check
from tests.networks.spec import Wishes
from tests.networks.wishes import LEAST, wishes

BLOCK = 25
TURNS = (
    *("qdq", "qonnx", "tflite", "qoperator uint8", "float", "qdq", "qoperator int8"),
    *("tflite xnnpack", "qonnx", "qdq", "qoperator uint8", "qdq 16 bits", "float", "tflite"),
    *("qdq", "qoperator int8", "tflite", "qonnx", "tflite xnnpack", "brevitas", "qdq"),
)
"""Dialects in the order of their blocks: those that run slower less often."""


@dataclass
class Run:
    """What was found so far."""

    networks: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    layers: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    failures: list[str] = field(default_factory=list)
    seen: set[tuple[str, Wishes]] = field(default_factory=set)


def run_block(run: Run, name: str, number: int) -> None:
    """Check the networks of one block; a difference ends it, shrunk."""
    failing: list[tuple[Wishes, Exception]] = []

    @seed(number)
    @settings(
        max_examples=BLOCK,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(wishes(TRIALS[name].dialect))
    def every(drawn: Wishes) -> None:
        try:
            found = check(name, drawn)
        except Exception as error:
            failing.append((drawn, error))
            raise
        if not failing:
            note(run, name, drawn, found)

    try:
        every()
    except Exception:
        drawn, error = failing[-1]
        wanted = tuple(wish for wish in drawn if wish[0] != "none")
        call = f"from tests.networks.dialects import check\ncheck({name!r}, {wanted})"
        run.failures.append(f"{type(error).__name__}: {error}\n{call}")


def note(run: Run, name: str, drawn: Wishes, found: Tally | None) -> None:
    """Count a network without a difference, if it is large enough and not one seen before."""
    if (name, drawn) in run.seen or sum(kind != "none" for kind, _ in drawn) < LEAST:
        return
    run.seen.add((name, drawn))
    if found is None:
        run.refused[name] += 1
        return
    run.networks[name] += 1
    run.layers[name] += len(build(drawn, TRIALS[name].dialect).layers)
    run.tally += found


def blocks(first: int, only: str | None) -> Iterator[tuple[int, str]]:
    """Numbers and dialects of the blocks from ``first`` on."""
    turns = islice(cycle((only,) if only else TURNS), first % (1 if only else len(TURNS)), None)
    return zip(count(first), turns, strict=False)


def search(
    wanted: int, first: int = 0, only: str | None = None, minutes: float = np.inf
) -> tuple[Run, int]:
    """Blocks until ``wanted`` networks are done; what was found, and the next block."""
    run, start = Run(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("networks", total=wanted)
        for number, name in blocks(first, only):
            done = sum(run.networks.values())
            progress.update(task, completed=done, description=f"block {number}, {name}")
            if done >= wanted or time.monotonic() - start > 60 * minutes:
                return run, number
            before = len(run.failures)
            run_block(run, name, number)
            for failure in run.failures[before:]:
                print(f"block {number}: {failure}", file=sys.stderr)
    raise AssertionError("blocks never end")


def figures(run: Run, wanted: int) -> list[Figure]:
    """The counts, beside their aims."""
    total = sum(run.networks.values())
    return [
        Figure("random networks of 10 to 40 layers without a difference", total, "", ">=", wanted),
        Figure("networks with a difference", len(run.failures), "", "==", 0),
        *(Figure(f"  {name}", number) for name, number in sorted(run.networks.items())),
        Figure("networks refused with an error", sum(run.refused.values())),
        Figure("layers", sum(run.layers.values())),
        Figure("kinds of layers", len(run.tally.kinds)),
        Figure("operators of quantized graphs", len(run.tally.operators)),
        *(Figure(f"codes: {what}", number) for what, number in sorted(run.tally.codes.items())),
        *(Figure(f"proofs: {what}", number) for what, number in sorted(run.tally.verdicts.items())),
    ]


def line_6(wanted: int = 2000) -> list[Figure]:
    """Line 6 of imports: random networks of every dialect."""
    warnings.simplefilter("ignore")
    run, _ = search(wanted)
    return figures(run, wanted)


def main() -> int:
    """Search, print, and tell whether nothing differed."""
    parser = argparse.ArgumentParser(description="Random networks in every dialect")
    parser.add_argument("--count", type=int, default=2000, help="how many networks")
    parser.add_argument("--first", type=int, default=0, help="the block to begin with")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no block after these")
    parser.add_argument("--dialect", choices=list(TRIALS), help="only this dialect")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    run, following = search(chosen.count, chosen.first, chosen.dialect, chosen.minutes)
    if chosen.json:
        print(json.dumps({"next": following, "codes": run.tally.codes} | vars_of(run), indent=1))
    else:
        show("Random networks", {"6": figures(run, chosen.count)})
        kinds = ", ".join(f"{kind} {number}" for kind, number in run.tally.kinds.most_common())
        print(f"Layers by kind: {kinds}.\nThe next block is --first {following}.")
    return 1 if run.failures else 0


def vars_of(run: Run) -> dict[str, object]:
    """What a run found, for JSON."""
    return {
        "networks": run.networks,
        "refused": run.refused,
        "layers": run.layers,
        "kinds": run.tally.kinds,
        "operators": run.tally.operators,
        "verdicts": run.tally.verdicts,
        "failures": run.failures,
    }


if __name__ == "__main__":
    sys.exit(main())
