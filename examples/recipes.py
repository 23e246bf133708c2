"""The experiments of ``compress.py``: recipes by name, put together from the same few passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

SEEDS = (0, 1, 2)


def step(name: str, **options: Any) -> str:
    """One pass as text."""
    return name + (json.dumps(options) if options else "")


def recipe(*steps: str) -> str:
    """Passes in order, as text."""
    return ",".join(steps)


INTEGERS = ("quantize", "lower", "dead_channels", "columns")

ADAM = {"learning_rate": 0.002, "batch": 128, "distill": 0.7}
LENET = recipe("canonicalize", step("train", epochs=20, optimizer={"batch": 128}))
RUNGS = (17, 40, 71, 150, 246, 348, 450)
"""Rates that pruning LeNet-5 goes through, one after the other."""
EACH = {"epochs": 5, "retrain": 10}
CROSSINGS = {
    60: ((9, 22), (24, 130), (32, 100)),
    232: ((6, 18), (12, 75), (16, 42)),
}
"""Filters and columns of conv1, conv2 and fc1; fc2 keeps the columns of fc1's filters."""

SGD = {"method": "sgd", "learning_rate": 0.1, "batch": 128, "weight_decay": 5e-4}
RESNET = recipe("canonicalize", step("train", epochs=60, batch_norm=True, optimizer=SGD))


def lenet_admm(rate: int, **options: Any) -> str:
    """LeNet-5 pruned without structure by ADMM, over the lower rungs."""
    target = {"rate": rate, "allocate": "lamp"}
    via = [rung for rung in RUNGS if rung < rate]
    return recipe(LENET, step("admm", target=target, via=via, optimizer=ADAM, **EACH, **options))


def lenet_magnitude(rate: int, *, gradual: bool) -> str:
    """The same by magnitude, in as many epochs: at once, or gradually over half of them."""
    rungs = sum(rung <= rate for rung in RUNGS)
    epochs = rungs * sum(EACH.values())
    first = epochs // 2 if gradual else 0
    target = {"rate": rate, "allocate": "lamp"}
    options = {"gradual": first, "retrain": epochs - first, "optimizer": ADAM}
    return recipe(LENET, step("magnitude", target=target, **options))


def lenet_structured(rate: int) -> str:
    """LeNet-5 with whole filters and columns pruned by ADMM, over the lower rates."""
    passes = [_crossing(each) for each in CROSSINGS if each <= rate]
    return recipe(LENET, *passes)


def _crossing(rate: int) -> str:
    filters = (*(rows for rows, _ in CROSSINGS[rate]), 10)
    columns = (*(across for _, across in CROSSINGS[rate]), CROSSINGS[rate][-1][0])
    layers = [
        {"match": name, "filters": rows, "columns": across}
        for name, rows, across in zip(
            ("conv1", "conv2", "fc1", "fc2"), filters, columns, strict=True
        )
    ]
    target = {"scheme": "filter+column", "rate": rate, "layers": layers}
    return step("admm", target=target, optimizer={**ADAM, "learning_rate": 0.004}, **EACH)


def lenet_coded(kind: str, bits: int) -> str:
    """The levels of a coding, given by ADMM and hardening."""
    coding = {"kind": kind, "bits": bits, "epochs": 5, "rounds": 4, "each": 3}
    return step("admm", target={"rate": 1}, coding=coding, optimizer=ADAM)


def resnet(target: dict[str, Any]) -> str:
    """ResNet-20 pruned by ADMM and trained on with 4-bit weights."""
    prune = {"epochs": 12, "retrain": 25, "batch_norm": True, "rho": 1e-3, "growth": 1.5}
    slow = {**SGD, "learning_rate": 0.02, "weight_decay": 1e-4}
    finish = {**SGD, "learning_rate": 0.005, "weight_decay": 0.0}
    return recipe(
        RESNET,
        step("admm", target=target, optimizer=slow, **prune),
        step("qat", epochs=12, quantize={"weight_bits": 4}, optimizer=finish),
        *INTEGERS[1:],
    )


def _recipes() -> Iterator[tuple[str, str]]:
    yield "lenet-dense", recipe(LENET, *INTEGERS)
    for rate in RUNGS[2:]:
        yield f"lenet-{rate}x", recipe(lenet_admm(rate), *INTEGERS)
    for rate in CROSSINGS:
        yield f"lenet-structured-{rate}x", recipe(lenet_structured(rate), *INTEGERS)
    yield "lenet-binary", recipe(LENET, lenet_coded("binary", 1), *INTEGERS)
    for bits in (4, 3, 2):
        coded = lenet_coded("uniform", bits)
        yield f"lenet-71x-w{bits}", recipe(lenet_admm(71), coded, *INTEGERS)
    for rate in (17, 71, 246):
        yield f"lenet-admm-{rate}x", recipe(lenet_admm(rate), *INTEGERS)
        yield f"lenet-one-shot-{rate}x", recipe(lenet_magnitude(rate, gradual=False), *INTEGERS)
        yield f"lenet-gradual-{rate}x", recipe(lenet_magnitude(rate, gradual=True), *INTEGERS)
    yield "resnet20-dense", recipe(RESNET, *INTEGERS)
    yield "resnet20-4x", resnet({"rate": 4, "allocate": "lamp"})
    yield "resnet20-structured-2x", resnet({"scheme": "column", "rate": 2})


RECIPES = dict(_recipes())
