"""What passes took away: filters, channels and columns of every layer."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.ops_linear import Conv, Dense, GatherConv


@dataclass(frozen=True, slots=True)
class Matrix:
    """A layer as a matrix: one row per filter, one column per place of the kernel and channel."""

    rows: int
    channels: int
    columns: int

    def __sub__(self, other: Matrix) -> Matrix:
        return Matrix(
            self.rows - other.rows, self.channels - other.channels, self.columns - other.columns
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """A layer, by the user's name for it, as it was and as it is."""

    layer: str
    before: Matrix
    after: Matrix

    @property
    def gone(self) -> Matrix:
        """How many rows, channels and columns there are no longer."""
        return self.before - self.after

    def __str__(self) -> str:
        """What is gone, without saying so."""
        gone = self.gone
        return (
            f"{self.layer}: {gone.rows} of {self.before.rows} filters, {gone.channels} of "
            f"{self.before.channels} channels and {gone.columns} of {self.before.columns} columns"
        )


def removed(before: Graph, after: Graph) -> tuple[Removed, ...]:
    """Every layer of ``before`` that lost something, in order; one that is gone lost everything.

    Both graphs are of one stage: layers are the same where they have the same name.
    """
    left = {node.name: _matrix(after, node) for node in after.nodes if _is_layer(node)}
    found = (
        Removed(
            node.value.origin or node.name,
            _matrix(before, node),
            left.get(node.name, Matrix(0, 0, 0)),
        )
        for node in before.nodes
        if _is_layer(node)
    )
    return tuple(each for each in found if each.before != each.after)


def _is_layer(node: Node) -> bool:
    return isinstance(node.op, Conv | GatherConv | Dense)


def _matrix(graph: Graph, node: Node) -> Matrix:
    x, weight = (graph.type_of(name) for name in node.inputs[:2])
    rows = weight.sample_shape[0]
    channels = x.sample_shape[-1 if isinstance(node.op, Dense) else 0]
    return Matrix(rows, channels, weight.elements // rows)
