"""Sweeps: how much of a front Optuna finds, and what kills cost.

python benchmarks/sweep.py [--json] [--line N]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from report import ROOT, Figure, main

from intaglio.demo import MODEL, load_images
from intaglio.sweeping.folder import Folder
from intaglio.sweeping.objectives import on_front
from intaglio.sweeping.search import Wanted, batches, tpe
from intaglio.sweeping.space_file import read_space
from intaglio.sweeping.trial import Outcome

SPACE = """
[choices]
conv = [8, 4, 3, 2]
fc1 = [8, 4, 3, 2]
last = [8, 4, 3, 2]
activations = [8, 6, 4, 3]

[[pass]]
name = "canonicalize"

[[pass]]
name = "equalize"

[[pass]]
name = "quantize"
activation_bits = "$activations"
weight_bits = "$last"
layers = [{ match = "/conv*", weight_bits = "$conv" }, { match = "/fc1/*", weight_bits = "$fc1" }]

[[pass]]
name = "lower"

[[pass]]
name = "dead_channels"

[[pass]]
name = "columns"
"""
CALIBRATION, TEST = slice(0, 256), slice(2000, 2500)
TRIALS, BATCH, SEEDS = 48, 8, 10
KILLED_TRIALS = 14
"""Trials of the sweep that is killed."""


@contextmanager
def place() -> Iterator[Path]:
    """A folder with the space and the data."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, labels = load_images(10_000)
        x, y = images[:, None].astype(np.float32) / 255, labels.astype(np.int64)
        np.save(folder / "calib.npy", x[CALIBRATION])
        np.savez(folder / "test.npz", x=x[TEST], y=y[TEST])
        (folder / "space.toml").write_text(SPACE)
        yield folder


def command(*options: object) -> list[str]:
    """The sweep of the space in the current folder."""
    model = ROOT / "examples" / "assets" / MODEL
    data = ("--test", "test.npz", "--data", "calib.npy")
    return list(
        map(str, [sys.executable, "-m", "intaglio", "sweep", model, "space.toml", *data, *options])
    )


def run(folder: Path, *options: object) -> None:
    """Sweep to the end."""
    subprocess.run(command(*options), cwd=folder, check=True, capture_output=True)


@cache
def outcomes() -> dict[int, Outcome]:
    """Every combination of the space."""
    with place() as folder:
        run(folder, "-o", "all", "--trials", 256)
        return Folder(folder / "all").outcomes()


def found_part(sampler: Callable[[int], Any], seed: int) -> float:
    """Part of the front that so many trials hit upon."""
    with place() as folder:
        space = read_space(folder / "space.toml")
        every, found = outcomes(), {}
        wanted = Wanted(TRIALS, BATCH, seed)
        for numbers in batches(space, wanted, found, folder / "journal", sampler):
            found |= {number: every[number] for number in numbers}
        front = {each.number for each in on_front(every.values(), space.objectives)}
        return len(front & set(found)) / len(front)


def line_1() -> list[Figure]:
    """The front of 256 combinations, of which 48 are tried."""
    from optuna.samplers import RandomSampler

    def mean(sampler: Callable[[int], Any]) -> float:
        return round(100 * statistics.mean(found_part(sampler, seed) for seed in range(SEEDS)), 1)

    chosen, drawn = mean(tpe), mean(lambda seed: RandomSampler(seed=seed))
    return [
        Figure("part of the front that 48 trials of 256 find, 10 seeds", chosen, "%", ">=", drawn),
        Figure("the same, drawn at random", drawn, "%"),
    ]


def killed(folder: Path, *options: object) -> int:
    """Sweep to the end, killed as soon as another outcome is there; how often that was."""
    kills, trials = 0, folder / "killed" / "trials"
    while True:
        before = len(list(trials.glob("*.json")))
        silent = subprocess.DEVNULL
        line = command("-o", "killed", *options)
        with subprocess.Popen(line, cwd=folder, stdout=silent, stderr=silent) as process:
            while process.poll() is None and len(list(trials.glob("*.json"))) == before:
                time.sleep(0.02)
            if process.poll() is not None:
                return kills
            process.kill()
            kills += 1


def line_2() -> list[Figure]:
    """A sweep that is killed after every trial, beside an undisturbed one."""
    options = ("--trials", KILLED_TRIALS, "--batch", BATCH)
    with place() as folder:
        run(folder, "-o", "whole", *options)
        kills = killed(folder, *options)
        names = ("rows.csv", "rows.json", "front.md", "sweep.html")
        pairs = [
            [(folder / each / name).read_bytes() for each in ("whole", "killed")] for name in names
        ]
    return [
        Figure("kills of a sweep of 14 trials", kills, "", ">=", 1),
        Figure(
            "its files that differ from an undisturbed run's",
            sum(a != b for a, b in pairs),
            "",
            "==",
            0,
        ),
    ]


LINES = {"1": line_1, "2": line_2}

if __name__ == "__main__":
    main("Sweeps", LINES)
