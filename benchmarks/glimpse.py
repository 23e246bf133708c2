"""Glimpses: every figure of their lines, beside its aim.

python benchmarks/glimpse.py [--json] [--line N]
python benchmarks/glimpse.py --train        trains the networks of lines 2 and 3 anew, for hours

Lines 2 and 3 run the blobs of examples/results/glimpses on all test images; attacks and float
accuracies are those of the logs beside them, written by ``examples/glimpses.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import glimpse_networks as counted
import numpy as np
import torch
from foundation import run_tests
from numpy.typing import NDArray
from report import ROOT, Figure, main

import intaglio
from intaglio import Glimpses, Network, glimpse
from intaglio.backends.cost import network_cost
from intaglio.backends.exits import chosen, curve
from intaglio.backends.stage_cost import Regime, regimes
from intaglio.cost_models.hardware import load_hardware
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_crop import ONE, Crop
from intaglio.ir.tensor import BATCH, TensorType
from intaglio.kernels.table import kernel_for

sys.path.insert(0, str(ROOT / "examples"))
import glimpses as trained

RESULTS = ROOT / "examples" / "results" / "glimpses"
SHARES = {
    "ResNet-18": {1: 0.184, 2: 0.369, 3: 0.555, 4: 0.741},
    "ResNet-50": {1: 0.188, 2: 0.380, 3: 0.576, 4: 0.776},
}
"""Of the products of one look at all of 224 x 224, as the published code counts them."""
PRESETS = ("edge-npu", "eyeriss-like")
PLACES = 10_000
MICRO = 1e6


def line_1() -> list[Figure]:
    """Products of networks that look several times, beside one look at every pixel."""
    figures = []
    for name, shares in SHARES.items():
        whole = counted.features(name, counted.FULL)
        for count, share in shares.items():
            found = counted.published(name, count) / whole
            label = f"{name}, {count} looks: share of the products"
            figures.append(Figure(label, round(found, 3), "", "==", share))
            figures.append(
                Figure("  counted, keys and values kept", counted.looking(name, count) / whole)
            )
    return figures


@cache
def network(name: str) -> Network:
    """A committed blob."""
    return trained.load(RESULTS / f"{name}-s0.intg.xz")


@cache
def log(name: str) -> dict[str, Any]:
    """What was written when it was trained."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}-s0.json").read_text())
    return found


@cache
def scenes(task: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """All test images of a task, and their labels."""
    test = trained.TASKS[task].scenes("test")
    x, y = zip(*test, strict=True)
    return np.concatenate(x), np.concatenate(y)


@cache
def codes(name: str) -> Mapping[str, NDArray[Any]]:
    """What every exit of a blob says of all test images."""
    x, _ = scenes(name.split("-")[0])
    parts = [trained.integers(network(name))(part) for part in np.array_split(x, 20)]
    return {each: np.concatenate([part[each] for part in parts]) for each in parts[0]}


def accuracy(name: str) -> dict[str, float]:
    """Percent right of every exit, as integers, measured now."""
    _, y = scenes(name.split("-")[0])
    return {each: 100 * float((c.argmax(axis=1) == y).mean()) for each, c in codes(name).items()}


def macs(name: str) -> int:
    """Products of a sample, all looks."""
    machine = load_hardware(PRESETS[0]).machine()
    cost = network_cost(network(name).program, network(name).blob, machine)
    return sum(layer.macs for layer in cost.layers)


def line_2() -> list[Figure]:
    """Digits anywhere on a canvas: looks, one look at less, one look at every pixel."""
    found, real = accuracy("digits"), log("digits")["float"]
    full, once = accuracy("digits-full")["exit1"], accuracy("digits-once")["exit1"]
    figures = [Figure("one look, trained for it, 28 x 28 of 112 x 112", once, "%")]
    for count, (name, percent) in enumerate(found.items(), 1):
        figures.append(Figure(f"{count} looks, integers", percent, "%"))
        apart = abs(percent - real[name])
        figures.append(Figure("  integers and float apart", apart, "points", "<=", 0.5))
    last = list(found.values())[-1]
    figures.append(
        Figure("all looks above one look trained for it", last - once, "points", ">=", 0)
    )
    figures.append(Figure("every pixel, 112 x 112", full, "%"))
    figures.append(Figure("all looks below that", full - last, "points"))
    share = macs("digits") / macs("digits-full")
    figures.append(Figure("products of all looks, of those of every pixel", share))
    return [*figures, *changed("digits")]


def changed(task: str) -> list[Figure]:
    """Accuracy under noise and attack, as logged: looks beside one look at every pixel."""
    figures = []
    looks, full = (log(name)["changed"] for name in (task, f"{task}-full"))
    for name in looks:
        for kind, each in (("looks", looks), ("every pixel", full)):
            figures.append(Figure(f"{name}: {kind}, integers", each[name]["integers"], "%"))
    return figures


def line_3() -> list[Figure]:
    """Scenes of 128 x 128: garments among pieces of others, photographs of flowers."""
    return [figure for task in ("garments", "flowers") for figure in _task(task)]


def _task(task: str) -> list[Figure]:
    figures = []
    names = [task, f"{task}-once", f"{task}-full", f"{task}-pruned", f"{task}-full-pruned"]
    there = [name for name in names if (RESULTS / f"{name}-s0.intg.xz").exists()]
    for name in there:
        for exit_, percent in accuracy(name).items():
            figures.append(Figure(f"{name}: {exit_}, integers", percent, "%"))
        figures.append(Figure("  products", macs(name)))
        figures.append(Figure("  bytes of the blob", len(network(name).blob)))
        for hardware in PRESETS:
            figures += _energies(name, hardware)
        if name in (task, f"{task}-pruned"):
            figures += _early(name)
    return figures


def _energies(name: str, hardware: str) -> list[Figure]:
    machine = load_hardware(hardware).machine()
    if "-full" in name or "-once" in name:
        cost = network_cost(network(name).program, network(name).blob, machine)
        return [Figure(f"  {hardware}", cost.energy.nominal / MICRO, "uJ")]
    return [
        Figure(f"  {hardware}, {each.name}", each.up_to(len(each.stages))[1] / MICRO, "uJ")
        for each in _regimes(name, hardware)
    ]


@cache
def _regimes(name: str, hardware: str) -> tuple[Regime, ...]:
    machine = load_hardware(hardware).machine()
    return regimes(network(name).program, network(name).blob, machine)


def _early(name: str) -> list[Figure]:
    """Margins found on the first half of the test images, what they save on the other."""
    _, y = scenes(name.split("-")[0])
    half, stages = len(y) // 2, _regimes(name, PRESETS[0])[0].stages
    costs = np.cumsum([each.energy.nominal for each in stages]) / MICRO
    parts = [
        {k: v[part] for k, v in codes(name).items()} for part in (slice(half), slice(half, None))
    ]
    program, figures = network(name).program, []
    points = curve(program, parts[0], y[:half], costs.tolist())
    for lost in (0.0, 0.5, 1.0):
        margins = chosen(points, points[-1].accuracy - lost / 100).margins
        taken = _with(program, parts[1], y[half:], costs, margins)
        label = f"  early exits, {lost} points allowed: energy"
        figures.append(Figure(label, taken[1] / costs[-1], "of all looks"))
        figures.append(Figure("    accuracy on the other half", 100 * taken[0], "%"))
    return figures


def _with(
    program: Any, given: Mapping[str, Any], y: Any, costs: Any, margins: tuple[int, ...]
) -> tuple[float, float]:
    """Accuracy and mean cost with these margins."""
    from intaglio.backends.early import margins as leads

    scores = list(given.values())
    done = np.stack([leads(each) >= m for each, m in zip(scores, (*margins, 0), strict=True)])
    taken = done.argmax(axis=0)
    right = np.stack([each.argmax(axis=1) == y for each in scores])[taken, np.arange(len(y))]
    return float(right.mean()), float(costs[taken].mean())


def line_4() -> list[Figure]:
    """Crops of the simulator beside the reference; whole networks of 1 to 8 looks."""
    rng = np.random.default_rng(0)
    wrong = codes_compared = outside = 0
    for size, image in (((28, 28), (112, 112)), ((5, 9), (31, 17))):
        op = Crop(size, round(0.2 * ONE), round(0.5 * ONE))
        where = rng.integers(0, 256, (PLACES // 2, 3)).astype(np.uint8)
        where[:8] = [[a, b, c] for a in (0, 255) for b in (0, 255) for c in (0, 255)]
        for part in np.array_split(where, 50):
            x = rng.integers(0, 256, (len(part), 1, *image)).astype(np.uint8)
            expected = op.reference(x, part)
            found = _crop(op, x, part)
            wrong += int((found != expected).sum())
            codes_compared += expected.size
        for told in where:
            for at, pixels in zip(op.positions(image, told), image, strict=True):
                outside += not 0 <= at[0] <= at[-1] <= (pixels - 1) << 16
    figures = [
        Figure("random places to look", PLACES, "", ">=", 10_000),
        Figure("codes compared", codes_compared),
        Figure("codes that differ", wrong, "", "==", 0),
        Figure("windows that leave the image", outside, "", "==", 0),
    ]
    label = "codes equal, {} looks, every layer"
    return [*figures, *(Figure(label.format(count), _checked(count)) for count in range(1, 9))]


def _crop(op: Crop, x: NDArray[Any], where: NDArray[Any]) -> NDArray[Any]:
    """By the simulator's kernel: arrays with channels innermost."""
    types = (TensorType((BATCH, *x.shape[1:]), int_type(8, signed=False)),) * 1
    stored = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    out = np.empty((len(x), *op.size, x.shape[1]), np.uint8)
    kernel_for(op, types)(op, (stored, where), out)
    return np.moveaxis(out, -1, 1)


def _checked(count: int) -> int:
    """Codes of a small network that equal the reference's; raises where one does not."""
    rng = np.random.default_rng(count)
    torch.manual_seed(count)
    backbone = intaglio.import_model(trained.vanilla(28).eval(), (torch.zeros(1, 1, 28, 28),))
    made = glimpse(backbone, (112, 112), Glimpses(count=count))
    images = rng.random((6, 1, 112, 112)).astype(np.float32)
    recipe = "canonicalize,strip,quantize,lower,dead_channels,columns"
    return intaglio.compile(made, images, recipe=recipe).check(images[:2])


def line_5() -> list[Figure]:
    """Bad input: every case is a test of the full text of its error."""
    passed, failed = run_tests(
        "tests/passes/test_glimpse.py",
        "tests/commands/test_glimpses.py",
        "tests/ir/test_ops_crop.py",
        "-k",
        "refused or without_exits or looks_once or warned",
    )
    return [
        Figure("bad inputs refused with the text the tests state", passed, "", ">=", 3),
        Figure("bad inputs that are not", failed, "", "==", 0),
    ]


LINES: dict[str, Callable[[], list[Figure]]] = {
    "1": line_1,
    "2": line_2,
    "3": line_3,
    "4": line_4,
    "5": line_5,
}


def train() -> None:
    """Train every network anew and write blobs and logs where the lines read them."""
    for name in trained.EXPERIMENTS:
        script = str(ROOT / "examples" / "glimpses.py")
        folder = Path("glimpse-checkpoints") / name.split("-")[0]
        command = [
            sys.executable,
            script,
            name,
            "--checkpoints",
            str(folder),
            "--out",
            str(RESULTS),
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--train"]:
        train()
    else:
        main("Glimpses", LINES)
