"""Train a network from nothing, prune, quantize and binarise it, and measure the integer blob.

    python examples/compress.py lenet-71x --seed 0 --out results
    python examples/compress.py --list

Every experiment is a recipe: the passes and options that ``intaglio compile --recipe`` takes.
Those that begin with the same passes share them through the checkpoints, and a run that was killed
goes on where it was. Writes NAME-sSEED.intg.xz, the blob, and NAME-sSEED.json: the recipe, the
figures of every epoch, and the accuracy of the blob on the test images, as its integers give it.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import intaglio
from intaglio import Graph, Network, Pipeline
from intaglio.commands.terminal import Bars
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.passes.base import Context, Training

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "examples"))
from data import cifar10, digits  # noqa: E402  (they lie beside this file, not in the package)
from recipes import DENSE, RECIPES  # noqa: E402
from resnet_cifar import resnet20  # noqa: E402

CALIBRATION = 1024
Reals = NDArray[np.float32]


def lenet5() -> nn.Sequential:
    """LeNet-5 as Caffe has it, 430,500 weights, with a ReLU after every layer but the last."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 20, 5),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(20, 50, 5),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(800, 500),
        "relu3": nn.ReLU(),
        "fc2": nn.Linear(500, 10),
    }
    return nn.Sequential(OrderedDict(layers))


@dataclass(frozen=True)
class Task:
    """An untrained network and its data: images, labels, and how training images are moved."""

    network: Callable[[], nn.Module]
    load: Callable[[str], tuple[Reals, NDArray[Any]]]
    shape: tuple[int, int, int]
    shift: int
    mirror: bool = False


def _mnist(split: str) -> tuple[Reals, NDArray[Any]]:
    return digits("mnist", "train" if split == "train" else "t10k")


def _cifar(split: str) -> tuple[Reals, NDArray[Any]]:
    parts = (
        [cifar10(f"train{part}") for part in range(1, 6)] if split == "train" else [cifar10(split)]
    )
    images, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return ((images - 0.473) / 0.251).astype(np.float32), labels


TASKS = {
    "lenet": Task(lenet5, _mnist, (1, 28, 28), shift=1),
    "resnet20": Task(resnet20, _cifar, (3, 32, 32), shift=4, mirror=True),
}


def untrained(task: Task, seed: int) -> Graph:
    """The network as its layers initialise themselves, imported."""
    torch.manual_seed(seed)
    module = task.network().eval()
    return intaglio.import_model(module, (torch.zeros(1, *task.shape),))


@dataclass
class Run:
    """One experiment with one seed: its data, and where its training is saved."""

    name: str
    seed: int
    device: str
    folder: Path | None
    watched: bool = True
    """Whether the test images are there, and measured after each epoch."""
    log: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kind = self.name.split("-")[0]
        self.task = TASKS[self.kind]
        self.train = self.task.load("train")
        self.test = self.task.load("test") if self.watched else None

    def training(self, teacher: Graph | None) -> Training:
        """What the passes that train are given; ``teacher`` is the dense network."""
        return Training(
            *(self.train, self.test, self.device, self.seed, self.task.shift, self.task.mirror),
            folder=self.folder,
            resume=self.folder is not None,
            log=self.log.append,
            teacher=teacher,
        )

    def dense(self, progress: Bars) -> Graph:
        """The network trained from nothing."""
        context = Context(progress=progress, training=self.training(None))
        return Pipeline.parse(DENSE[self.kind]).run(untrained(self.task, self.seed), context)

    def train_only(self, progress: Bars) -> None:
        """Run the passes that train; their checkpoints are the result."""
        dense = self.dense(progress)
        passes = Pipeline.parse(RECIPES[self.name]).passes
        last = max((i for i, each in enumerate(passes) if each.needs_training), default=-1)
        name = dense.inputs[0].name
        batches = [{name: part} for part in np.array_split(self.train[0][:CALIBRATION], 16)]
        context = Context(batches, progress, self.training(dense))
        Pipeline(passes[: last + 1]).run(dense, context)

    def compiled(self, progress: Bars) -> tuple[Network, list[Graph]]:
        """The blob, and the graph before and after each pass that trains."""
        graphs = [self.dense(progress)]
        network = intaglio.compile(
            graphs[0],
            self.train[0][:CALIBRATION],
            recipe=Pipeline.parse(RECIPES[self.name]),
            training=self.training(graphs[0]),
            progress=progress,
            observe=lambda run: graphs.append(run.after) if run.pass_.needs_training else None,
        )
        return network, graphs

    def report(self, network: Network, graphs: list[Graph], progress: Bars) -> dict[str, Any]:
        """The figures of the blob and of the networks that it came from."""
        assert self.test is not None
        images, labels = self.test
        codes = network.run(images, lambda done, total: progress("Measure", done, total))
        return {
            "experiment": self.name,
            "seed": self.seed,
            "dense": DENSE[self.kind],
            "recipe": RECIPES[self.name],
            "device": self.device,
            "torch": torch.__version__,
            "accuracy": accuracy(codes, labels),
            "trained_accuracy": [accuracy(scores(graph, images), labels) for graph in ends(graphs)],
            "kept": kept(graphs[-1]),
            "bytes": len(network.blob),
            "epochs": self.log,
        }


def ends(graphs: list[Graph]) -> list[Graph]:
    """The dense network, the one before the last pass that trained, and the last one."""
    return graphs if len(graphs) < 3 else [graphs[0], *graphs[-2:]]


@torch.no_grad()
def scores(graph: Graph, images: Reals) -> Reals:
    """The class scores of a float graph."""
    module = intaglio.to_torch(graph).eval()
    parts = (module(torch.from_numpy(part)) for part in np.array_split(images, 20))
    return torch.cat(list(parts)).numpy()


def kept(graph: Graph) -> dict[str, list[int]]:
    """Of each layer's weight: how many elements are not zero, and its shape."""
    found = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv | Dense):
            name = node.inputs[1]
            coded = graph.producers.get(name)
            weight = graph.constants[coded.inputs[0] if coded else name].array
            found[node.value.origin or node.name] = [int((weight != 0).sum()), *weight.shape]
    return found


def left(network: Network) -> int:
    """Weights of a blob that are not zero."""
    program = network.program
    layers = (step for step in program.steps if isinstance(step.op, Conv | GatherConv | Dense))
    weights = (program.slots[step.inputs[1]].constant for step in layers)
    return sum(int(np.count_nonzero(each.array)) for each in weights if each is not None)


def load(path: Path) -> Network:
    """The network of a .intg.xz file."""
    return Network(lzma.decompress(path.read_bytes()))


def table(folder: Path) -> str:
    """What is in a folder of results, as Markdown: one line an experiment, over its seeds."""
    heads = ("experiment", "seeds", "weights left", "integers [%]", "float [%]", "epochs", "bytes")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name in RECIPES:
        paths = sorted(folder.glob(f"{name}-s?.json"))
        if paths:
            lines.append("| " + " | ".join((name, *_cells(paths))) + " |")
    return "\n".join(lines)


def _cells(paths: list[Path]) -> tuple[str, ...]:
    reports = [json.loads(path.read_text()) for path in paths]
    weights = [left(load(path.with_suffix(".intg.xz"))) for path in paths]
    network = TASKS[paths[0].name.split("-")[0]].network()
    whole = sum(each.numel() for each in network.parameters() if each.ndim > 1)
    return (
        str(len(paths)),
        f"{max(weights):,} ({whole / max(weights):.3g}x)",
        _spread([report["accuracy"] for report in reports]),
        _spread([report["trained_accuracy"][-1] for report in reports]),
        str(len(reports[0]["epochs"])),
        f"{max(report['bytes'] for report in reports):,}",
    )


def _spread(values: list[float]) -> str:
    """The mean, and the least and greatest of several."""
    mean = f"{sum(values) / len(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def accuracy(outputs: Any, labels: NDArray[Any]) -> float:
    """Percent of rows whose greatest output is at the label."""
    return float((np.asarray(outputs).argmax(axis=1) == labels).mean() * 100)


def main() -> None:
    """Run one experiment and write what came of it."""
    parser = argparse.ArgumentParser(description="Compress a network and measure its blob.")
    parser.add_argument("name", nargs="?", choices=sorted(RECIPES), help="the experiment")
    parser.add_argument("--list", action="store_true", help="print the recipes")
    parser.add_argument("--table", action="store_true", help="print what is in --out as Markdown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch; 1 repeats to the bit")
    parser.add_argument("--checkpoints", type=Path, help="folder to save to and go on from")
    parser.add_argument("--train-only", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder to write to")
    asked = parser.parse_args()
    if asked.list or (asked.name is None and not asked.table):
        print("\n".join(f"{name}\n    {recipe}" for name, recipe in RECIPES.items()))
        return
    if asked.table:
        print(table(asked.out))
        return
    torch.set_num_threads(asked.threads)
    watched = not asked.train_only
    run = Run(asked.name, asked.seed, asked.device, asked.checkpoints, watched)
    with Bars() as bars:
        if asked.train_only:
            run.train_only(bars)
            return
        network, graphs = run.compiled(bars)
        report = run.report(network, graphs, bars)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"{asked.name}-s{asked.seed}"
    path.with_suffix(".intg.xz").write_bytes(lzma.compress(network.blob, preset=9))
    path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{path}: {report['accuracy']:.2f} % as integers, {report['bytes']:,} bytes")


if __name__ == "__main__":
    main()
