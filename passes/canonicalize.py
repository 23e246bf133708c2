"""One form for many spellings of the same float network; every rule keeps the function.

1. A node whose operands are all constants becomes a constant. Weights that are codes already stay
   codes.
2. Nodes that do nothing disappear: reshape, slice, transpose, pad or pool that keeps everything. A
   transpose that moves only axes of size 1 is a reshape.
3. ``relu(max_pool(x))`` becomes ``max_pool(relu(x))``; ``clip(0, inf)`` becomes ``relu``.
4. ``affine`` after ``affine``, ``conv`` or ``dense`` is folded into it (BatchNorm).
5. A zero ``pad`` of height and width before ``conv`` becomes its padding.
6. ``dense`` on a flattened ``(c, h, w)`` becomes ``conv`` with an h x w kernel: the order of the
   weights then follows the storage order, and flattening costs nothing.
7. ``dense`` on ``(n, ..., k)`` becomes a 1 x 1 ``conv`` over the axes between: its channels then
   lie along axis 1, as rescaling needs them.
8. ``relu`` and ``clip`` move before a ``reshape``, ``transpose`` or ``slice``, next to what they
   follow; two reshapes or transposes in a row become one.

9. ``quantize``, ``threshold`` and their like move before a ``reshape``, ``transpose``, ``slice`` or
   ``max_pool`` of what is not codes yet, next to the accumulator that they rescale.

A graph that is quantized already sees only the rules that move elements (2, 5 to 9): what its owner
computes is not rounded in between. Outputs keep their names: nothing that makes one is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from ..ir.ops_quant import Dequantize, Lookup, Quantize, Requantize, Threshold
from ..ir.tensor import Tensor, real
from ..ir.verify import Stage, stage_of
from .base import Context, Pass
from .coded import is_coded_weight

ROUNDS = 20
INTO_CODES = (Quantize, Threshold, Requantize, Lookup)
"""Ops that treat every element by itself: they commute with ops that only move elements."""


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Fold constants, BatchNorm, padding and flattening; drop what does nothing or is unused."""

    name: ClassVar[str] = "canonicalize"
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float", "quantized": "quantized"}

    def run(self, graph: Graph, context: Context) -> Graph:
        rules = RULES if stage_of(graph) == "float" else MOVES
        for _ in range(ROUNDS):
            simpler = graph
            for rule in rules:
                simpler = rewrite(simpler, rule)
            if simpler == graph:
                break
            graph = simpler
        return graph


def fold_constants(r: Rewriter, node: Node) -> str | None:
    """Rule 1."""
    if not all(name in r.old.constants for name in node.inputs) or is_coded_weight(r.old, node):
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


def still_transpose(r: Rewriter, node: Node) -> str | None:
    """Rule 2, the second half."""
    if not isinstance(node.op, Transpose):
        return None
    sizes = r.old.type_of(node.inputs[0]).shape
    moved = [axis for axis in node.op.axes if sizes[axis] != 1]
    if moved != sorted(moved) or list(node.op.axes) == sorted(node.op.axes):
        return None
    return r.copy(node, Reshape(node.type.sample_shape))


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
    if not isinstance(node.op, Dense) or flat is None or not isinstance(flat.op, Reshape):
        return None
    source = r.old.type_of(flat.inputs[0])
    if len(source.shape) != 4 or len(node.type.shape) != 2 or source.sample_shape[1:] == (1, 1):
        return None
    kernel = reshaped_weight(r, node.inputs[1], source.sample_shape)
    if kernel is None:
        return None
    operands = (r[flat.inputs[0]], kernel, *(r[name] for name in node.inputs[2:]))
    conv = r.new.node(f"{node.name}.conv", Conv(), *operands, origin=node.value.origin)
    return r.copy(node, Reshape(node.type.sample_shape), (conv,))


def spread_dense(r: Rewriter, node: Node) -> str | None:
    """Rule 7: (n, ..., k) -> (n, k, ...) -> (n, k, m, 1) -> conv -> (n, co, ...) -> its axes."""
    rank = len(node.type.shape)
    if not isinstance(node.op, Dense) or rank == 2:
        return None
    *between, depth = r.old.type_of(node.inputs[0]).sample_shape
    rows = r.old.type_of(node.inputs[1]).sample_shape[0]
    kernel = reshaped_weight(r, node.inputs[1], (depth, 1, 1))
    if kernel is None:
        return None
    operands = (kernel, *(r[name] for name in node.inputs[2:]))

    def append(what: str, op: Op, *inputs: str) -> str:
        return r.new.node(f"{node.name}.{what}", op, *inputs, origin=node.value.origin)

    first = append("channels", Transpose((0, rank - 1, *range(1, rank - 1))), r[node.inputs[0]])
    image = append("image", Reshape((depth, prod(between), 1)), first)
    conv = append("conv", Conv(), image, *operands)
    spread = append("spread", Reshape((rows, *between)), conv)
    return r.copy(node, Transpose((0, *range(2, rank), 1)), (spread,))


def sink_moves(r: Rewriter, node: Node) -> str | None:
    """Rule 8: relu(reshape(x)) -> reshape(relu(x)): what follows a conv stays next to it."""
    move = sole_producer(r.old, node.inputs[0])
    if not isinstance(node.op, Relu | Clip) or move is None:
        return None
    if not isinstance(move.op, Reshape | Transpose | Slice):
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


def sink_codes(r: Rewriter, node: Node) -> str | None:
    """Rule 9."""
    move = sole_producer(r.old, node.inputs[0])
    if not isinstance(node.op, INTO_CODES) or move is None:
        return None
    rises = isinstance(node.op, Quantize | Threshold)
    if not (
        isinstance(move.op, Reshape | Transpose | Slice) or (isinstance(move.op, MaxPool) and rises)
    ):
        return None
    source = r.old.producers.get(move.inputs[0])
    if source is None or isinstance(source.op, (Dequantize, *INTO_CODES)):
        return None
    per_tensor = all(_is_shared(node.op, r.array(name)) for name in node.inputs[1:])
    channels = [r.old.type_of(name).shape[1:2] for name in (move.inputs[0], move.name)]
    still = isinstance(move.op, MaxPool) or (
        isinstance(move.op, Reshape) and channels[0] == channels[1]
    )
    if not (per_tensor or still):
        return None
    operands = (r[move.inputs[0]], *(r[name] for name in node.inputs[1:]))
    inner = r.new.node(f"{node.name}.inner", node.op, *operands, origin=node.value.origin)
    value = node.value
    return r.new.node(value.name, move.op, inner, origin=value.origin, encoding=value.encoding)


def _is_shared(op: Op, parameter: Array) -> bool:
    """Whether a parameter holds for all channels: a table does if it is one row."""
    return parameter.shape[:1] in ((), (1,)) or (isinstance(op, Lookup) and parameter.ndim == 1)


def reshaped_weight(r: Rewriter, name: str, row: tuple[int, ...]) -> str | None:
    """A weight whose rows have another shape: a constant, or the codes behind a dequantize.

    None when it is neither, or its scales do not belong to rows.
    """
    held = r.old.constants.get(name)
    if held is not None:
        return r.new.constant(name, Tensor(held.array.reshape(-1, *row), held.dtype))
    source = r.old.producers[name]
    if not isinstance(source.op, Dequantize) or source.inputs[0] not in r.old.constants:
        return None
    codes, *parameters = source.inputs
    if source.op.axis != 0 and any(r.array(each).size > 1 for each in parameters):
        return None
    held = r.old.constants[codes]
    moved = r.new.constant(codes, Tensor(held.array.reshape(-1, *row), held.dtype))
    operands = (moved, *(r[each] for each in parameters))
    return r.new.node(name, Dequantize(0), *operands, origin=source.value.origin)


def sole_producer(graph: Graph, name: str) -> Node | None:
    """The node behind ``name`` when nothing else reads it."""
    node = graph.producers.get(name)
    lonely = node is not None and len(graph.users[name]) == 1 and name not in graph.outputs
    return node if lonely else None


RULES = (
    fold_constants,
    drop_idle,
    still_transpose,
    order_relu,
    fold_affine,
    fold_pad,
    flatten_to_conv,
    spread_dense,
    sink_moves,
    merge_moves,
)
MOVES = (
    drop_idle,
    still_transpose,
    merge_moves,
    fold_pad,
    flatten_to_conv,
    spread_dense,
    sink_moves,
    sink_codes,
)
"""The rules for a graph that is quantized already."""
