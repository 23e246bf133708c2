"""One form for many spellings of the same float network; every rule keeps the function.

1. A node whose operands are all constants becomes a constant.
2. Nodes that do nothing disappear: reshape, slice, transpose, pad or pool that keeps everything.
3. ``relu(max_pool(x))`` becomes ``max_pool(relu(x))``; ``clip(0, inf)`` becomes ``relu``.
4. ``affine`` after ``affine``, ``conv`` or ``dense`` is folded into it (BatchNorm).
5. A zero ``pad`` of height and width before ``conv`` becomes its padding.
6. ``dense`` on a flattened ``(c, h, w)`` becomes ``conv`` with an h x w kernel: the order of the
   weights then follows the storage order, and flattening costs nothing.
7. ``dense`` on ``(n, ..., k)`` becomes a 1 x 1 ``conv`` over the axes between: its channels then
   lie along axis 1, as rescaling needs them.
8. ``relu`` and ``clip`` move before a ``reshape`` or ``transpose``, next to what they follow; two
   reshapes or transposes in a row become one.

Outputs keep their names: nothing that makes one is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import Array
from ..ir.op import Op
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Affine, Clip, Relu
from ..ir.ops_pool import AveragePool, MaxPool
from ..ir.tensor import real
from .base import Context, Pass

ROUNDS = 20


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Fold constants, BatchNorm, padding and flattening; drop what does nothing or is unused."""

    name: ClassVar[str] = "canonicalize"

    def run(self, graph: Graph, context: Context) -> Graph:
        for _ in range(ROUNDS):
            simpler = graph
            for rule in RULES:
                simpler = rewrite(simpler, rule)
            if simpler == graph:
                break
            graph = simpler
        return graph


def fold_constants(r: Rewriter, node: Node) -> str | None:
    """Rule 1."""
    if not all(name in r.old.constants for name in node.inputs):
        return None
    return r.new.constant(node.name, real(node.op.reference(*map(r.array, node.inputs))))


def drop_idle(r: Rewriter, node: Node) -> str | None:
    """Rule 2."""
    op, x = node.op, node.inputs[0]
    if node.name in r.old.outputs:
        return None
    idle = (
        (isinstance(op, Reshape | Slice) and r.old.type_of(x) == node.type)
        or (isinstance(op, Transpose) and list(op.axes) == sorted(op.axes))
        or (isinstance(op, Pad) and not any((*op.before, *op.after)))
        or (isinstance(op, Concat) and len(node.inputs) == 1)
        or (
            isinstance(op, MaxPool | AveragePool)
            and r.old.type_of(x) == node.type
            and op.kernel == (1, 1)
        )
    )
    return r[x] if idle else None


def order_relu(r: Rewriter, node: Node) -> str | None:
    """Rule 3."""
    op = node.op
    if isinstance(op, Clip) and op.lo == 0 and op.hi == np.inf:
        return r.copy(node, Relu())
    pool = sole_producer(r.old, node.inputs[0])
    if not isinstance(op, Relu) or pool is None or not isinstance(pool.op, MaxPool):
        return None
    relu = r.new.node(f"{node.name}.relu", op, r[pool.inputs[0]], origin=node.value.origin)
    return r.copy(node, pool.op, (relu,))


def fold_affine(r: Rewriter, node: Node) -> str | None:
    """Rule 4."""
    before = sole_producer(r.old, node.inputs[0])
    if not isinstance(node.op, Affine) or before is None:
        return None
    if isinstance(before.op, Affine):
        return _fold_into_affine(r, node, before)
    if isinstance(before.op, Conv) or (isinstance(before.op, Dense) and len(node.type.shape) == 2):
        return _fold_into_weight(r, node, before)
    return None


def _fold_into_affine(r: Rewriter, node: Node, before: Node) -> str:
    scale, shift = map(r.array, node.inputs[1:])
    inner_scale, inner_shift = map(r.array, before.inputs[1:])
    new_scale = r.new.constant(f"{node.name}.scale", real(scale * inner_scale))
    new_shift = r.new.constant(f"{node.name}.shift", real(scale * inner_shift + shift))
    return r.copy(node, node.op, (r[before.inputs[0]], new_scale, new_shift))


def _fold_into_weight(r: Rewriter, node: Node, before: Node) -> str | None:
    if any(name not in r.old.constants for name in before.inputs[1:]):
        return None
    scale, shift = (r.array(name).astype(np.float64) for name in node.inputs[1:])
    weight = r.array(before.inputs[1]).astype(np.float64)
    channels = len(weight)
    bias = r.array(before.inputs[2]).astype(np.float64) if len(before.inputs) > 2 else 0.0
    factor = np.broadcast_to(scale, (channels,))
    folded = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    offset = np.broadcast_to(bias * factor + shift, (channels,))
    operands = (
        r[before.inputs[0]],
        r.new.constant(before.inputs[1], real(folded)),
        r.new.constant(f"{before.name}.bias", real(offset)),
    )
    return r.new.node(node.name, before.op, *operands, origin=before.value.origin)


def fold_pad(r: Rewriter, node: Node) -> str | None:
    """Rule 5."""
    pad = sole_producer(r.old, node.inputs[0])
    if not isinstance(node.op, Conv) or pad is None or not isinstance(pad.op, Pad):
        return None
    before, after = pad.op.before, pad.op.after
    if pad.op.value != node.op.pad_value or before[0] or after[0]:
        return None
    top, left, bottom, right = node.op.pads
    pads = (top + before[1], left + before[2], bottom + after[1], right + after[2])
    operands = (r[pad.inputs[0]], *(r[name] for name in node.inputs[1:]))
    return r.copy(node, replace(node.op, pads=pads), operands)


def flatten_to_conv(r: Rewriter, node: Node) -> str | None:
    """Rule 6."""
    flat = r.old.producers.get(node.inputs[0])
    weight = r.old.constants.get(node.inputs[1]) if isinstance(node.op, Dense) else None
    if weight is None or flat is None or not isinstance(flat.op, Reshape):
        return None
    source = r.old.type_of(flat.inputs[0])
    if len(source.shape) != 4 or len(node.type.shape) != 2 or source.sample_shape[1:] == (1, 1):
        return None
    kernel: Array = weight.array.reshape(-1, *source.sample_shape)
    operands = (
        r[flat.inputs[0]],
        r.new.constant(node.inputs[1], real(kernel)),
        *(r[name] for name in node.inputs[2:]),
    )
    conv = r.new.node(f"{node.name}.conv", Conv(), *operands, origin=node.value.origin)
    return r.copy(node, Reshape(node.type.sample_shape), (conv,))


def spread_dense(r: Rewriter, node: Node) -> str | None:
    """Rule 7: (n, ..., k) -> (n, k, ...) -> (n, k, m, 1) -> conv -> (n, co, ...) -> its axes."""
    rank = len(node.type.shape)
    if not isinstance(node.op, Dense) or rank == 2 or node.inputs[1] not in r.old.constants:
        return None
    between = r.old.type_of(node.inputs[0]).sample_shape[:-1]
    weight = r.array(node.inputs[1])
    operands = (
        r.new.constant(node.inputs[1], real(weight[:, :, None, None])),
        *(r[name] for name in node.inputs[2:]),
    )

    def append(what: str, op: Op, *inputs: str) -> str:
        return r.new.node(f"{node.name}.{what}", op, *inputs, origin=node.value.origin)

    first = append("channels", Transpose((0, rank - 1, *range(1, rank - 1))), r[node.inputs[0]])
    image = append("image", Reshape((weight.shape[1], prod(between), 1)), first)
    conv = append("conv", Conv(), image, *operands)
    spread = append("spread", Reshape((len(weight), *between)), conv)
    return r.copy(node, Transpose((0, *range(2, rank), 1)), (spread,))


def sink_moves(r: Rewriter, node: Node) -> str | None:
    """Rule 8: relu(reshape(x)) -> reshape(relu(x)): what follows a conv stays next to it."""
    move = sole_producer(r.old, node.inputs[0])
    if not isinstance(node.op, Relu | Clip) or move is None:
        return None
    if not isinstance(move.op, Reshape | Transpose):
        return None
    name = f"{node.name}.inner"
    inner = r.new.node(name, node.op, r[move.inputs[0]], origin=node.value.origin)
    return r.copy(node, move.op, (inner,))


def merge_moves(r: Rewriter, node: Node) -> str | None:
    """Rule 8, the second half."""
    before = r.old.producers.get(node.inputs[0])
    if before is None:
        return None
    if isinstance(node.op, Reshape) and isinstance(before.op, Reshape):
        return r.copy(node, node.op, (r[before.inputs[0]],))
    if isinstance(node.op, Transpose) and isinstance(before.op, Transpose):
        axes = tuple(before.op.axes[axis] for axis in node.op.axes)
        return r.copy(node, Transpose(axes), (r[before.inputs[0]],))
    return None


def sole_producer(graph: Graph, name: str) -> Node | None:
    """The node behind ``name`` when nothing else reads it."""
    node = graph.producers.get(name)
    lonely = node is not None and len(graph.users[name]) == 1 and name not in graph.outputs
    return node if lonely else None


RULES = (
    fold_constants,
    drop_idle,
    order_relu,
    fold_affine,
    fold_pad,
    flatten_to_conv,
    spread_dense,
    sink_moves,
    merge_moves,
)
