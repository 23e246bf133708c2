"""The experiments of ``compress.py``: recipes by name, put together from the same few passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

SEEDS = (0, 1, 2)
LENET_LAYERS = ("conv1", "conv2", "fc1", "fc2")
LENET_KEPT = {
    17: (250, 5_000, 18_900, 1_175),
    71: (100, 2_000, 3_600, 350),
    150: (88, 1_300, 1_270, 210),
    246: (80, 850, 680, 140),
    348: (70, 640, 420, 107),
}
"""Weights that each layer of LeNet-5 keeps at an overall rate."""
INTEGERS = ("quantize", "lower", "dead_channels")


def step(name: str, **options: Any) -> str:
    """One pass as text."""
    return name + (json.dumps(options) if options else "")


def recipe(*steps: str) -> str:
    """Passes in order, as text."""
    return ",".join(steps)


def _kept(rate: int) -> dict[str, Any]:
    """The target of LeNet-5 at a rate: the weights of each layer."""
    counts = zip(LENET_LAYERS, LENET_KEPT[rate], strict=True)
    return {"rate": rate, "layers": [{"match": name, "keep": count} for name, count in counts]}


ADAM = {"batch": 128}
SGD = {"method": "sgd", "learning_rate": 0.1, "batch": 128, "weight_decay": 5e-4}
LENET = recipe("canonicalize", step("train", epochs=20, optimizer=ADAM))
RESNET = recipe("canonicalize", step("train", epochs=60, batch_norm=True, optimizer=SGD))


def _ladder(*rates: int) -> str:
    """ADMM at one rate after the other."""
    return recipe(
        *(step("admm", target=_kept(r), epochs=5, retrain=10, optimizer=ADAM) for r in rates)
    )


def _recipes() -> Iterator[tuple[str, str]]:
    yield "lenet-dense", recipe(LENET, *INTEGERS)
    rates = tuple(LENET_KEPT)
    for place, rate in enumerate(rates, 1):
        yield f"lenet-{rate}x", recipe(LENET, _ladder(*rates[:place]), *INTEGERS)
    yield "resnet20-dense", recipe(RESNET, *INTEGERS)


RECIPES = dict(_recipes())
