"""What the solver asks of a constraint set, and what every projection shares."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...errors import NumericError, UsageError
from ...ir.numeric import Array


class Constraint(Protocol):
    """A set that a layer's weights must lie in.

    Weights are float32: ``(co, c/groups, kh, kw)`` of a convolution or ``(co, c)`` of a dense
    layer. The matrix view is ``(co, c/groups*kh*kw)``.
    """

    def project(self, weight: Array) -> Array:
        """The nearest point of the set by squared distance, float32 of the same shape.

        Among equally near points it is the one that keeps the lower flat index.
        """
        ...


def matrix(weight: Array) -> Array:
    """The weight as the matrix ``(co, c/groups*kh*kw)`` that its layer multiplies by."""
    return weight.reshape(len(weight), -1)


def energy(weight: Array) -> Array:
    """Squares in float64, where those of float32 are exact."""
    if not np.isfinite(weight).all():
        raise NumericError(
            "A weight to project is not finite.",
            fix="Training diverged: lower the learning rate or rho.",
        )
    return np.square(weight, dtype=np.float64)


def largest(scores: Array, keep: int) -> Array:
    """Where the ``keep`` largest scores are; among equal ones the lower flat index wins."""
    flat = scores.reshape(-1)
    edge = np.partition(flat, flat.size - keep)[flat.size - keep]
    chosen = flat > edge
    tied = np.flatnonzero(flat == edge)
    chosen[tied[: keep - np.count_nonzero(chosen)]] = True
    return chosen.reshape(scores.shape)


def where_kept(weight: Array, kept: Array) -> Array:
    """The weight with zeros outside ``kept``, which broadcasts."""
    return np.where(kept, weight, 0).astype(np.float32)


def check_count(what: str, count: int, most: int, of: str) -> None:
    """``count`` of a layer's ``of`` are kept: at least one, at most all."""
    if not 1 <= count <= most:
        raise UsageError(
            f"{what} is {count}, but the layer has {most} {of}.", fix=f"Choose 1 to {most}."
        )
