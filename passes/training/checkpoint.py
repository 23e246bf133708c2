"""Checkpoints: the state of one pass in one file, written whole, read back to go on from there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import UsageError
from ...ir.graph import Graph
from ..base import Pass, Training
from .samples import Samples

State = dict[str, Any]
VERSION = 1


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
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            known = state["version"] == VERSION and state["key"] == self.key
        except Exception as error:  # torch raises many kinds for a damaged file
            raise UsageError(
                "The checkpoint is damaged.",
                where=f"'{self.path}'",
                fix="Delete it to begin this pass anew.",
            ) from error
        return state if known else None

    def save(self, state: State) -> None:
        """Write the state to a temporary name and rename it."""
        if self.path is None:
            return
        part = self.path.with_suffix(".part")
        torch.save({"version": VERSION, "key": self.key, **state}, part)
        part.replace(self.path)

    def write_log(self, rows: list[dict[str, Any]]) -> None:
        """One JSON line an epoch beside the checkpoint."""
        if self.path is None:
            return
        part = self.path.with_suffix(".log.part")
        part.write_text("".join(json.dumps(row) + "\n" for row in rows))
        part.replace(self.path.with_suffix(".jsonl"))


def checkpoint(pass_: Pass, graph: Graph, training: Training, samples: Samples) -> Checkpoint:
    """The checkpoint of ``pass_`` on ``graph``; raises UsageError where one lies unasked for."""
    key = key_of(pass_, graph, training, samples)
    if training.folder is None:
        return Checkpoint(None, key, False)
    try:
        training.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder of checkpoints cannot be made: {error.strerror}.",
            where=f"'{training.folder}'",
            fix="Choose a folder that you may write to.",
        ) from error
    path = training.folder / f"{pass_.name}-{key[:12]}.pt"
    if path.exists() and not training.resume:
        raise UsageError(
            "A checkpoint of this very pass lies there already.",
            where=f"'{path}'",
            fix="Go on from it with --resume, or delete it to begin anew.",
        )
    return Checkpoint(path, key, training.resume)


def key_of(pass_: Pass, graph: Graph, training: Training, samples: Samples) -> str:
    """A digest of all that decides what the pass computes."""
    parts = [repr(pass_), str(training.seed), str(training.shift), str(training.mirror)]
    parts += [f"{value.name}{value.type}" for value in graph.inputs]
    parts += [f"{node.name}{node.op}{node.inputs}" for node in graph.nodes]
    parts += [f"{name}{tensor.digest}" for name, tensor in graph.constants.items()]
    whole = hashlib.sha256("\n".join(parts).encode())
    for array in (getattr(samples, "x", None), getattr(samples, "y", None)):
        if array is not None:
            whole.update(array.detach().cpu().numpy().tobytes())
    return whole.hexdigest()
