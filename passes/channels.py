"""Which channels (axis 1) of a graph must stay: the least set that every use agrees on.

A linear op (conv, dense) reads a channel only if a row that stays has a weight for it, and not even
then if it is a constant that can be folded. Every other op ties channels together: of all those
that carry the same label either every one stays or none. Growing the sets until nothing changes
gives the least ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..ir.evaluate import facts
from ..ir.graph import Graph, Node
from ..ir.interval import Fact
from ..ir.numeric import Array
from ..ir.op import Op
from ..ir.ops_layout import Concat, Pad, Reshape, Slice
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Add, Affine, Clip, PRelu, Relu, Unary
from ..ir.ops_pool import AveragePool, MaxPool, SumPool
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.tensor import TensorType

CHANNELWISE = (
    *(Requantize, Threshold, Lookup, MaxPool, SumPool, Add),
    *(Affine, Relu, Clip, Unary, PRelu, AveragePool),
)

Constants = Mapping[str, tuple[Array, Array]]
"""For every value which channels are one number, whatever the input, and it: each ``(c,)``."""
Kept = dict[str, Array]
"""A boolean per channel of every value, by its name."""
Names = frozenset[str]
Ties = tuple[tuple[str, Array], ...]
"""A label per channel, for each value that a node ties to the others."""


def width(type_: TensorType) -> int:
    """How many channels a value has."""
    return type_.sample_shape[0] if type_.sample_shape else 1


def constants_of(fact: Fact) -> tuple[Array, Array]:
    """Which channels hold one code for every reachable input, and that code: each ``(c,)``."""
    reach = fact.interval.per_channel(width(fact.type))
    return reach.lo == reach.hi, reach.lo


def constant_codes(graph: Graph) -> Constants:
    """The constant channels of an integer graph."""
    known = facts(graph)
    return {name: constants_of(known[name]) for name in graph.values}


def is_linear(node: Node) -> bool:
    """Whether a node multiplies all channels of each sample with a matrix: rows and columns."""
    if isinstance(node.op, Conv):
        return node.op.groups == 1
    return isinstance(node.op, Dense) and len(node.type.shape) == 2


def foldable(node: Node, x: tuple[Array, Array], bordered: Names) -> Array:
    """Which channels of a linear node's input can go: what they add is known.

    In the border, too: it has their code, or the node is one of ``bordered`` and gets a correction.
    """
    constant, codes = x
    if isinstance(node.op, Conv) and any(node.op.pads) and node.name not in bordered:
        return constant & (codes == node.op.pad_value)
    return constant


def kept_channels(graph: Graph, known: Constants, bordered: Names = frozenset()) -> Kept:
    """The channels that must stay; every value keeps one at least, inputs and outputs all."""
    kept = {name: np.zeros(width(value.type), bool) for name, value in graph.values.items()}
    for name in _fixed(graph):
        kept[name][:] = True
    _grow(graph, known, kept, bordered)
    while empty := [mask for mask in kept.values() if not mask.any()]:
        for mask in empty:
            mask[0] = True
        _grow(graph, known, kept, bordered)
    return kept


def _fixed(graph: Graph) -> set[str]:
    """Inputs, outputs, and what differs from its definition: its certificate names channels."""
    fixed = {value.name for value in graph.inputs}.union(graph.outputs)
    for node in graph.nodes:
        if node.certificate is not None and not node.certificate.proved:
            fixed.add(node.name)
    return fixed.intersection(graph.values)


def _grow(graph: Graph, known: Constants, kept: Kept, bordered: Names) -> None:
    """Add to ``kept`` what its members need, until that is nothing."""
    size = -1
    while size != (size := sum(int(mask.sum()) for mask in kept.values())):
        for node in reversed(graph.nodes):
            if is_linear(node):
                _demand(graph, node, kept, foldable(node, known[node.inputs[0]], bordered))
            else:
                _tie(ties(graph, node), kept)


def _demand(graph: Graph, node: Node, kept: Kept, folds: Array) -> None:
    rows = graph.constants[node.inputs[1]].array[kept[node.name]]
    read = (rows != 0).any(axis=(0, *range(2, rows.ndim)))
    kept[node.inputs[0]] |= read & ~folds


def _tie(tied: Ties, kept: Kept) -> None:
    stays = np.zeros(1 + max(int(labels.max()) for _, labels in tied), bool)
    for name, labels in tied:
        stays[labels[kept[name]]] = True
    for name, labels in tied:
        kept[name] |= stays[labels]


def ties(graph: Graph, node: Node) -> Ties:
    """The labels of a node's operands and result; one label for all where nothing is known."""
    op = node.op
    operands = [name for name in node.inputs if name in graph.values]
    widths = [width(graph.type_of(name)) for name in operands]
    total = width(node.type)
    labels, result = [np.zeros(each, int) for each in widths], np.zeros(total, int)
    if isinstance(op, CHANNELWISE) or _pads_no_channel(op) or _joins_along(op, other=True):
        labels, result = [np.arange(total)] * len(operands), np.arange(total)
    elif _joins_along(op, other=False):
        result = np.arange(total)
        labels = np.split(result, np.cumsum(widths)[:-1])
    elif isinstance(op, Conv):
        labels, result = [_blocks(widths[0], op.groups)], _blocks(total, op.groups)
    elif isinstance(op, Reshape) and max(total, *widths) % min(total, *widths) == 0:
        units = min(total, *widths)
        labels, result = [_blocks(widths[0], units)], _blocks(total, units)
    elif isinstance(op, Slice) and op.steps[:1] == (1,):
        labels, result = [np.arange(widths[0])], np.arange(op.starts[0], op.stops[0])
    return (*zip(operands, labels, strict=True), (node.name, result))


def shrunk(op: Op, before: Array, after: Array) -> Op:
    """``op``, a reshape or slice, for the channels of operand and result that stay.

    Blocks of elements stay or go as a whole: of a reshape only the leading size changes. A slice
    takes the same channels, by their new numbers.
    """
    if isinstance(op, Reshape) and op.shape:
        return replace(op, shape=(int(after.sum()), *op.shape[1:]))
    if isinstance(op, Slice):
        start, stop = (int(before[:end].sum()) for end in (op.starts[0], op.stops[0]))
        return replace(op, starts=(start, *op.starts[1:]), stops=(stop, *op.stops[1:]))
    return op


def _blocks(channels: int, count: int) -> Array:
    """``count`` labels for as many equal runs of channels."""
    return np.repeat(np.arange(count), channels // count)


def _pads_no_channel(op: object) -> bool:
    return isinstance(op, Pad) and (op.before[:1], op.after[:1]) == ((0,), (0,))


def _joins_along(op: object, *, other: bool) -> bool:
    """Whether ``op`` is a concat along the channels, or along an ``other`` axis."""
    return isinstance(op, Concat) and (op.axis != 1) == other
