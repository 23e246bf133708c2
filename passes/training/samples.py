"""Labelled samples in batches, the same for the same seed and epoch, on the device that trains."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError, UsageError
from ...ir.graph import Graph
from ...ir.numeric import Array
from ..base import Training
from ..labelled import checked, draws, is_arrays, loader_of
from .world import World

EVALUATED = 500
"""Samples at once when accuracy is measured."""


class Samples(Protocol):
    """Labelled samples that can be gone through epoch after epoch."""

    def __len__(self) -> int:
        """Batches of an epoch; 0 when that is not known."""
        ...

    def epoch(self, draw: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of this process's share of each batch; ``draw`` seeds their order."""
        ...

    def digest(self) -> str:
        """What tells these samples from others, as far as that can be known."""
        ...


@dataclass(frozen=True)
class ArraySamples:
    """Arrays that lie on the device: ``x`` (samples, ...) and ``y`` (samples,).

    With ``shuffled`` every epoch has another order and drops the last, smaller batch.
    """

    x: Tensor
    y: Tensor
    batch: int
    world: World
    shuffled: bool = False
    shift: int = 0
    mirror: bool = False

    def __len__(self) -> int:
        full, rest = divmod(len(self.y), self.batch)
        return full if self.shuffled else full + bool(rest)

    def epoch(self, draw: int) -> Iterator[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(draw)
        count = len(self.y)
        order = torch.randperm(count, generator=random) if self.shuffled else torch.arange(count)
        moves = self._moves(count, random)
        for index in range(len(self)):
            part = slice(index * self.batch, (index + 1) * self.batch)
            own = order[part][self.world.rank :: self.world.size].to(self.x.device)
            x = self.x[own]
            if moves is not None:
                x = moved(x, moves[part][self.world.rank :: self.world.size], self.shift)
            yield x, self.y[own]

    def digest(self) -> str:
        found = hashlib.sha256()
        for held in (self.x, self.y):
            found.update(held.cpu().numpy().tobytes())
        return found.hexdigest()

    def _moves(self, count: int, random: torch.Generator) -> Tensor | None:
        """For each place in the order how far down, right and whether mirrored; None for never."""
        if not (self.shift or self.mirror):
            return None
        steps = torch.randint(0, 2 * self.shift + 1, (count, 2), generator=random)
        flips = torch.randint(0, 2 if self.mirror else 1, (count, 1), generator=random)
        return torch.cat([steps, flips], dim=1).to(self.x.device)


def moved(x: Tensor, moves: Tensor, shift: int) -> Tensor:
    """Images ``(n, c, h, w)`` cut from a border of zeros at ``moves`` (n, 3): top, left, mirror."""
    height, width = x.shape[2:]
    padded = torch.nn.functional.pad(x, (shift,) * 4)
    rows = moves[:, 0, None] + torch.arange(height, device=x.device)
    line = torch.arange(width, device=x.device)
    columns = moves[:, 1, None] + torch.where(moves[:, 2, None] == 1, line.flip(0), line)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


@dataclass(frozen=True)
class LoaderSamples:
    """The batches of the user's loader, such as a torch DataLoader of ``(x, y)``.

    A loader whose sampler has ``set_epoch`` is told the epoch and is taken to share the samples
    among processes itself; of any other each process takes its part of every batch: with ``even``
    as many samples as every other process, a few being left out.
    """

    loader: Iterable[Any]
    graph: Graph
    world: World
    what: str = "Training"
    even: bool = False

    def __len__(self) -> int:
        return len(self.loader) if isinstance(self.loader, Sized) else 0

    def epoch(self, draw: int) -> Iterator[tuple[Tensor, Tensor]]:
        shares = begin(self.loader, draw)
        rank, size = self.world.rank, self.world.size
        for batch in draws(self.loader, self.what):
            x, y = checked(batch, self.graph, self.what)
            end = len(y) - len(y) % size if self.even else len(y)
            part = slice(None) if shares else slice(rank, end, size)
            if len(y[part]):
                yield _tensor(x[part], self.world), _tensor(y[part], self.world)

    def digest(self) -> str:
        """Sizes alone: a loader may give other samples each time."""
        whole = getattr(self.loader, "dataset", None)
        samples = len(whole) if isinstance(whole, Sized) else 0
        return f"{len(self)} batches of {samples} samples"


def begin(loader: Any, draw: int) -> bool:
    """Make the next epoch of a loader that of ``draw``; whether it shares among processes."""
    torch.manual_seed(draw)
    sampler: Any = getattr(loader, "sampler", None)
    for generator in (getattr(loader, "generator", None), getattr(sampler, "generator", None)):
        if isinstance(generator, torch.Generator):
            generator.manual_seed(draw)
    if not hasattr(sampler, "set_epoch"):
        return False
    sampler.set_epoch(draw)
    return True


def training_samples(graph: Graph, training: Training, batch: int, world: World) -> Samples:
    """The samples to train on, checked; raises DataError."""
    if not is_arrays(training.train):
        return LoaderSamples(loader_of(training.train), graph, world, even=True)
    x, y = checked(training.train, graph)
    if len(y) < batch:
        raise DataError(
            f"There are {len(y)} training samples for batches of {batch}.",
            fix="Give more samples or make the batch smaller.",
        )
    if batch % world.size:
        raise DataError(
            f"A batch of {batch} cannot be shared by {world.size} processes.",
            fix="Choose a multiple of the number of processes.",
        )
    if training.shift < 0:
        raise UsageError(f"shift is {training.shift}.", fix="Choose 0 or more.")
    moves = training.shift, training.mirror
    if any(moves) and x.ndim != 4:
        raise DataError(
            f"Only images (n, c, h, w) can be shifted or mirrored; the input is {x.ndim}-D.",
            fix="Leave out shift and mirror.",
        )
    return ArraySamples(_tensor(x, world), _tensor(y, world), batch, world, True, *moves)


def measuring_samples(graph: Graph, training: Training, world: World) -> Samples | None:
    """The samples to measure accuracy on, checked; None when there are none."""
    if training.test is None:
        return None
    if not is_arrays(training.test):
        return LoaderSamples(loader_of(training.test, "Test"), graph, world, "Test")
    x, y = checked(training.test, graph, "Test")
    if not len(y):
        raise DataError("The test data is empty.", fix="Give at least one sample, or none at all.")
    return ArraySamples(_tensor(x, world), _tensor(y, world), EVALUATED, world)


def _tensor(array: Array, world: World) -> Tensor:
    """The array on the device; torch takes none that runs backwards or may not be written."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(world.device)
