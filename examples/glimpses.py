"""Train networks that look several times, and those that look once, and measure the integer blobs.

    python examples/glimpses.py digits --seed 0 --out results
    python examples/glimpses.py --list

``digits`` looks four times, each time with 28 x 28 samples, at a digit somewhere on a canvas of
112 x 112 with noise: the small experiment of "Multi-Glimpse Network" (Tan et al., 2021).
``digits-full`` is its backbone on the whole canvas, ``digits-once`` on the whole canvas shrunk to
28 x 28. All begin with the same backbone, which was trained on close-ups. ``garments`` and
``flowers`` are the same at 128 x 128. Writes NAME-sSEED.intg.xz and NAME-sSEED.json: the recipe,
the figures of every epoch, the accuracy of every exit as reals and as integers on all test images.
A run that was killed goes on from its ``--checkpoints``.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import intaglio
from intaglio import Glimpses, Graph, Network, Pipeline, glimpse
from intaglio.commands.terminal import Bars
from intaglio.ir.graph import rename
from intaglio.passes.base import Context, Training

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))
from canvases import Scenes, as_pixels, digits, flowers, garments  # noqa: E402  (it lies beside this file)

CALIBRATION = 512
ATTACKED = 500
"""Test images that are attacked."""
STEPS, LEVELS = 10, (1, 2, 4, 8)
NOISES = (0.1, 0.2, 0.3)
"""Standard deviations of noise that is added, of pixels 0 to 1."""
LOSSES = [{"outputs": "exit*", "weight": 0.4}, {"outputs": "aux*", "weight": 0.6}]
"""The published shares of what the looks say together and of what each says by itself."""
Reals = NDArray[np.float32]


def vanilla(size: int) -> nn.Sequential:
    """The four convs of the published small experiment, the last two with a border.

    Behind them are a quarter's means, not those of the whole: a mean does not say where.
    """
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU()),
        nn.Linear(64, 10),
    )


def colour(size: int) -> nn.Sequential:
    """Five convs for photographs, the first with a stride of 2, and means of 3 x 3 parts."""
    widths = (3, 24, 32, 64, 96, 128)
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2 if index == 0 else 1, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if index in (1, 2, 3) else []
    means = nn.AvgPool2d(3, 2) if size == 128 else nn.AdaptiveAvgPool2d(3)
    joined = (means, nn.Flatten(), nn.Linear(1152, 96), nn.ReLU())
    return nn.Sequential(*layers, *joined, nn.Linear(96, 5))


@dataclass(frozen=True)
class Task:
    """A kind of scenes, the backbone for them, and how long it trains."""

    backbone: Callable[[int], nn.Module]
    scenes: Callable[[str], Scenes]
    channels: int
    image: int
    look: int
    close_epochs: int
    epochs: int
    full_epochs: int


TASKS = {
    "digits": Task(vanilla, digits, 1, 112, 28, 2, 10, 2),
    "garments": Task(vanilla, garments, 1, 128, 32, 3, 5, 1),
    "flowers": Task(colour, flowers, 3, 128, 48, 30, 30, 20),
}


@dataclass(frozen=True)
class Experiment:
    """One network: of which task, how it looks (None: once, at all pixels), what is done to it."""

    task: str
    glimpses: Glimpses | None
    pruned: bool = False
    bits: int = 8


def _experiments() -> dict[str, Experiment]:
    found: dict[str, Experiment] = {}
    for name in TASKS:
        four = Glimpses(rescale=0.1)
        found[name] = Experiment(name, four)
        found[f"{name}-mean"] = Experiment(name, replace(four, fusion="mean"))
        found[f"{name}-once"] = Experiment(name, replace(four, count=1))
        found[f"{name}-full"] = Experiment(name, None)
        found[f"{name}-pruned"] = Experiment(name, four, True, 4)
        found[f"{name}-full-pruned"] = Experiment(name, None, True, 4)
    return found


EXPERIMENTS = _experiments()


def recipe(experiment: Experiment) -> Pipeline:
    """The passes of one experiment."""
    task, several = TASKS[experiment.task], (experiment.glimpses or Glimpses(1)).count > 1
    epochs = task.epochs if experiment.glimpses else task.full_epochs
    adam: dict[str, Any] = {"learning_rate": 0.003, "batch": 100, "losses": []}
    if several:
        adam["losses"] = LOSSES
    passes: list[dict[str, Any]] = [
        {"name": "train", "epochs": epochs, "batch_norm": True, "optimizer": adam},
    ]
    if experiment.pruned:
        target = {"scheme": "non-structured", "rate": 4, "allocate": "lamp"}
        options = {"epochs": 2, "retrain": max(2, epochs // 3), "rho": 0.01, "growth": 1.5}
        slower = adam | {"learning_rate": 0.002}
        passes.append({"name": "admm", "target": target, "optimizer": slower, **options})
    passes.append({"name": "strip", "outputs": "exit*"})
    bits = {"weight_bits": experiment.bits}
    if experiment.bits < 8:
        last = adam | {"learning_rate": 5e-4, "losses": LOSSES[:1] if several else []}
        passes.append({"name": "qat", "quantize": bits, "epochs": 2, "optimizer": last})
    else:
        passes.append({"name": "quantize", **bits})
    return Pipeline.from_entries(
        [*passes, *({"name": name} for name in ("lower", "dead_channels", "columns"))]
    )


def backbone(task: Task, size: int, seed: int) -> Graph:
    """The backbone for images of a size, as its layers initialise themselves."""
    torch.manual_seed(seed)
    shape = (1, task.channels, size, size)
    imported = intaglio.import_model(task.backbone(size).eval(), (torch.zeros(shape),))
    return Pipeline.parse("canonicalize").run(imported, Context())


def close_up_recipe(task: Task) -> Pipeline:
    """How the backbone is trained before anything chooses where to look."""
    options = {"learning_rate": 0.002, "batch": 100}
    training = {"epochs": task.close_epochs, "batch_norm": True, "optimizer": options}
    return Pipeline.from_entries([{"name": "train", **training}])


def begun(experiment: Experiment, seed: int, close: Graph) -> Graph:
    """The network to train: all begin with the backbone that was trained on close-ups."""
    task = TASKS[experiment.task]
    if experiment.glimpses is not None:
        looks = replace(experiment.glimpses, seed=seed)
        return glimpse(close, (task.image, task.image), looks)
    large = backbone(task, task.image, seed)
    trained = {name: close.constants.get(name, own) for name, own in large.constants.items()}
    whole = replace(large, constants=trained)
    return rename(whole, {whole.outputs[0]: "exit1"})


@dataclass
class Run:
    """One experiment with one seed: its data, and where its training is saved."""

    name: str
    seed: int
    folder: Path | None
    log: list[Any] = field(default_factory=list)

    def compiled(self, progress: Bars) -> tuple[Network, list[Graph]]:
        """The blob, and the graph after each pass that trains."""
        experiment = EXPERIMENTS[self.name]
        scenes = TASKS[experiment.task].scenes
        train, graphs = scenes("train"), list[Graph]()
        training = Training(
            *(train, scenes("watched"), "cpu", self.seed),
            folder=self.folder,
            resume=self.folder is not None,
            log=self.log.append,
        )
        context = Context(progress=progress, training=replace(training, test=None))
        task = TASKS[experiment.task]
        near = replace(context, training=replace(context.training, train=scenes("close")))
        close = close_up_recipe(task).run(backbone(task, task.look, self.seed), near)
        network = intaglio.compile(
            begun(experiment, self.seed, close),
            train.first(CALIBRATION)[0],
            recipe=recipe(experiment),
            training=training,
            progress=progress,
            observe=lambda run: graphs.append(run.after) if run.pass_.needs_training else None,
        )
        return network, graphs

    def report(self, network: Network, graphs: list[Graph], progress: Bars) -> dict[str, Any]:
        """The figures of the blob and of the networks that it came from."""
        experiment = EXPERIMENTS[self.name]
        test = TASKS[experiment.task].scenes("test")
        return {
            "experiment": self.name,
            "seed": self.seed,
            "close_ups": str(close_up_recipe(TASKS[experiment.task])),
            "recipe": str(recipe(experiment)),
            "torch": torch.__version__,
            "accuracy": measured(integers(network), test, progress),
            "float": measured(reals(graphs[0]), test, progress),
            "trained": measured(reals(graphs[-1]), test, progress),
            "changed": attacks(graphs[-1], network, test, progress),
            "bytes": len(network.blob),
            "epochs": self.log,
        }


Scores = Callable[[Reals], dict[str, NDArray[Any]]]


def integers(network: Network) -> Scores:
    """Codes of each exit."""

    def scores(x: Reals) -> dict[str, NDArray[Any]]:
        found = network.run(x)
        named = found if isinstance(found, dict) else {"exit1": found}
        return {name: each.codes for name, each in named.items()}

    return scores


def reals(graph: Graph) -> Scores:
    """Scores of each exit of a float graph, or of one in which reals are quantized."""
    module = intaglio.to_torch(graph).eval()

    @torch.no_grad()
    def scores(x: Reals) -> dict[str, NDArray[Any]]:
        found = module(torch.from_numpy(x))
        named = found if isinstance(found, dict) else {"exit1": found}
        return {name: each.numpy() for name, each in named.items() if name.startswith("exit")}

    return scores


def measured(scores: Scores, test: Scenes, progress: Bars) -> dict[str, float]:
    """Percent that each exit gets right."""
    hits: dict[str, int] = {}
    for done, (x, y) in enumerate(test, 1):
        for name, each in scores(x).items():
            hits[name] = hits.get(name, 0) + int((each.argmax(axis=1) == y).sum())
        progress("Measure", done, len(test))
    return {name: 100 * count / test.samples for name, count in hits.items()}


def attacks(graph: Graph, network: Network, test: Scenes, progress: Bars) -> dict[str, Any]:
    """Percent right of the last exit, as reals and as integers, under attack and under noise.

    Projected gradient descent on the reals: ``STEPS`` steps of a quarter of the bound each, no
    random start, at most so many of 255 levels a pixel. Images are what a camera gives: clipped to
    0..1 and rounded to 256 levels, for both.
    """
    x, y = test.first(ATTACKED)
    rng = np.random.default_rng(0)
    changed = {"none": x}
    for deviation in NOISES:
        noisy = x + deviation * rng.standard_normal(x.shape, np.float32)
        changed[f"noise {deviation}"] = as_pixels(noisy)
    module = intaglio.to_torch(graph).eval().requires_grad_(False)
    for done, levels in enumerate(LEVELS, 1):
        changed[f"pgd {levels}/255"] = as_pixels(descended(module, x, y, levels / 255))
        progress("Attack", done, len(LEVELS))
    return {
        name: {
            kind: 100 * float((answer(scores, each).argmax(axis=1) == y).mean())
            for kind, scores in (("float", reals(graph)), ("integers", integers(network)))
        }
        for name, each in changed.items()
    }


def answer(scores: Scores, x: Reals) -> NDArray[Any]:
    """The scores of the last exit."""
    parts = [list(scores(part).values())[-1] for part in np.array_split(x, max(1, len(x) // 100))]
    return np.concatenate(parts)


def descended(module: Any, x: Reals, y: NDArray[Any], bound: float) -> Reals:
    """Images that the last exit of ``module`` is most wrong about, as far as descent finds."""
    found = []
    for part, labels in zip(
        np.array_split(x, len(x) // 50), np.array_split(y, len(x) // 50), strict=True
    ):
        clean, target = torch.from_numpy(part), torch.from_numpy(labels)
        moved = clean.clone()
        for _ in range(STEPS):
            moved.requires_grad_(True)
            given = module(moved)
            last = given if isinstance(given, torch.Tensor) else list(given.values())[-1]
            loss = nn.functional.cross_entropy(last, target)
            (gradient,) = torch.autograd.grad(loss, moved)
            step = moved.detach() + bound / 4 * gradient.sign()
            moved = torch.clamp(step, clean - bound, clean + bound).clamp(0, 1)
        found.append(moved.numpy())
    return np.concatenate(found)


def load(path: Path) -> Network:
    """The network of a .intg.xz file."""
    return Network(lzma.decompress(path.read_bytes()))


def main() -> None:
    """Run one experiment and write what came of it."""
    parser = argparse.ArgumentParser(description="Train networks that look several times.")
    parser.add_argument("name", nargs="?", choices=sorted(EXPERIMENTS), help="the experiment")
    parser.add_argument("--list", action="store_true", help="print the recipes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch; 1 repeats to the bit")
    parser.add_argument("--checkpoints", type=Path, help="folder to save to and go on from")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder to write to")
    asked = parser.parse_args()
    if asked.list or asked.name is None:
        print("\n".join(f"{name}\n    {recipe(each)}" for name, each in EXPERIMENTS.items()))
        return
    torch.set_num_threads(asked.threads)
    run = Run(asked.name, asked.seed, asked.checkpoints)
    with Bars() as bars:
        network, graphs = run.compiled(bars)
        report = run.report(network, graphs, bars)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"{asked.name}-s{asked.seed}"
    path.with_suffix(".intg.xz").write_bytes(lzma.compress(network.blob, preset=9))
    path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{path}: {report['accuracy']} % as integers, {report['bytes']:,} bytes")


if __name__ == "__main__":
    main()
