"""ADMM pruning, quantisation and binarisation: every figure of its lines, beside its aim.

python benchmarks/admm.py [--json] [--line N]    measure the blobs in examples/results
python benchmarks/admm.py --train                train all of them anew first: many hours
"""

from __future__ import annotations

import json
import lzma
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from admm_runs import imported, killed_and_resumed, two_processes
from foundation import run_tests
from networks import accuracy
from report import ROOT, Figure, main

sys.path.insert(0, str(ROOT / "examples"))
from compress import TASKS
from recipes import RECIPES, SEEDS

import intaglio

RESULTS = ROOT / "examples" / "results"
LENET_WEIGHTS = 430_500
LEAST = {
    "lenet-71x": 99.3,
    "lenet-246x": 99.1,
    "lenet-348x": 99.0,
    "lenet-structured-60x": 99.1,
    "lenet-structured-232x": 99.0,
}
RATES = (17, 71, 246)
RIVALS = ("admm", "one-shot", "gradual")


@cache
def test_set(task: str) -> Any:
    """Images and labels that nothing was trained or chosen on."""
    return TASKS[task].load("test")


@cache
def measured(name: str) -> list[dict[str, Any]]:
    """The report of each seed that was trained, its accuracy measured anew from the blob."""
    return [{**report, "accuracy": _run(path)} for path, report in _reports(name)]


def _reports(name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for seed in SEEDS:
        path = RESULTS / f"{name}-s{seed}.json"
        if path.exists():
            yield path.with_suffix(".intg.xz"), json.loads(path.read_text())


def _run(path: Path) -> float:
    print(f"  {path.name} ...", file=sys.stderr, flush=True)
    network = intaglio.Network(lzma.decompress(path.read_bytes()))
    images, labels = test_set(path.name.split("-")[0])
    return accuracy(np.asarray(network.run(images)), labels)


def mean(name: str, key: str = "accuracy") -> float:
    """The mean over seeds."""
    return statistics.fmean(report[key] for report in measured(name))


def figures(name: str, label: str, aim: float | None = None) -> list[Figure]:
    """Mean, spread and number of seeds of an experiment's accuracy as integers."""
    found = [report["accuracy"] for report in measured(name)]
    if not found:
        return [Figure(f"{label}: not trained", float("nan"), "%", ">=", aim)]
    spread = max(found) - min(found)
    seeds = f"{len(found)} seed{'s' * (len(found) > 1)}, spread {spread:.2f}"
    return [Figure(f"{label} ({seeds})", statistics.fmean(found), "%", ">=", aim)]


def line_1() -> list[Figure]:
    """LeNet-5 on MNIST, accuracy as the integer blob gives it."""
    made = []
    for name, least in LEAST.items():
        made += figures(name, f"{name} {bits(name)}", least)
        made += [Figure(f"{name}: weights left, one in", rate(name), "x")]
    return made + largest()


def bits(name: str) -> str:
    """W8A8 and the like, from the recipe."""
    options = RECIPES[name]
    return f"W{option(options, 'weight_bits')}A{option(options, 'activation_bits')}"


def option(recipe: str, key: str) -> int:
    """The last value of an option in a recipe, 8 where it is not stated."""
    return int(recipe.rsplit(f'"{key}": ', 1)[1].split(",")[0].rstrip("}")) if key in recipe else 8


def rate(name: str) -> float:
    """Weights of LeNet-5 for each one that is left, the worst seed."""
    left = [sum(kept[0] for kept in report["kept"].values()) for report in measured(name)]
    return LENET_WEIGHTS / max(left, default=LENET_WEIGHTS)


def largest() -> list[Figure]:
    """The largest non-structured rate whose mean is 99 % or more."""
    names = [name for name in RECIPES if name.removeprefix("lenet-")[:-1].isdigit()]
    good = [rate(name) for name in names if measured(name) and mean(name) >= 99.0]
    return [Figure("largest rate at >= 99.0 %", max(good, default=0), "x")]


def line_2() -> list[Figure]:
    """Few bits: what they lose against the float network they came from, in points."""
    made = []
    for name, label in (
        ("lenet-binary", "every layer binary, below dense float"),
        *((f"lenet-71x-w{bits}", f"71x and {bits} bits, below the pruned") for bits in (4, 3, 2)),
    ):
        lost = [float_of(report) - report["accuracy"] for report in measured(name)]
        value = statistics.fmean(lost) if lost else float("nan")
        made.append(Figure(f"{label} ({len(lost)} seeds)", value, "points", "<=", 0.2))
        made += figures(name, f"{name}: accuracy")
    return made


def float_of(report: dict[str, Any]) -> float:
    """The accuracy of the float network before its weights took levels."""
    before = [row for row in report["epochs"] if row["phase"].startswith(("train", "retrain"))]
    return before[-1]["accuracy"]


def line_3() -> list[Figure]:
    """ResNet-20 on CIFAR-10, trained from nothing, W4A8."""
    dense = [float_of(report) for report in measured("resnet20-dense")]
    if not dense:
        return [Figure("ResNet-20 float: not trained", float("nan"), "%", ">=", 91)]
    whole = statistics.fmean(dense)
    made = [Figure(f"ResNet-20 float ({len(dense)} seeds)", whole, "%", ">=", 91)]
    for name in ("resnet20-4x", "resnet20-structured-2x"):
        made += figures(name, f"{name} W4A8")
        made.append(Figure(f"{name}: points below float", whole - mean(name), "", "<=", 1.0))
    return made


def line_4() -> list[Figure]:
    """ADMM beside the two baselines at equal epochs."""
    made = []
    for factor in RATES:
        for rival in RIVALS:
            made += figures(f"lenet-{rival}-{factor}x", f"{factor}x by {rival}")
        rest = max(mean(f"lenet-{rival}-{factor}x") for rival in RIVALS[1:])
        lead = mean(f"lenet-admm-{factor}x") - rest
        made.append(Figure(f"{factor}x: ADMM ahead of the better baseline", lead, "points"))
    return made


def line_5() -> list[Figure]:
    """A network imported from ONNX; killed and resumed; two processes."""
    return [*imported(), *killed_and_resumed(), *two_processes()]


def line_6() -> list[Figure]:
    """Bad input: every case is a test of the full text of its error."""
    passed, failed = run_tests("tests/test_bad_training.py")
    return [
        Figure("bad inputs refused with the text the tests state", passed, "", ">=", 6),
        Figure("bad inputs that are not", failed, "", "==", 0),
    ]


def train() -> None:
    """Train every experiment for every seed, those that share passes by their checkpoints."""
    script = str(ROOT / "examples" / "compress.py")
    for seed in SEEDS:
        for name in RECIPES:
            where = ["--out", str(RESULTS), "--checkpoints", str(ROOT / "out" / "checkpoints")]
            command = [sys.executable, script, name, "--seed", str(seed), *where]
            subprocess.run(command, check=True)


LINES = {"1": line_1, "2": line_2, "3": line_3, "4": line_4, "5": line_5, "6": line_6}

if __name__ == "__main__":
    if "--train" in sys.argv:
        sys.argv.remove("--train")
        train()
    main("ADMM", LINES)
