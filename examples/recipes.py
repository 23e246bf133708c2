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

ADAM = {"learning_rate": 0.003, "batch": 256, "distill": 0.8}
SMALLER = {**ADAM, "learning_rate": 0.002, "batch": 128}
FASTER = {**ADAM, "learning_rate": 0.006}
SGD = {"method": "sgd", "learning_rate": 0.1, "batch": 128, "weight_decay": 5e-4}
LARGE = {**SGD, "learning_rate": 0.2, "batch": 256}
DENSE = {
    "lenet": recipe("canonicalize", step("train", epochs=15, optimizer={"batch": 128})),
    "resnet20": recipe("canonicalize", step("train", epochs=70, batch_norm=True, optimizer=LARGE)),
}
"""How the dense networks are trained; they are the teachers of what follows."""

LADDER = {17: (4, 8), 40: (4, 8), 71: (6, 16), 120: (6, 12), 180: (8, 16), 240: (10, 30)}
"""Rates of LeNet-5, one after the other: epochs of ADMM and of retraining at each."""
BRANCH = 180
GOALS = {246: (242, 10, 40), 290: (284, 8, 20), 348: (336, 10, 60)}
"""Rates that the blob shall have; the one to prune to, since weights that nobody reads go as well,
and epochs of ADMM and of retraining. One after the other, from the ladder's ``BRANCH``."""
CROSSINGS = {
    25: ((11, 24), (30, 180), (52, 156)),
    60: ((9, 22), (24, 130), (32, 100)),
}
"""Filters and columns of conv1, conv2 and fc1; fc2 keeps the columns of fc1's filters."""
CROSSING_EPOCHS = {25: (5, 10), 60: (8, 25)}
NARROWER = {
    124: ({"conv1": 7, "conv2": 17, "fc1": 22}, {"conv1": 20, "conv2": 85, "fc1": 60}),
    232: ({"conv1": 6, "conv2": 12, "fc1": 16}, {"conv1": 18, "conv2": 75, "fc1": 42}),
}
"""Beyond, first filters and then columns: what nobody reads goes between, and costs none."""
NARROWER_EPOCHS = {124: ((5, 10), (3, 14)), 232: ((5, 20), (5, 50))}
NARROWER_BATCH = {124: 128, 232: 64}


def total_epochs(rate: int) -> int:
    """Epochs of the ladder up to a rate."""
    return sum(sum(epochs) for rung, epochs in LADDER.items() if rung <= rate)


def lenet_admm(rate: int) -> str:
    """LeNet-5 pruned without structure by ADMM, over the lower rates."""
    return recipe(*(_rung(rung) for rung in LADDER if rung <= rate))


def _rung(rate: int) -> str:
    epochs, retrain = LADDER[rate]
    target = {"rate": rate, "allocate": "lamp"}
    options = {"epochs": epochs, "retrain": retrain, "rho": 0.01, "growth": 1.2}
    return step("admm", target=target, optimizer=ADAM, **options)


def lenet_goal(rate: int) -> str:
    """Until the blob has one weight in ``rate``, whatever it lost besides."""
    return recipe(lenet_admm(BRANCH), *(_goal(*GOALS[each]) for each in GOALS if each <= rate))


def _goal(rate: int, epochs: int, retrain: int) -> str:
    target = {"rate": rate, "allocate": "lamp"}
    options = {"epochs": epochs, "retrain": retrain, "rho": 0.01, "growth": 1.2}
    return step("admm", target=target, optimizer=SMALLER, **options)


def lenet_magnitude(rate: int, *, gradual: bool) -> str:
    """The same by magnitude, in as many epochs: at once, or gradually over half of them."""
    epochs = total_epochs(rate)
    first = epochs // 2 if gradual else 0
    target = {"rate": rate, "allocate": "lamp"}
    options = {"gradual": first, "retrain": epochs - first, "optimizer": ADAM}
    return step("magnitude", target=target, **options)


def lenet_structured(rate: int) -> str:
    """LeNet-5 with whole filters and columns pruned by ADMM, over the lower rates."""
    crossings = (_crossing(each) for each in CROSSINGS if each <= rate)
    return recipe(*crossings, *(_narrower(each) for each in NARROWER if each <= rate))


def _narrower(rate: int) -> str:
    made = []
    for scheme, kept, (epochs, retrain) in zip(
        ("filter", "column"), NARROWER[rate], NARROWER_EPOCHS[rate], strict=True
    ):
        layers = [{"match": name, "keep": count} for name, count in kept.items()]
        target = {"scheme": scheme, "rate": 1, "layers": layers}
        options = {"epochs": epochs, "retrain": retrain, "rho": 0.01, "growth": 1.3}
        optimizer = {**ADAM, "learning_rate": 0.004, "batch": NARROWER_BATCH[rate]}
        made += ["purify", step("admm", target=target, optimizer=optimizer, **options)]
    return recipe(*made)


def _crossing(rate: int) -> str:
    names = ("conv1", "conv2", "fc1", "fc2")
    sizes = (*CROSSINGS[rate], (10, CROSSINGS[rate][-1][0]))
    layers = [
        {"match": name, "filters": filters, "columns": columns}
        for name, (filters, columns) in zip(names, sizes, strict=True)
    ]
    target = {"scheme": "filter+column", "rate": rate, "layers": layers}
    epochs, retrain = CROSSING_EPOCHS[rate]
    options = {"epochs": epochs, "retrain": retrain, "rho": 0.01, "growth": 1.3}
    return step("admm", target=target, optimizer=FASTER, **options)


def lenet_coded(kind: str, bits: int, epochs: int = 8, rounds: int = 4, each: int = 6) -> str:
    """The levels of a coding, given by ADMM and hardening."""
    coding = {"kind": kind, "bits": bits, "epochs": epochs, "rounds": rounds, "each": each}
    optimizer = {**ADAM, "learning_rate": 0.001}
    return step("admm", target={"rate": 1}, rho=0.01, coding=coding, optimizer=optimizer)


def lenet_binary() -> str:
    """Every weight one of two values, trained through its sign."""
    quantize = {"weight_bits": 1}
    return step("qat", epochs=8, quantize=quantize, optimizer=SMALLER)


def lenet_n_of_m() -> str:
    """LeNet-5 with one of every 16 weights of a row left, by ADMM; conv1 keeps its 500."""
    target = {"scheme": "n:m", "n_of_m": [1, 16], "rate": 16, "layers": [WHOLE_CONV1]}
    options = {"epochs": 6, "retrain": 12, "rho": 0.01, "growth": 1.2}
    return step("admm", target=target, optimizer=ADAM, **options)


WHOLE_CONV1 = {"match": "conv1", "rate": 1}


def lenet_levels(bits: int) -> str:
    """The levels of few bits: with one bit those that are left take one of two values."""
    return lenet_coded("binary" if bits == 1 else "uniform", bits)


def resnet(target: dict[str, Any], further: tuple[float, ...] = ()) -> str:
    """ResNet-20 pruned by ADMM; rates in ``further`` leave out a little more, one epoch each."""
    prune = {"epochs": 5, "retrain": 25, "batch_norm": True, "rho": 0.01, "growth": 2.5}
    gentle = {"retrain": 1, "batch_norm": True, "optimizer": {**SLOW, "learning_rate": 0.01}}
    return recipe(
        step("admm", target=target, optimizer=SLOW, **prune),
        *(step("magnitude", target={**target, "rate": rate}, **gentle) for rate in further),
    )


SLOW = {**SGD, "learning_rate": 0.05, "weight_decay": 2e-4, "distill": 0.5}
ROUNDED = {"batch": 128, "distill": 0.5}


def resnet_rounded(bits: int, epochs: int) -> str:
    """Trained on with weights of few bits and activations of 8."""
    rate = 3e-4 if bits > 2 else 1e-3
    optimizer = {"learning_rate": rate, **ROUNDED}
    return step("qat", epochs=epochs, quantize={"weight_bits": bits}, optimizer=optimizer)


def resnet_binary() -> str:
    """Weights that are left take one of two values of their filter."""
    coding = {"kind": "binary", "per_channel": True, "epochs": 6, "rounds": 4, "each": 4}
    optimizer = {"learning_rate": 0.001, **ROUNDED}
    return step("admm", target={"rate": 1}, rho=0.01, coding=coding, optimizer=optimizer)


RESNETS = {
    "4x": resnet({"rate": 4, "allocate": "lamp"}),
    "structured-2x": resnet({"scheme": "column", "rate": 1.6}, (1.66,)),
    "n-of-m-2x": resnet({"scheme": "n:m", "n_of_m": [2, 4], "rate": 2}),
}
"""ResNet-20 pruned. Columns at rate 1.66 leave half of the weights: filters that none of them
reads go as well."""
RESNET_EPOCHS = {4: 4, 2: 12}


def _recipes() -> Iterator[tuple[str, str]]:
    yield "lenet-dense", recipe(*INTEGERS)
    for rate in LADDER:
        yield f"lenet-admm-{rate}x", recipe(lenet_admm(rate), *INTEGERS)
    for rate in GOALS:
        yield f"lenet-goal-{rate}x", recipe(lenet_goal(rate), *INTEGERS)
    for rate in (17, 71, 240):
        yield f"lenet-one-shot-{rate}x", recipe(lenet_magnitude(rate, gradual=False), *INTEGERS)
        yield f"lenet-gradual-{rate}x", recipe(lenet_magnitude(rate, gradual=True), *INTEGERS)
    for rate in (*CROSSINGS, *NARROWER):
        yield f"lenet-structured-{rate}x", recipe(lenet_structured(rate), *INTEGERS)
    yield "lenet-binary", recipe(lenet_binary(), *INTEGERS[1:])
    yield "lenet-hardened", recipe(lenet_coded("binary", 1), *INTEGERS)
    for bits in (4, 3, 2):
        yield f"lenet-71x-w{bits}", recipe(lenet_admm(71), lenet_coded("uniform", bits), *INTEGERS)
    yield from _lenets_by_bits()
    yield "resnet20-dense", recipe(*INTEGERS)
    for name, pruned in RESNETS.items():
        epochs = {**RESNET_EPOCHS, 4: 2} if name == "structured-2x" else RESNET_EPOCHS
        yield f"resnet20-{name}-w8", recipe(pruned, *INTEGERS)
        for bits, each in epochs.items():
            label = f"resnet20-{name}" if bits == 4 else f"resnet20-{name}-w{bits}"
            yield label, recipe(pruned, resnet_rounded(bits, each), *INTEGERS[1:])
        yield f"resnet20-{name}-w1", recipe(pruned, resnet_binary(), *INTEGERS)
    for bits in (4, 2, 1):
        epochs_left = RESNET_EPOCHS.get(bits, 20)
        yield f"resnet20-dense-w{bits}", recipe(resnet_rounded(bits, epochs_left), *INTEGERS[1:])


def _lenets_by_bits() -> Iterator[tuple[str, str]]:
    """Networks of equal bits and nearly equal accuracy; those that are listed above go without."""
    yield "lenet-n-of-m-16x", recipe(lenet_n_of_m(), *INTEGERS)
    for bits in (4, 2):
        yield f"lenet-dense-w{bits}", recipe(lenet_levels(bits), *INTEGERS)
    yield "lenet-71x-w1", recipe(lenet_admm(71), lenet_levels(1), *INTEGERS)
    pruned = {
        "structured-25x": recipe(lenet_structured(25), "purify"),
        "structured-60x": recipe(lenet_structured(60), "purify"),
        "n-of-m-16x": lenet_n_of_m(),
        "admm-120x": lenet_admm(120),
    }
    for name, steps in pruned.items():
        for bits in (4, 2, 1):
            yield f"lenet-{name}-w{bits}", recipe(steps, lenet_levels(bits), *INTEGERS)


RECIPES = dict(_recipes())
