"""Checkpoints: the state of one pass in one file, written whole, read back to go on from there."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import UsageError
from ...ir.graph import Graph
from ...ir.numeric import Array
from ..base import Context, Pass, Training
from .method import State
from .samples import Samples
from .world import World

Batches = Iterable[Mapping[str, Array]]
VERSION = 1
DIGEST = hashlib.sha256().digest_size
"""Bytes in front of what torch wrote."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a pass saves its state, if at all; ``key`` names pass, graph and data."""

    path: Path | None
    key: str
    resume: bool

    def load(self) -> State | None:
        """The state to go on from, or None to begin; raises UsageError for a damaged file."""
        if self.path is None or not self.path.exists() or not self.resume:
            return None
        try:
            data = self.path.read_bytes()
            if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
                raise ValueError("its digest does not match")  # torch checks no checksum
            state = torch.load(io.BytesIO(data[DIGEST:]), map_location="cpu", weights_only=True)
            known = state["version"] == VERSION and state["key"] == self.key
        except Exception as error:  # torch raises many kinds for a damaged file
            raise UsageError(
                "The checkpoint is damaged.",
                where=f"'{self.path}'",
                fix="Delete it to begin this pass anew.",
            ) from error
        return state if known else None

    def save(self, state: State) -> None:
        """Write the state; a process that is killed leaves the state before, whole."""
        if self.path is not None:
            held = io.BytesIO()
            torch.save({"version": VERSION, "key": self.key, **state}, held)
            data = held.getvalue()
            _write(self.path, hashlib.sha256(data).digest() + data)

    def write_log(self, rows: list[dict[str, Any]]) -> None:
        """One JSON line an epoch beside the checkpoint."""
        if self.path is not None:
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            _write(self.path.with_suffix(".jsonl"), lines.encode())


def _write(path: Path, data: bytes) -> None:
    """Write to a name that the next attempt takes again, and rename it; raises UsageError."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UsageError(
            f"The checkpoint cannot be written: {error.strerror}.",
            where=f"'{path}'",
            fix="Make room for it, or choose another folder; --resume goes on from the state "
            "before.",
        ) from error


def checkpoint(
    pass_: Pass, graph: Graph, context: Context, samples: Samples, world: World
) -> Checkpoint:
    """The checkpoint of ``pass_`` on ``graph``; raises UsageError where one lies unasked for.

    Only the leading process has one.
    """
    training = context.training
    if training is None or training.folder is None or not world.leads:
        return Checkpoint(None, "", False)
    folder = Path(training.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder of checkpoints cannot be made: {error.strerror}.",
            where=f"'{folder}'",
            fix="Choose a folder that you may write to.",
        ) from error
    key = key_of(pass_, graph, training, samples, context.batches)
    path = folder / f"{pass_.name}-{key[:12]}.pt"
    if path.exists() and not training.resume:
        raise UsageError(
            "A checkpoint of this very pass lies there already.",
            where=f"'{path}'",
            fix="Go on from it with --resume, or delete it to begin anew.",
        )
    if training.note and training.resume and not path.exists() and any(folder.glob("*.pt")):
        training.note(
            f"Nothing in '{folder}' is of this recipe, network, data and seed: training begins."
        )
    return Checkpoint(path, key, training.resume)


def key_of(
    pass_: Pass, graph: Graph, training: Training, samples: Samples, batches: Batches
) -> str:
    """A digest of all that decides what the pass computes."""
    parts = [repr(pass_), str(training.seed), str(training.shift), str(training.mirror)]
    for each in (graph, training.teacher) if training.teacher else (graph,):
        parts += [f"{value.name}{value.type}" for value in each.inputs]
        parts += [f"{node.name}{node.op}{node.inputs}" for node in each.nodes]
        parts += [f"{name}{tensor.digest}" for name, tensor in each.constants.items()]
    parts.append(samples.digest())
    if pass_.needs_data:
        parts.append(_digest_of(batches))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest_of(batches: Batches) -> str:
    found = hashlib.sha256()
    for batch in batches:
        for name, array in sorted(batch.items()):
            found.update(f"{name} {array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
