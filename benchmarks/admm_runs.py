"""Short training runs on MNIST: a network from ONNX, one that is killed, two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
from data import ASSETS, digits
from networks import accuracy
from report import ROOT, Figure

import intaglio

sys.path.insert(0, str(ROOT / "examples"))
from compress import left

MODEL = ASSETS / "lenet5-mnist.onnx"
TRAINED_ON = 20_000
CALIBRATION = 1024
RECIPE = """
[[pass]]
name = "canonicalize"
[[pass]]
name = "admm"
epochs = 2
retrain = 3
target = { scheme = "non-structured", rate = 8, allocate = "global" }
optimizer = { batch = 128 }
[[pass]]
name = "quantize"
[[pass]]
name = "lower"
[[pass]]
name = "dead_channels"
"""


def imported() -> list[Figure]:
    """LeNet-5 from its ONNX file alone, without Python source, pruned eight times."""
    with tempfile.TemporaryDirectory() as folder:
        blob = compiled(Path(folder))
        network = intaglio.load(blob)
    before = intaglio.compile(MODEL, digits("mnist", "train")[0][:CALIBRATION])
    return [
        Figure("ONNX LeNet-5 8x: weights left", left(network), "", "<=", 61_470 // 8),
        Figure("ONNX LeNet-5 8x: accuracy as integers", score(network), "%"),
        Figure("ONNX LeNet-5 before: accuracy as integers", score(before), "%"),
    ]


def score(network: intaglio.Network) -> float:
    """Percent of the MNIST test images that the blob gets right."""
    images, labels = digits("mnist", "t10k")
    return accuracy(np.asarray(network.run(images)), labels)


def killed_and_resumed() -> list[Figure]:
    """SIGKILL after the third epoch, --resume: the blob is that of an undisturbed run."""
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as cut:
        expected = compiled(Path(whole)).read_bytes()
        kill_after(Path(cut), epochs=3)
        got = compiled(Path(cut), "--resume").read_bytes()
    return [
        Figure("killed in epoch 4 of 5 and resumed: bytes of the blob", len(got)),
        Figure(
            "... bytes that differ from an undisturbed run", differing(expected, got), "", "==", 0
        ),
    ]


def differing(expected: bytes, got: bytes) -> int:
    """Bytes that are not the same, missing ones too."""
    pairs = sum(a != b for a, b in zip(expected, got, strict=False))
    return pairs + abs(len(expected) - len(got))


def two_processes() -> list[Figure]:
    """torchrun with two processes beside one process."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        alone = score(intaglio.load(compiled(Path(one))))
        torchrun = ["-m", "torch.distributed.run", "--nproc_per_node=2"]
        together = score(intaglio.load(compiled(Path(two), launcher=torchrun)))
    return [
        Figure("one process: accuracy as integers", alone, "%"),
        Figure("two processes under torchrun: accuracy as integers", together, "%"),
        Figure("... apart", abs(alone - together), "points", "<=", 0.3),
    ]


def compiled(folder: Path, *options: str, launcher: list[str] | None = None) -> Path:
    """The blob that the command line makes of the model."""
    line = command(folder, *options, launcher=launcher)
    subprocess.run(line, check=True, env=environment(), cwd=folder, stdout=subprocess.DEVNULL)
    return folder / "net.intg"


def kill_after(folder: Path, epochs: int) -> None:
    """Start the run and kill it when so many epochs are in its checkpoint."""
    silent = subprocess.DEVNULL
    running = subprocess.Popen(command(folder), env=environment(), cwd=folder, stdout=silent)
    while sum(len(log.read_text().splitlines()) for log in folder.glob("saved/*.jsonl")) < epochs:
        if running.poll() is not None:
            raise RuntimeError("The run ended before it could be killed.")
        time.sleep(0.2)
    running.send_signal(signal.SIGKILL)
    running.wait()


def command(folder: Path, *options: str, launcher: list[str] | None = None) -> list[str]:
    """The command line of the run, everything it writes in ``folder``."""
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    start = [sys.executable, *(launcher or []), "-m", "intaglio", "compile", str(MODEL)]
    paths = ["--recipe", str(recipe), "--checkpoints", str(folder / "saved")]
    data = ["--train", str(training_file()), "--shift", "2", "--output", str(folder / "net.intg")]
    return [*start, *data, *paths, *options]


@cache
def training_file() -> Path:
    """The first MNIST training images and labels as a .npz file."""
    images, labels = digits("mnist", "train")
    path = Path(tempfile.mkdtemp()) / "mnist.npz"
    np.savez(path, x=images[:TRAINED_ON], y=labels[:TRAINED_ON])
    return path


def environment() -> dict[str, str]:
    """One thread a process, so that a seed repeats to the bit."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


__all__ = ["ROOT", "imported", "killed_and_resumed", "two_processes"]
