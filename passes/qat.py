"""Quantize, then train on with weights and activations rounded as the integers will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import UsageError
from ..ir.graph import Graph
from ..ir.verify import Stage
from .base import Context, Pass
from .optimizer import Optimizer
from .quantize import Quantize


@dataclass(frozen=True)
class Qat(Pass):
    """Choose codes as ``quantize`` does, then train ``epochs`` through their rounding.

    Weights, biases and the scales of weights and of activations of up to 8 bits train; scales of
    inputs and outputs stay. Weights that are zero stay zero, those that are codes already stay
    these codes. One bit has no zero: what was pruned takes a value again. The learning rate falls
    to nothing as a cosine.
    """

    name: ClassVar[str] = "qat"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "quantized"}
    needs_data: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True
    epochs: int = 5
    quantize: Quantize = field(default_factory=Quantize)
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=3e-4))

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs is {self.epochs}.", fix="Choose 1 or more.")

    @property
    def total_epochs(self) -> int:
        """Epochs of the one phase."""
        return self.epochs

    def run(self, graph: Graph, context: Context) -> Graph:
        from .training.qat import by_qat

        return by_qat(self, graph, context)
