"""What a phase of training does besides lowering the loss: nothing, unless a method says more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .module import GraphModule

State = dict[str, Any]


class Method:
    """What is special about a phase; exact zeros of the weights stay zero in all of them."""

    def start(self, module: GraphModule) -> None:
        """Called before the first epoch; may change the weights."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss of every step."""
        return None

    def after_step(self) -> None:
        """Called after the weights moved."""

    def after_epoch(self, epoch: int) -> Mapping[str, float]:
        """Called after each epoch, counted from 0; may change the weights; what to report."""
        return {}

    @property
    def done(self) -> bool:
        """Whether the phase may end before its last epoch."""
        return False

    def state(self) -> State:
        """What ``restore`` needs to go on, besides the weights."""
        return {}

    def restore(self, module: GraphModule, state: State) -> None:
        """Go on from ``state``, in place of ``start``."""
