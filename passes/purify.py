"""Make a pruned float graph really smaller: paths that carry nothing go.

A filter of zeros makes a constant, its bias after what follows; layers that read it take that into
their own bias, unless a border of zeros intervenes. A filter that nobody reads goes, and so on
until nothing changes. The function stays the same, up to float32 rounding. ``emptiness`` goes
further and changes it: train again afterwards.
Source: Ma et al., TNNLS 2022 (StructADMM): unused path removal and network purification.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import UsageError
from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import Array, NumericType, narrowest
from ..ir.ops_layout import Reshape, Slice
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Affine, PRelu
from ..ir.tensor import Tensor, real
from .base import Context, Pass
from .channels import Constants, Kept, is_linear, kept_channels, shrunk
from .coded import code_weights, decodes, is_coded_weight
from .constant_reals import constant_reals

Survivors = dict[str, Array]
"""Which filters are left, by the layer's name: their first numbers."""


@dataclass(frozen=True)
class Purify(Pass):
    """Remove zero filters, unread channels and all that follows from them.

    A channel also goes from a layer, whatever its weights, where a share of its columns of at least
    ``emptiness`` is zero in every filter: 1 is only what is entirely empty. A column is one place
    of the kernel; for a dense layer after flattening, one of the channel's elements.
    """

    name: ClassVar[str] = "purify"
    emptiness: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.emptiness <= 1:
            raise UsageError(
                f"emptiness is {self.emptiness:g}, but it is a share of a channel's columns.",
                fix="Choose more than 0, up to 1.",
            )

    def run(self, graph: Graph, context: Context) -> Graph:
        plain = rewrite(graph, _decode)
        if self.emptiness < 1:
            plain = rewrite(plain, lambda r, node: _empty(r, node, self.emptiness))
        smaller, survivors = purified(plain, context)
        return _coded_again(graph, smaller, survivors)


def purified(graph: Graph, context: Context) -> tuple[Graph, Survivors]:
    """The graph without what carries nothing, and the filters that are left of each layer."""
    left = {node.name: np.arange(len(_weight(graph, node))) for node in _layers(graph)}
    rounds = 0
    while True:
        known = constant_reals(graph)
        kept = kept_channels(graph, known)
        if all(mask.all() for mask in kept.values()):
            return graph, left
        context.progress("Purify", rounds := rounds + 1, 0)
        left = {name: rows[kept[name]] for name, rows in left.items() if name in kept}
        graph = rewrite(graph, Purified(known, kept))


def _layers(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Conv | Dense)]


def _weight(graph: Graph, node: Node) -> Array:
    return graph.constants[node.inputs[1]].array


def _decode(r: Rewriter, node: Node) -> str | None:
    """Coded weights as the reals that they stand for."""
    if not decodes(r.old, node):
        return None
    return r.new.constant(node.name, real(node.op.reference(*map(r.array, node.inputs))))


def _coded_again(before: Graph, after: Graph, survivors: Survivors) -> Graph:
    """``after`` with the grids that the weights of ``before`` had; each real is scale * code."""
    codes = {}
    for node in _layers(after):
        old = before.producers[node.name].inputs[1]
        source = before.producers.get(old)
        if source is None or not is_coded_weight(before, source):
            continue
        scale = before.constants[source.inputs[1]].array.reshape(-1)
        scale = scale if scale.size == 1 else scale[survivors[node.name]]
        dtype = before.constants[source.inputs[0]].dtype
        codes[node.inputs[1]] = _on_grid(_weight(after, node), scale, dtype), scale
    return code_weights(after, codes)


def _on_grid(weight: Array, scale: Array, dtype: NumericType) -> Tensor:
    """The codes of ``weight``; of another type only where a zero point had moved them."""
    steps = weight / scale.astype(np.float64).reshape(-1, *(1,) * (weight.ndim - 1))
    codes = np.rint(steps).astype(np.int64)
    fits = dtype.contains(codes)
    return Tensor(codes, dtype if fits else narrowest(int(codes.min()), int(codes.max())))


def _empty(r: Rewriter, node: Node, emptiness: float) -> str | None:
    """Zeros for the channels of a layer that are mostly empty."""
    if not is_linear(node):
        return None
    weight, block = _weight(r.old, node), _block(r.old, node)
    columns = weight.reshape(len(weight), weight.shape[1] // block, -1).any(axis=0)
    mostly = np.repeat((~columns).mean(axis=1) >= emptiness, block)
    emptied = weight.copy()
    emptied[:, mostly] = 0
    operands = (r.new.constant(node.inputs[1], real(emptied)), *(r[n] for n in node.inputs[2:]))
    return r.copy(node, inputs=(r[node.inputs[0]], *operands))


def _block(graph: Graph, node: Node) -> int:
    """How many inputs of a dense layer were one channel before they were flattened; 1 of a conv."""
    flat = graph.producers.get(node.inputs[0])
    if not isinstance(node.op, Dense) or flat is None or not isinstance(flat.op, Reshape):
        return 1
    shape = graph.type_of(flat.inputs[0]).sample_shape
    divides = len(shape) > 1 and flat.type.elements % shape[0] == 0
    return flat.type.elements // shape[0] if divides else 1


@dataclass(frozen=True, slots=True)
class Purified:
    """The rule of ``rewrite`` that leaves only the channels of ``kept``."""

    known: Constants
    kept: Kept

    def __call__(self, rewriter: Rewriter, node: Node) -> str | None:
        rule = RULES.get(type(node.op))
        return rule(self, rewriter, node) if rule else None


def _linear(self: Purified, r: Rewriter, node: Node) -> str:
    """Rows and columns that stay; what the others add goes to the bias."""
    x, name = node.inputs[:2]
    rows, columns = self.kept[node.name], self.kept[x]
    if not is_linear(node):
        return _groups(self, r, node)
    weight = _weight(r.old, node)[rows]
    constant, values = self.known[x]
    gone = np.where(constant & ~columns, values, 0).astype(np.float64)
    folded = weight.sum(axis=tuple(range(2, weight.ndim)), dtype=np.float64) @ gone
    operands = [r[x], r.new.constant(name, real(weight[:, columns]))]
    return r.copy(node, inputs=(*operands, *_bias(r, node, rows, folded)))


def _bias(r: Rewriter, node: Node, rows: Array, folded: Array) -> list[str]:
    """The bias operand: what the node had, and ``folded``; none when both are nothing."""
    if len(node.inputs) < 3 and not folded.any():
        return []
    had = len(node.inputs) > 2
    given = r.array(node.inputs[2])[rows] if had else np.zeros(1)
    name = node.inputs[2] if had else f"{node.name}.bias"
    return [r.new.constant(name, real(given + folded))]


def _groups(self: Purified, r: Rewriter, node: Node) -> str:
    """Whole groups stay or go; nothing is folded. Any other layer keeps everything."""
    rows, op = self.kept[node.name], node.op
    if not isinstance(op, Conv) or rows.all():
        return r.copy(node)
    weight = _weight(r.old, node)
    groups = int(self.kept[node.inputs[0]].sum()) // weight.shape[1]
    operands = [r[node.inputs[0]], r.new.constant(node.inputs[1], real(weight[rows]))]
    operands += _bias(r, node, rows, np.zeros(1))
    return r.copy(node, replace(op, groups=groups), tuple(operands))


def _parameters(self: Purified, r: Rewriter, node: Node) -> str:
    """The parameters of the channels that stay; one that holds for all channels stays as it is."""
    mask = self.kept[node.name]
    operands = [
        r.new.constant(name, real(r.array(name)[mask]))
        if r.array(name).shape == mask.shape
        else r[name]
        for name in node.inputs[1:]
    ]
    return r.copy(node, inputs=(r[node.inputs[0]], *operands))


def _moved(self: Purified, r: Rewriter, node: Node) -> str:
    """A reshape or slice of the channels that stay."""
    before, after = self.kept[node.inputs[0]], self.kept[node.name]
    return r.copy(node, node.op if before.all() else shrunk(node.op, before, after))


RULES: dict[type[Any], Callable[[Purified, Rewriter, Node], str]] = {
    Conv: _linear,
    Dense: _linear,
    Affine: _parameters,
    PRelu: _parameters,
    Reshape: _moved,
    Slice: _moved,
}
