"""The unknown number of samples, as an element of a shape that is folded at import time."""

from __future__ import annotations

from typing import Final

from ...errors import ImportModelError


class BatchSize:
    """The number ``n``: neutral arithmetic keeps it, any other raises ImportModelError."""

    def __repr__(self) -> str:
        return "n"

    def _keep(self, other: object, neutral: int, text: str) -> BatchSize:
        if other == neutral:
            return self
        raise ImportModelError(
            f"The batch size takes part in arithmetic: {text}.",
            fix="Keep the batch as an axis of its own and compute with the other sizes only.",
        )

    def __add__(self, other: object) -> BatchSize:
        return self._keep(other, 0, f"n + {other}")

    def __radd__(self, other: object) -> BatchSize:
        return self._keep(other, 0, f"{other} + n")

    def __sub__(self, other: object) -> BatchSize:
        return self._keep(other, 0, f"n - {other}")

    def __rsub__(self, other: object) -> BatchSize:
        return self._keep(None, 0, f"{other} - n")

    def __mul__(self, other: object) -> BatchSize:
        return self._keep(other, 1, f"n * {other}")

    def __rmul__(self, other: object) -> BatchSize:
        return self._keep(other, 1, f"{other} * n")

    def __floordiv__(self, other: object) -> BatchSize:
        return self._keep(other, 1, f"n / {other}")

    def __rfloordiv__(self, other: object) -> BatchSize:
        return self._keep(None, 1, f"{other} / n")


BATCH_SIZE: Final = BatchSize()
Size = int | BatchSize
