"""What ``intaglio compile`` was asked of a network that looks several times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..ir.graph import Graph
from ..passes.glimpse import Glimpses, glimpse

_IMAGE = re.compile(r"(\d+)(?:x(\d+))?")


@dataclass(frozen=True, slots=True)
class Looks:
    """What the user asked for; None is not said."""

    count: int | None = None
    image: str | None = None
    fusion: str | None = None

    def check(self) -> None:
        """Raise UsageError for options that lack others, or cannot be."""
        if self.count is None and (self.image or self.fusion):
            raise UsageError(
                "--image and --fusion are for networks that look several times.",
                fix="Give them with --glimpses.",
            )
        if self.count is not None:
            _ = self.size, self.options

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image; raises UsageError."""
        match = _IMAGE.fullmatch(self.image or "")
        if match is None:
            raise UsageError(
                f"The size of the image is {self.image or 'not given'}.",
                fix="Give it as --image 112x112, height first.",
            )
        return int(match[1]), int(match[2] or match[1])

    @property
    def options(self) -> Glimpses:
        """The options of the network; raises UsageError."""
        given: dict[str, Any] = {"count": self.count, "fusion": self.fusion}
        return Glimpses(**{name: value for name, value in given.items() if value is not None})

    def through(self, backbone: Graph) -> Graph:
        """The network that looks, or the model itself where nobody asked for it."""
        return backbone if self.count is None else glimpse(backbone, self.size, self.options)
