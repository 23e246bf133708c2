"""The processes that train together: one alone, or those that ``torchrun`` started."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from ...errors import PassError, UsageError
from .. import processes

LOST = ("closed by peer", "Connection reset", "Socket", "NCCL", "Broken pipe")
"""Of these one is in what torch says when another process has ended."""


@dataclass(frozen=True, slots=True)
class World:
    """Which of how many processes this is, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, module: nn.Module) -> Any:
        """The module with gradients averaged over all processes."""
        if self.size == 1:
            return module
        chosen = [self.device.index or 0] if self.device.type == "cuda" else None
        # Of convs with axes of size 1, whose strides mean nothing.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return nn.parallel.DistributedDataParallel(module, device_ids=chosen)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of ``values`` over all processes."""
        if self.size == 1:
            return values
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    def spread(self, value: Any) -> Any:
        """What the leading process gives as ``value``, in every process."""
        if self.size == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, src=0)
        return held[0]

    def align(self, module: nn.Module) -> None:
        """Statistics that each process kept of its own samples: those of the leading process."""
        for held in module.buffers() if self.size > 1 else ():
            distributed.broadcast(held, src=0)


@contextmanager
def together(here: World) -> Iterator[None]:
    """Raises PassError for what happens here when another process ends."""
    try:
        yield
    except RuntimeError as error:
        if here.size == 1 or not any(each in str(error) for each in LOST):
            raise
        raise PassError(
            "Another process of this training has ended.", fix="Its own message says why."
        ) from error


def world(device: str) -> World:
    """This process among those of ``torchrun``, on ``device``; raises UsageError without it."""
    chosen = _device(device)
    size = processes.size()
    if size > 1 and not distributed.is_initialized():
        _meet("nccl" if chosen.type == "cuda" else "gloo")
    return World(processes.rank(), size, chosen)


def _device(name: str) -> torch.device:
    try:
        chosen = torch.device(name)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type not in ("cpu", "cuda"):
        raise UsageError(f"There is no device '{name}'.", fix="Choose cpu or cuda.")
    if chosen.type == "cpu":
        return chosen
    if not torch.cuda.is_available():
        raise UsageError("There is no CUDA device here.", fix="Choose the device cpu.")
    if processes.size() > 1:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    count = torch.cuda.device_count()
    if (chosen.index or 0) >= count:
        raise UsageError(
            f"There is no device 'cuda:{chosen.index}', only {count} of them.",
            fix="Choose one of these; with torchrun, start one process for each device.",
        )
    chosen = torch.device("cuda", chosen.index or 0)
    torch.cuda.set_device(chosen)
    torch.backends.cudnn.deterministic = True  # The seed decides everything.
    return chosen


def _meet(backend: str) -> None:
    """Find the other processes; part from them when this one ends."""
    try:
        distributed.init_process_group(backend)
    except ValueError as error:
        raise UsageError(
            f"WORLD_SIZE is {processes.size()}, but the other processes cannot be found: {error}.",
            fix="Start with torchrun, or unset WORLD_SIZE.",
        ) from error
    atexit.register(_part)


def _part() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
