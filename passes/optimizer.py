"""How the passes that train move the weights: options, and nothing of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from ..errors import UsageError

Method = Literal["adam", "sgd"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Loss:
    """The mean cross entropy of all outputs whose name matches the shell pattern, weighted.

    ``distill`` is the share of it that compares with the network's own answer instead of the
    labels, at ``temperature``; the answer learns nothing from that.
    """

    outputs: str
    weight: float = 1.0
    distill: float = 0.0
    temperature: float = 3.0

    def __post_init__(self) -> None:
        _check(
            ("weight of a loss", self.weight, 0.0, 1000.0),
            ("distill of a loss", self.distill, 0.0, 1.0),
            ("temperature of a loss", self.temperature, 0.1, 100.0),
        )


@dataclass(frozen=True)
class Relation:
    """Relations of pairs of samples, ``width`` numbers each, seen in every output ``feature...``.

    ``weight`` of how far those of other features are from those of the last, ``classes`` of telling
    whether a pair is of one class; with neither there are none.
    """

    weight: float = 0.0
    classes: float = 0.0
    width: int = 64

    def __bool__(self) -> bool:
        return bool(self.weight or self.classes)

    def __post_init__(self) -> None:
        _check(
            ("weight of a relation", self.weight, 0.0, 1000.0),
            ("classes of a relation", self.classes, 0.0, 1000.0),
            ("width of a relation", self.width, 1, 4096),
        )


def _check(*given: tuple[str, float, float, float]) -> None:
    """Raise UsageError for the first number that is not from its least to its most."""
    for what, value, least, most in given:
        if not least <= value <= most:
            raise UsageError(f"{what} is {value}.", fix=f"Choose {least:g} to {most:g}.")


@dataclass(frozen=True)
class Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9, on batches of ``batch`` samples.

    ``weight_decay`` is the L2 coefficient of weights, biases left out. ``distill`` is the share of
    the loss that compares with the teacher, at ``temperature`` (Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015); the rest compares with the labels, ``smoothing`` of each
    label spread over all classes. A network with several outputs of scores says which of them
    count with ``losses``; without, only the last counts, which is its answer. The teacher is
    compared with that one. ``relation`` adds relations between samples (see ``Relation``).
    """

    method: Method = "adam"
    learning_rate: float = 1e-3
    batch: int = 64
    weight_decay: float = 0.0
    distill: float = 0.0
    temperature: float = 4.0
    smoothing: float = 0.0
    losses: tuple[Loss, ...] = ()
    relation: Relation = field(default_factory=Relation)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"There is no optimizer '{self.method}'.", fix=f"Choose {' or '.join(METHODS)}."
            )
        for what, value, least, most in (
            ("learning_rate", self.learning_rate, 0.0, 10.0),
            ("batch", self.batch, 1, 1 << 20),
            ("weight_decay", self.weight_decay, 0.0, 1.0),
            ("distill", self.distill, 0.0, 1.0),
            ("temperature", self.temperature, 0.1, 100.0),
            ("smoothing", self.smoothing, 0.0, 0.9),
        ):
            if not least <= value <= most:
                raise UsageError(f"{what} is {value}.", fix=f"Choose {least} to {most}.")
