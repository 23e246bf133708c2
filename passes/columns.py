"""Drop the columns of a layer's matrix that are zero in every filter, with one list for all.

A conv is a matrix ``(co, kh * kw * c)`` times patches. Columns that every filter leaves out need
neither be stored nor read: the ones that are left make a dense matrix, and ``gather_conv`` reads
the places that its list names. A dense layer gets a ``take`` of its inputs before it. Every
accumulator stays the same sum, without its zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import UsageError
from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.layout import to_storage
from ..ir.numeric import Array, NumericType, narrowest
from ..ir.ops_layout import Take
from ..ir.ops_linear import Conv, GatherConv
from ..ir.tensor import Tensor
from ..ir.verify import Stage
from .base import Context, Pass
from .channels import is_linear

RECORD = 64
"""Bytes that a list needs besides its elements: records of a slot or two and a step, names."""


@dataclass(frozen=True)
class Columns(Pass):
    """Drop columns that are zero in every filter, where that saves bytes and enough products.

    ``gather`` is the price of reading one element through the list, in products: a layer of f
    filters is rewritten if it keeps at most f / (f + gather) of its columns. The simulator takes as
    long as for 24; an accelerator's address generator gathers beside the products, for 0.
    """

    name: ClassVar[str] = "columns"
    stages: ClassVar[Mapping[Stage, Stage]] = {"integer": "integer"}
    gather: int = 8

    def __post_init__(self) -> None:
        if self.gather < 0:
            raise UsageError(
                f"gather is {self.gather}.", fix="Give a number of products, 0 or more."
            )

    def run(self, graph: Graph, context: Context) -> Graph:
        return rewrite(graph, self._drop)

    def _drop(self, r: Rewriter, node: Node) -> str | None:
        if not is_linear(node):
            return None
        weight = r.old.constants[node.inputs[1]]
        matrix = to_storage(weight.array).reshape(len(weight.array), -1)
        live = _live(matrix)
        if not (self._cheaper(matrix, live) and _smaller(matrix, live, weight.dtype)):
            return None
        kept = Tensor(matrix[:, live], weight.dtype)
        if isinstance(node.op, Conv):
            return _gathered(r, node, node.op, kept, _listed(live))
        return _taken(r, node, kept, _listed(live))

    def _cheaper(self, matrix: Array, live: Array) -> bool:
        filters, columns = matrix.shape
        return len(live) * (filters + self.gather) <= columns * filters


def _live(matrix: Array) -> Array:
    """The columns that some filter uses; the first where none does."""
    live = np.flatnonzero(matrix.any(axis=0))
    return live if len(live) else np.zeros(1, np.int64)


def _listed(live: Array) -> Tensor:
    return Tensor(live, narrowest(0, int(live.max())))


def _smaller(matrix: Array, live: Array, dtype: NumericType) -> bool:
    """Whether the dead columns take more bytes than the list of the others."""
    saved = matrix.shape[0] * (matrix.shape[1] - len(live)) * dtype.bits
    return saved > len(live) * _listed(live).dtype.bits + 8 * RECORD


def _gathered(r: Rewriter, node: Node, op: Conv, weight: Tensor, columns: Tensor) -> str:
    name = node.inputs[1]
    _, _, kh, kw = r.old.type_of(name).sample_shape
    gather = GatherConv((kh, kw), op.strides, op.pads, op.dilations, op.pad_value)
    operands = (r.new.constant(name, weight), r.new.constant(f"{name}.columns", columns))
    rest = (r[each] for each in node.inputs[2:])
    return r.copy(node, gather, (r[node.inputs[0]], *operands, *rest))


def _taken(r: Rewriter, node: Node, weight: Tensor, channels: Tensor) -> str:
    x, name = node.inputs[:2]
    listed = r.new.constant(f"{name}.channels", channels)
    part = r.new.node(f"{node.name}.taken", Take(), r[x], listed, origin=node.value.origin)
    operands = (part, r.new.constant(name, weight), *(r[each] for each in node.inputs[2:]))
    return r.copy(node, inputs=operands)
