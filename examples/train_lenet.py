"""Train LeNet-5 on Fashion-MNIST or MNIST and export it as ONNX.

The network takes pixels divided by 255 (float32, 0..1, shape ``(n, 1, 28, 28)``) under the name
``image`` and gives ten class scores under the name ``logits``; there is no other normalisation.
Training decays and bounds the weights, so that they stay easy to quantize to 8 or 4 bits.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

CONSOLE = Console()
OPENERS: dict[str, Callable[..., Any]] = {"": open, ".gz": gzip.open, ".xz": lzma.open}
SIDE = 28  # pixels on a side of an image
PAD = 2  # border of zeros from which the random shifts are cut
BATCH = 128
PEAK_RATE = 0.1
WEIGHT_DECAY = 2e-4
MAX_SIGMAS = 4.0  # weights are clamped to this many standard deviations of their layer


class Recipe(NamedTuple):
    """What depends on the data set: its sub folder and the augmentation that suits it."""

    folder: str
    shift: int
    mirror: bool


RECIPES = {"fashion-mnist": Recipe("fashion_mnist", 1, True), "mnist": Recipe("mnist", 2, False)}


def read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read the idx file ``name`` from ``folder``: plain, ``.gz`` or ``.xz``."""
    found = [suffix for suffix in OPENERS if (folder / (name + suffix)).is_file()]
    if not found:
        raise SystemExit(f"{folder / name}: no such file, neither plain nor .gz nor .xz")
    path = folder / (name + found[0])
    with OPENERS[found[0]](path, "rb") as stream:
        data = stream.read()
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise SystemExit(f"{path}: not an idx file of bytes")
    start = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if len(data) - start != np.prod(shape):
        raise SystemExit(f"{path}: {len(data) - start} bytes do not fill the shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def load_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Load ``train`` or ``t10k``: images uint8 (n, 28, 28) and labels int64 (n,)."""
    images = read_idx(folder, f"{split}-images-idx3-ubyte")
    labels = read_idx(folder, f"{split}-labels-idx1-ubyte")
    if images.shape != (labels.size, SIDE, SIDE):
        raise SystemExit(f"{folder}: {split} images {images.shape} for {labels.size} labels")
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def lenet5() -> nn.Sequential:
    """Build LeNet-5 with ReLU and max pooling; the names become the names of the ONNX nodes."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 6, 5, padding=2),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(6, 16, 5),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(400, 120),
        "relu3": nn.ReLU(),
        "fc2": nn.Linear(120, 84),
        "relu4": nn.ReLU(),
        "fc3": nn.Linear(84, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights (not the biases) by layer name."""
    named = model.named_parameters()
    return {name.removesuffix(".weight"): p for name, p in named if name.endswith(".weight")}


def batches(images: Tensor, labels: Tensor, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one shuffled epoch of full batches, each image shifted and perhaps mirrored."""
    padded = nn.functional.pad(images, (PAD, PAD, PAD, PAD))
    line = torch.arange(SIDE)
    for picked in torch.split(torch.randperm(len(images)), BATCH)[: len(images) // BATCH]:
        top, left = torch.randint(PAD - recipe.shift, PAD + recipe.shift + 1, (2, BATCH, 1))
        mirrored = torch.rand(BATCH, 1) < (0.5 if recipe.mirror else 0.0)
        rows, columns = top + line, left + torch.where(mirrored, line.flip(0), line)
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
    parts = zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True)
    hits = sum(int((model(x[:, None].float() / 255).argmax(1) == y).sum()) for x, y in parts)
    return hits / len(labels)


def train(model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, epochs: int) -> None:
    """Train ``model`` in place: SGD with Nesterov momentum under a one-cycle learning rate."""
    rule = torch.optim.SGD(
        model.parameters(), PEAK_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        rule, PEAK_RATE, steps, pct_start=0.2, cycle_momentum=False
    )
    with Progress(console=CONSOLE) as progress:
        task = progress.add_task("training", total=steps)
        for epoch in range(1, epochs + 1):
            for x, y in batches(images, labels, recipe):
                rule.zero_grad()
                torch.autograd.backward(nn.functional.cross_entropy(model(x), y))
                rule.step()
                schedule.step()
                bound_weights(model)
                progress.advance(task)
            progress.update(task, description=f"epoch {epoch}/{epochs}")


def export(model: nn.Module, path: Path) -> None:
    """Write ``model`` to ``path`` as ONNX, opset 17, under a temporary name until complete."""
    part = path.with_name(path.name + ".part")
    sample = (torch.zeros(1, 1, SIDE, SIDE),)
    with warnings.catch_warnings():
        # The older exporter on purpose: it names the nodes after the layers, as in /conv1/Conv.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            sample,
            part,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    part.replace(path)


def main() -> None:
    """Train, measure, export and log."""
    data = Path(os.environ.get("INTAGLIO_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description="Train LeNet-5 and export it as ONNX.")
    parser.add_argument("--dataset", choices=sorted(RECIPES), default="fashion-mnist")
    parser.add_argument("--data", type=Path, default=data, help="folder with the idx files")
    parser.add_argument("--epochs", type=int, default=45)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write")
    asked = parser.parse_args()
    if asked.epochs < 1 or not asked.out.parent.is_dir():
        parser.error("--epochs must be positive, and the folder of --out must exist")
    started = time.perf_counter()
    torch.set_num_threads(1)  # one thread, so that a seed always gives the same weights
    torch.manual_seed(asked.seed)
    recipe, model = RECIPES[asked.dataset], lenet5()
    folder = asked.data / recipe.folder if (asked.data / recipe.folder).is_dir() else asked.data
    train(model, *load_split(folder, "train"), recipe, asked.epochs)
    measured = {"test_accuracy": accuracy(model, *load_split(folder, "t10k"))}
    spread = {k: round((w.abs().max() / w.std()).item(), 3) for k, w in weights_of(model).items()}
    log = {k: getattr(asked, k) for k in ("dataset", "seed", "epochs")} | measured
    log |= {"torch": torch.__version__, "seconds": round(time.perf_counter() - started, 1)}
    log["max_over_std"] = spread
    export(model, asked.out)
    asked.out.with_name(asked.out.name + ".json").write_text(json.dumps(log, indent=2) + "\n")
    CONSOLE.print_json(data=log)


if __name__ == "__main__":
    main()
