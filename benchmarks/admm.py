"""ADMM pruning, quantisation and binarisation: every figure of its lines, beside its aim.

python benchmarks/admm.py [--json] [--line N]    measure the blobs in examples/results
python benchmarks/admm.py --train                train all of them anew first: many hours
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from admm_runs import imported, killed_and_resumed, two_processes
from foundation import run_tests
from networks import accuracy
from report import ROOT, Figure, main

sys.path.insert(0, str(ROOT / "examples"))
from compress import TASKS, left, load
from recipes import RECIPES, SEEDS

RESULTS = ROOT / "examples" / "results"
LENET_WEIGHTS = 430_500
RESNET_WEIGHTS = 268_336
CLAIMS = {
    "lenet-admm-71x": ("non-structured 71x", 71, 99.3),
    "lenet-goal-246x": ("non-structured 246x", 246, 99.1),
    "lenet-goal-348x": ("non-structured 348x", 348, 99.0),
    "lenet-structured-60x": ("filter + column 60x", 60, 99.1),
    "lenet-structured-232x": ("filter + column 232x", 232, 99.0),
}
"""What is claimed of each experiment: one weight in so many is left, and the accuracy."""
RATES = (17, 71, 240)
BAD_INPUT = (
    "tests/passes/training/test_loop.py",
    "tests/passes/training/test_samples.py",
    "tests/commands/test_train.py",
)
RIVALS = ("admm", "one-shot", "gradual")


@cache
def test_set(task: str) -> Any:
    """Images and labels that nothing was trained or chosen on."""
    return TASKS[task].load("test")


@dataclass(frozen=True, slots=True)
class Found:
    """What one experiment with one seed gave: its report, and its blob measured now."""

    report: dict[str, Any]
    accuracy: float
    weights: int

    @property
    def before(self) -> float:
        """Accuracy of the float network before its weights took levels."""
        graphs = self.report["trained_accuracy"]
        coded = any(each in self.report["recipe"] for each in ('"coding"', "qat"))
        return float(graphs[-2] if coded else graphs[-1])


@cache
def measured(name: str) -> list[Found]:
    """Every seed that was trained."""
    paths = [RESULTS / f"{name}-s{seed}.json" for seed in SEEDS]
    return [_found(path) for path in paths if path.exists()]


def _found(path: Path) -> Found:
    print(f"  {path.name} ...", file=sys.stderr, flush=True)
    network = load(path.with_suffix(".intg.xz"))
    images, labels = test_set(path.name.split("-")[0])
    codes = np.asarray(network.run(images))
    return Found(json.loads(path.read_text()), accuracy(codes, labels), left(network))


def mean(name: str) -> float:
    """The mean accuracy over seeds, as integers."""
    return statistics.fmean(found.accuracy for found in measured(name))


def figures(name: str, label: str, aim: float | None = None) -> list[Figure]:
    """Mean, spread and number of seeds of an experiment's accuracy as integers."""
    found = [each.accuracy for each in measured(name)]
    if not found:
        return [Figure(f"{label}: not trained", 0.0, "%", ">=", aim)]
    spread = max(found) - min(found)
    seeds = f"{len(found)} seed{'s' * (len(found) > 1)}, spread {spread:.2f}"
    return [Figure(f"{label} ({seeds})", statistics.fmean(found), "%", ">=", aim)]


def rate(name: str) -> float:
    """Weights of LeNet-5 for each one that its blob has, the worst seed."""
    return LENET_WEIGHTS / max((found.weights for found in measured(name)), default=LENET_WEIGHTS)


def line_1() -> list[Figure]:
    """LeNet-5 on MNIST, W8A8, accuracy as the integer blob gives it."""
    made = [*figures("lenet-dense", "dense")]
    for name, (label, least, aim) in CLAIMS.items():
        made += figures(name, label, aim)
        made += [Figure("... one weight left in, worst seed", rate(name), "", ">=", least)]
    return made + largest()


def largest() -> list[Figure]:
    """The largest non-structured rate whose mean is 99 % or more."""
    names = [
        name
        for name in RECIPES
        if name.startswith(("lenet-admm-", "lenet-goal-")) and measured(name)
    ]
    good = [rate(name) for name in names if mean(name) >= 99.0]
    return [Figure("largest non-structured rate at >= 99.0 %", max(good, default=0), "x")]


def line_2() -> list[Figure]:
    """Few bits: what they lose against the float network they came from, in points."""
    made = []
    for name, label in (
        ("lenet-binary", "every layer binary, below dense float"),
        *(
            (f"lenet-71x-w{bits}", f"71x, {bits} bits, below the pruned float")
            for bits in (4, 3, 2)
        ),
    ):
        lost = [found.before - found.accuracy for found in measured(name)]
        value = statistics.fmean(lost) if lost else 100.0
        made.append(Figure(f"{label} ({len(lost)} seeds)", value, "points", "<=", 0.2))
        made += figures(name, f"{name}: accuracy")
    return made


def line_3() -> list[Figure]:
    """ResNet-20 on CIFAR-10, trained from nothing, W4A8."""
    dense = [found.report["trained_accuracy"][0] for found in measured("resnet20-4x")]
    if not dense:
        return [Figure("ResNet-20 float: not trained", 0.0, "%", ">=", 91)]
    whole = statistics.fmean(dense)
    made = [Figure(f"ResNet-20 float ({len(dense)} seeds)", whole, "%", ">=", 91)]
    for name, least in (("resnet20-4x", 4), ("resnet20-structured-2x", 2)):
        made += figures(name, f"{name} W4A8")
        if measured(name):
            left_in = RESNET_WEIGHTS / max(found.weights for found in measured(name))
            made.append(Figure(f"{name}: one weight left in", left_in, "", ">=", least))
            made.append(Figure(f"{name}: points below float", whole - mean(name), "", "<=", 1.0))
    return made


def line_4() -> list[Figure]:
    """ADMM beside the two baselines at equal epochs."""
    made = []
    for factor in RATES:
        for rival in RIVALS:
            name = f"lenet-{rival}-{factor}x"
            made += figures(name, f"{factor}x by {rival}")
            made.append(Figure("... one weight left in, worst seed", rate(name)))
        rest = max(mean(f"lenet-{rival}-{factor}x") for rival in RIVALS[1:])
        lead = mean(f"lenet-admm-{factor}x") - rest
        made.append(Figure(f"{factor}x: ADMM ahead of the better baseline", lead, "points"))
    return made


def line_5() -> list[Figure]:
    """A network imported from ONNX; killed and resumed; two processes."""
    return [*imported(), *killed_and_resumed(), *two_processes()]


def line_6() -> list[Figure]:
    """Bad input: every case is a test of the full text of its error."""
    passed, failed = run_tests(*BAD_INPUT)
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
