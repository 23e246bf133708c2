"""How the passes that train move the weights: options, and nothing of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import UsageError

Method = Literal["adam", "sgd"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Loss:
    """The mean cross entropy of all outputs whose name matches the shell pattern, weighted."""

    outputs: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1000:
            raise UsageError(f"weight of a loss is {self.weight}.", fix="Choose 0 to 1000.")


@dataclass(frozen=True)
class Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9, on batches of ``batch`` samples.

    ``weight_decay`` is the L2 coefficient of weights, biases left out. ``distill`` is the share of
    the loss that compares with the teacher, at ``temperature`` (Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015); the rest compares with the labels, ``smoothing`` of each
    label spread over all classes. A network with several outputs of scores says which of them
    count with ``losses``; without, only the last counts, which is its answer. The teacher is
    compared with that one.
    """

    method: Method = "adam"
    learning_rate: float = 1e-3
    batch: int = 64
    weight_decay: float = 0.0
    distill: float = 0.0
    temperature: float = 4.0
    smoothing: float = 0.0
    losses: tuple[Loss, ...] = ()

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
