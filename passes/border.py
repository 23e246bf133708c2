"""Constant channels under a border of another code: what they add there, and when that pays.

Inside the image such a channel is part of the bias; where the kernel overhangs, the border operand
of the conv corrects it. Derivation: docs/numerics.md.
"""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph, Node
from ..ir.numeric import Array, narrowest
from ..ir.ops_linear import Conv
from .channels import Constants, Kept, is_linear, kept_channels

RECORD = 32
"""Bytes of a constant besides its elements: record, sizes, filler."""


def correction(node: Node, weight: Array, codes: Array, gone: Array) -> Array | None:
    """What the channels ``gone`` lack in the border, ``(co, kh, kw)``; None where that is nothing.

    weight ``(co, c, kh, kw)`` holds all channels, ``codes`` their constants.
    """
    if not isinstance(node.op, Conv) or not any(node.op.pads):
        return None
    lack = np.where(gone, node.op.pad_value - codes, 0)
    found: Array = np.einsum("oikl,i->okl", weight.astype(np.int64), lack)
    return found if found.any() else None


def bordered_convs(graph: Graph, known: Constants) -> frozenset[str]:
    """The convs to which a border gives fewer bytes than the channels that it replaces."""
    chosen = frozenset(node.name for node in graph.nodes if _could(node, known))
    best = _total(graph, known, chosen) if chosen else 0
    for name in sorted(chosen):
        others = chosen - {name}
        if (size := _total(graph, known, others)) <= best:
            chosen, best = others, size
    return chosen


def _could(node: Node, known: Constants) -> bool:
    """Whether a channel is constant and the conv's border is another code."""
    if not is_linear(node) or not isinstance(node.op, Conv) or not any(node.op.pads):
        return False
    constant, codes = known[node.inputs[0]]
    return bool((constant & (codes != node.op.pad_value)).any())


def _total(graph: Graph, known: Constants, bordered: frozenset[str]) -> int:
    """Bytes of the weights that stay and of the borders."""
    kept = kept_channels(graph, known, bordered)
    linear = [node for node in graph.nodes if is_linear(node)]
    borders = (_border_bytes(graph, known, kept, n) for n in linear if n.name in bordered)
    return sum(_weight_bytes(graph, kept, node) for node in linear) + sum(borders)


def _weight_bytes(graph: Graph, kept: Kept, node: Node) -> int:
    weight = graph.constants[node.inputs[1]]
    area = weight.array.size // (weight.array.shape[0] * weight.array.shape[1])
    matrix = int(kept[node.name].sum()) * int(kept[node.inputs[0]].sum())
    return -(-matrix * area * weight.dtype.bits // 8)


def _border_bytes(graph: Graph, known: Constants, kept: Kept, node: Node) -> int:
    x = node.inputs[0]
    weight = graph.constants[node.inputs[1]].array[kept[node.name]]
    constant, codes = known[x]
    found = correction(node, weight, codes, constant & ~kept[x])
    if found is None:
        return 0
    bits = narrowest(int(found.min()), int(found.max())).bits
    return RECORD + -(-found.size * bits // 8)
