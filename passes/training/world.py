"""The processes that train together: one alone, or those that ``torchrun`` started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from ...errors import UsageError


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
        synced = nn.SyncBatchNorm.convert_sync_batchnorm(module) if chosen else module
        return nn.parallel.DistributedDataParallel(synced, device_ids=chosen)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of ``values`` over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values


def world(device: str) -> World:
    """This process among those of ``torchrun``, on ``device``; raises UsageError without it."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"There is no device '{device}'.", fix="Choose cpu or cuda.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("There is no CUDA device here.", fix="Choose the device cpu.")
    if chosen.type == "cuda" and size > 1:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(chosen)
    if size > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return World(rank, size, chosen)
