"""Labelled samples in batches, the same for the same seed and epoch, on the device that trains."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from ...ir.graph import Graph
from ..base import Training
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
    classes: int
    even: bool = False

    def __len__(self) -> int:
        return len(self.loader) if isinstance(self.loader, Sized) else 0

    def epoch(self, draw: int) -> Iterator[tuple[Tensor, Tensor]]:
        shares = self._seed(draw)
        rank, size = self.world.rank, self.world.size
        for batch in self.loader:
            x, y = checked(batch, self.graph, self.classes)
            end = len(y) - len(y) % size if self.even else len(y)
            part = slice(None) if shares else slice(rank, end, size)
            if len(y[part]):
                yield x[part].to(self.world.device), y[part].to(self.world.device)

    def _seed(self, draw: int) -> bool:
        """Make the next epoch the one of ``draw``; whether the loader shares among processes."""
        torch.manual_seed(draw)
        sampler: Any = getattr(self.loader, "sampler", None)
        for generator in {getattr(each, "generator", None) for each in (self.loader, sampler)}:
            if isinstance(generator, torch.Generator):
                generator.manual_seed(draw)
        if not hasattr(sampler, "set_epoch"):
            return False
        sampler.set_epoch(draw)
        return True

    def digest(self) -> str:
        """Sizes alone: a loader may give other samples each time."""
        whole = getattr(self.loader, "dataset", None)
        samples = len(whole) if isinstance(whole, Sized) else 0
        return f"{len(self)} batches of {samples} samples"


def checked(batch: Any, graph: Graph, classes: int) -> tuple[Tensor, Tensor]:
    """A batch as reals and class numbers that fit ``graph``; raises DataError."""
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        raise DataError(
            f"Training data gave a {type(batch).__name__}, expected images and labels.",
            fix="Give pairs (x, y).",
        )
    x, y = map(_tensor, batch)
    value = graph.inputs[0]
    shape = value.type.sample_shape
    if x.shape[1:] != shape or not x.is_floating_point():
        kind = str(x.dtype).removeprefix("torch.")
        raise DataError(
            f"Training data is {kind}{list(x.shape)}, expected reals of shape {value.type.shape}.",
            where=f"Input '{value.name}'",
            fix="Prepare the data exactly as the float network takes it.",
        )
    if y.shape != x.shape[:1] or y.is_floating_point():
        kind = str(y.dtype).removeprefix("torch.")
        raise DataError(
            f"Labels are {kind}{list(y.shape)} for {len(x)} samples.",
            fix="Give one class number for each sample.",
        )
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise DataError(
            f"Labels reach from {int(y.min())} to {int(y.max())}, but the network has {classes} "
            "classes.",
            fix=f"Number the classes 0 to {classes - 1}.",
        )
    if not bool(torch.isfinite(x).all()):
        raise DataError(
            "Training data holds NaN or infinite values.",
            where=f"Input '{value.name}'",
            fix="Remove or repair these samples.",
        )
    return x.float(), y.long()


def _tensor(given: Any) -> Tensor:
    if isinstance(given, Tensor):
        return given.detach()
    array = np.asarray(given)
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"Training data gave {array.dtype} where numbers are expected.",
            fix="Give images as reals and labels as class numbers.",
        )
    kind = array.dtype.newbyteorder("=")
    if kind.kind == "f":
        kind = np.dtype(np.float32)
    elif kind.kind == "u" and kind.itemsize > 1:
        kind = np.dtype(np.int64)
    return torch.from_numpy(array.astype(kind, copy=not array.flags.writeable))


def training_samples(graph: Graph, training: Training, batch: int, world: World) -> Samples:
    """The samples to train on, checked; raises DataError."""
    if not isinstance(training.train, list | tuple):
        return LoaderSamples(_again(training.train), graph, world, _classes(graph), even=True)
    x, y = checked(training.train, graph, _classes(graph))
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
    moves = training.shift, training.mirror
    if any(moves) and x.ndim != 4:
        raise DataError(
            f"Only images (n, c, h, w) can be shifted or mirrored; the input is {x.ndim}-D.",
            fix="Leave out shift and mirror.",
        )
    x, y = x.to(world.device), y.to(world.device)
    return ArraySamples(x, y, batch, world, True, *moves)


def test_samples(graph: Graph, training: Training, world: World) -> Samples | None:
    """The samples to measure accuracy on, checked; None when there are none."""
    if training.test is None:
        return None
    if not isinstance(training.test, list | tuple):
        return LoaderSamples(_again(training.test), graph, world, _classes(graph))
    x, y = checked(training.test, graph, _classes(graph))
    if not len(y):
        raise DataError("The test data is empty.", fix="Give at least one sample, or none at all.")
    return ArraySamples(x.to(world.device), y.to(world.device), EVALUATED, world)


def _again(loader: Any) -> Iterable[Any]:
    """The loader; raises DataError for what can be gone through only once."""
    if not isinstance(loader, Iterable) or isinstance(loader, Iterator):
        raise DataError(
            f"Labelled data is a {type(loader).__name__}, which cannot be read once an epoch.",
            fix="Give (x, y), or a DataLoader of such batches.",
        )
    return loader


def _classes(graph: Graph) -> int:
    """How many classes the one output tells apart; raises DataError for other networks."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise DataError(
            f"The network has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "training passes take one input and one output of class scores.",
            fix="Cut the network so that one of each is left.",
        )
    shape = graph.type_of(graph.outputs[0]).sample_shape
    if len(shape) != 1:
        raise DataError(
            f"The output '{graph.outputs[0]}' has the shape {shape}, not one score a class.",
            fix="Flatten it to (n, classes).",
        )
    return shape[0]
