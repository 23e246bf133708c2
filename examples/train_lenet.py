"""Train LeNet-5 on Fashion-MNIST or MNIST and export it as ONNX.

The network takes pixels divided by 255 (float32, 0..1, shape ``(n, 1, 28, 28)``) under the name
``image`` and gives ten class scores under the name ``logits``; there is no other normalisation.
Training decays and bounds the weights, so that they stay easy to quantise to 8 or 4 bits.

    python examples/train_lenet.py --dataset fashion-mnist --out lenet5.onnx
"""

import argparse
import gzip
import json
import lzma
import os
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

CONSOLE = Console()
OPENERS = {"": open, ".gz": gzip.open, ".xz": lzma.open}
IMAGE = 28  # pixels on a side
PAD = 2  # border of zeros from which the random shifts are cut
BATCH = 128
PEAK_RATE = 0.05
WEIGHT_DECAY = 5e-4
MAX_SIGMAS = 4.0  # no weight may leave this many standard deviations of its layer
WEIGHTS = 61_470


@dataclass(frozen=True)
class Recipe:
    """What depends on the data set: its sub folder and the augmentation that suits it."""

    folder: str
    shift: int
    flip: bool


RECIPES = {"fashion-mnist": Recipe("fashion_mnist", 1, True), "mnist": Recipe("mnist", 2, False)}


def read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read the idx file ``name`` from ``folder``: plain, ``.gz`` or ``.xz``."""
    for suffix, opener in OPENERS.items():
        path = folder / (name + suffix)
        if path.is_file():
            with opener(path, "rb") as stream:
                data = stream.read()
            break
    else:
        raise SystemExit(f"{folder / name}: no such file, neither plain nor .gz nor .xz")
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path}: not an idx file of bytes")
    start = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if len(data) - start != int(np.prod(shape)):
        raise SystemExit(f"{path}: {len(data)} bytes do not hold the shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def load_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Load ``train`` or ``t10k``: images uint8 (n, 28, 28) and labels int64 (n,)."""
    images = read_idx(folder, f"{split}-images-idx3-ubyte")
    labels = read_idx(folder, f"{split}-labels-idx1-ubyte")
    if images.shape != (len(labels), IMAGE, IMAGE):
        raise SystemExit(f"{folder}: {split} images {images.shape}, labels {labels.shape}")
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def lenet5() -> nn.Sequential:
    """Build LeNet-5 with ReLU and max pooling; the names become the names of the ONNX nodes."""
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(1, 6, 5, padding=2)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(6, 16, 5)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(400, 120)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(120, 84)),
        ("relu4", nn.ReLU()),
        ("fc3", nn.Linear(84, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))


def weights_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights (not the biases) by layer name."""
    named = model.named_parameters()
    return {name.removesuffix(".weight"): p for name, p in named if name.endswith(".weight")}


def batches(images: Tensor, labels: Tensor, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one shuffled epoch of full batches, each image shifted and perhaps mirrored."""
    padded = nn.functional.pad(images, (PAD, PAD, PAD, PAD))
    line = torch.arange(IMAGE)
    low, high = PAD - recipe.shift, PAD + recipe.shift + 1
    for picked in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
        top, left = torch.randint(low, high, (2, BATCH, 1))
        mirror = torch.rand(BATCH, 1) < (0.5 if recipe.flip else 0.0)
        rows, columns = top + line, left + torch.where(mirror, line.flip(0), line)
        cut = padded[picked[:, None, None], rows[:, :, None], columns[:, None, :]]
        yield cut[:, None].float() / 255, labels[picked]


@torch.no_grad()
def bound_weights(model: nn.Module) -> None:
    """Clamp each layer's weights to ``MAX_SIGMAS`` of their standard deviation."""
    for weight in weights_of(model).values():
        limit = MAX_SIGMAS * weight.std().item()
        weight.clamp_(-limit, limit)


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the fraction of ``images`` whose largest logit is the label."""
    model.eval()
    parts = zip(images.split(1000), labels.split(1000), strict=True)
    hits = sum(int((model(x[:, None].float() / 255).argmax(1) == y).sum()) for x, y in parts)
    return hits / len(labels)


def train(model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, epochs: int) -> None:
    """Train ``model`` in place: SGD with Nesterov momentum under a one-cycle learning rate."""
    biases = [p for name, p in model.named_parameters() if name.endswith(".bias")]
    decayed = {"params": list(weights_of(model).values()), "weight_decay": WEIGHT_DECAY}
    groups = [decayed, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=PEAK_RATE, momentum=0.9, nesterov=True)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
    model.train()
    with Progress(console=CONSOLE) as progress:
        task = progress.add_task("training", total=steps)
        for epoch in range(1, epochs + 1):
            for x, y in batches(images, labels, recipe):
                loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bound_weights(model)
                progress.advance(task)
            label = f"epoch {epoch}/{epochs}, last loss {loss.item():.3f}"
            progress.update(task, description=label)


def export(model: nn.Module, path: Path) -> None:
    """Write ``model`` to ``path`` as ONNX, opset 17, under a temporary name until complete."""
    part = path.with_name(path.name + ".part")
    axes = {"image": {0: "n"}, "logits": {0: "n"}}
    with warnings.catch_warnings():
        # The older exporter is meant: it names the nodes after the layers, as in /conv1/Conv.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model.eval(),
            (torch.zeros(1, 1, IMAGE, IMAGE),),
            str(part),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    part.replace(path)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    data = os.environ.get("INTAGLIO_DATA", "../shared/data")
    parser = argparse.ArgumentParser(description="Train LeNet-5 and export it as ONNX.")
    parser.add_argument("--dataset", choices=sorted(RECIPES), default="fashion-mnist")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of the idx files")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write")
    return parser.parse_args()


def main() -> None:
    """Train, measure, export and log."""
    arguments = parse_arguments()
