"""Keep some outputs of a network, and of the rest only what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import ClassVar

from ..errors import UsageError
from ..ir.graph import Graph, prune_unused
from ..ir.verify import Stage
from .base import Context, Pass


@dataclass(frozen=True)
class Strip(Pass):
    """Keep the outputs whose names match the shell pattern ``outputs``: what trained the rest goes.

    What stays computes what it did, bit for bit. Raises UsageError when no output matches.
    """

    name: ClassVar[str] = "strip"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float", "quantized": "quantized"}
    outputs: str = "exit*"

    def run(self, graph: Graph, context: Context) -> Graph:
        kept = tuple(name for name in graph.outputs if fnmatchcase(name, self.outputs))
        if not kept:
            raise UsageError(
                f"No output matches '{self.outputs}'.",
                fix=f"The outputs are {', '.join(graph.outputs)}.",
            )
        return prune_unused(replace(graph, outputs=kept))
