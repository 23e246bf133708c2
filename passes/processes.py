"""Which of the processes that ``torchrun`` started this one is: its variables, nothing of torch."""

from __future__ import annotations

import os


def size() -> int:
    """How many processes work together; 1 without ``torchrun``."""
    return max(_number("WORLD_SIZE", 1), 1)


def rank() -> int:
    """Which of them this is, from 0."""
    return _number("RANK", 0) if size() > 1 else 0


def leads() -> bool:
    """Whether this process prints, shows progress and writes files."""
    return rank() == 0


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
