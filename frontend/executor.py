"""What is said when a model cannot be run by its owner."""

from __future__ import annotations


class NoExecutorError(Exception):
    """Why there is no executor to compare a model with."""
