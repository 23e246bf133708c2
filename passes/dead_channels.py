"""Remove channels that are constant for every reachable input, or that nothing reads.

The network that is left computes the same codes at every output for every input. A constant channel
c that a linear op reads becomes ``c * sum of its weights`` in the op's bias: every accumulator that
stays keeps its value, and so the proof of its rescaling holds as it is. Under a border of another
code the op gets a border operand, where that takes fewer bytes. Derivation: docs/numerics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..ir.certificate import Certificate, Removal
from ..ir.graph import Graph, Node, Rewriter, rewrite
from ..ir.numeric import Array, narrowest
from ..ir.ops_layout import Reshape, Slice
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.tensor import Tensor
from ..ir.verify import Stage
from .base import Context, Pass
from .border import bordered_convs, correction
from .channels import Constants, Kept, constant_codes, kept_channels, shrunk

MAX_ROUNDS = 8
"""A round may make intervals narrower and so find more; it seldom does."""
STATED = (Conv, Dense, Requantize, Threshold, Lookup)
"""Ops whose certificate states what was removed; those between them follow."""


@dataclass(frozen=True)
class DeadChannels(Pass):
    """Remove channels that are constant or unused, bit for bit; certificates state which."""

    name: ClassVar[str] = "dead_channels"
    stages: ClassVar[Mapping[Stage, Stage]] = {"integer": "integer"}

    def run(self, graph: Graph, context: Context) -> Graph:
        for done in range(MAX_ROUNDS):
            context.progress("Remove dead channels", done + 1, MAX_ROUNDS)
            known = constant_codes(graph)
            kept = kept_channels(graph, known, bordered_convs(graph, known))
            if all(mask.all() for mask in kept.values()):
                break
            graph = rewrite(graph, Shrink(known, kept))
        return graph


@dataclass(frozen=True, slots=True)
class Shrink:
    """The rule of ``rewrite`` that leaves only the channels of ``kept``."""

    known: Constants
    kept: Kept

    def __call__(self, rewriter: Rewriter, node: Node) -> str:
        rule = RULES.get(type(node.op))
        node = replace(node, certificate=self.certificate(node))
        return rule(self, rewriter, node) if rule else rewriter.copy(node)

    def certificate(self, node: Node) -> Certificate | None:
        """The node's certificate with the channels that go."""
        mask, given = self.kept[node.name], node.certificate
        if mask.all() or not isinstance(node.op, STATED):
            return given
        removal = removal_of(mask, self.known[node.name])
        if given is None:
            return Certificate("exact", "dead channels", 0, 0, removal=removal)
        return replace(given, removal=given.removal.then(removal) if given.removal else removal)


def removal_of(kept: Array, constants: tuple[Array, Array]) -> Removal:
    """The channels that go and why."""
    constant, codes = constants
    gone = np.flatnonzero(~kept & constant)
    pairs = zip(gone.tolist(), codes[gone].tolist(), strict=True)
    return Removal(len(kept), tuple(pairs), tuple(np.flatnonzero(~kept & ~constant).tolist()))


def parameter(rewriter: Rewriter, name: str, array: Array) -> str:
    """A constant ``(c,)`` in the narrowest type, or ``(1,)`` when all elements are equal."""
    array = array[:1] if (array == array[0]).all() else array
    return rewriter.new.constant(name, Tensor(array, narrowest(int(array.min()), int(array.max()))))


def shrink_linear(self: Shrink, rewriter: Rewriter, node: Node) -> str:
    """Rows and columns that stay; what the others add to every sum goes to the bias."""
    x, name = node.inputs[:2]
    rows, columns = self.kept[node.name], self.kept[x]
    weight = rewriter.old.constants[name]
    if rows.all() and columns.all():
        return rewriter.copy(node)
    if isinstance(node.op, Conv) and node.op.groups > 1:
        return shrink_groups(self, rewriter, node, node.op)
    kept = Tensor(weight.array[rows][:, columns], weight.dtype)
    constant, codes = self.known[x]
    gone = constant & ~columns
    sums = weight.array[rows].astype(np.int64).sum(axis=tuple(range(2, weight.array.ndim)))
    border = border_of(rewriter, node, rows, correction(node, weight.array[rows], codes, gone))
    folded = sums @ np.where(gone, codes, 0)
    operands = [rewriter[x], rewriter.new.constant(name, kept)]
    operands += bias_of(rewriter, node, rows, folded, needed=bool(border)) + border
    return rewriter.copy(node, inputs=tuple(operands))


def bias_of(
    rewriter: Rewriter, node: Node, rows: Array, folded: Array, *, needed: bool
) -> list[str]:
    """The bias operand: what the node had, and ``folded``; none when nothing, unless ``needed``."""
    bias = folded + _given(rewriter, node, rows, 2)
    return [_constant(rewriter, node, 2, "bias", bias)] if needed or bias.any() else []


def border_of(rewriter: Rewriter, node: Node, rows: Array, correction: Array | None) -> list[str]:
    """The border operand: what the node had, and ``correction``; none when it had none."""
    if len(node.inputs) <= 3 and correction is None:
        return []
    border = _given(rewriter, node, rows, 3) + (0 if correction is None else correction)
    return [_constant(rewriter, node, 3, "border", border)]


def _given(rewriter: Rewriter, node: Node, rows: Array, position: int) -> Array:
    """The rows of an operand that the node has; 0 when it has none."""
    if len(node.inputs) <= position:
        return np.zeros((), np.int64)
    return rewriter.array(node.inputs[position])[rows].astype(np.int64)


def _constant(rewriter: Rewriter, node: Node, position: int, kind: str, array: Array) -> str:
    """An operand in the narrowest type, under the name that it had."""
    had = len(node.inputs) > position
    name = node.inputs[position] if had else f"{node.name}.{kind}"
    span = narrowest(int(array.min()), int(array.max()))
    return rewriter.new.constant(name, Tensor(array, span))


def shrink_groups(self: Shrink, rewriter: Rewriter, node: Node, op: Conv) -> str:
    """Whole groups stay or go; nothing is folded."""
    x, name = node.inputs[:2]
    rows = self.kept[node.name]
    weight = rewriter.old.constants[name]
    groups = int(self.kept[x].sum()) // weight.array.shape[1]
    kept = Tensor(weight.array[rows], weight.dtype)
    operands = [rewriter[x], rewriter.new.constant(name, kept)]
    border = border_of(rewriter, node, rows, None)
    none = np.zeros(int(rows.sum()), np.int64)
    operands += bias_of(rewriter, node, rows, none, needed=bool(border)) + border
    return rewriter.copy(node, replace(op, groups=groups), tuple(operands))


def shrink_parameters(self: Shrink, rewriter: Rewriter, node: Node) -> str:
    """The parameters of the channels that stay; one that holds for all channels stays as it is."""
    mask = self.kept[node.name]
    if mask.all():
        return rewriter.copy(node)
    operands = [rewriter[node.inputs[0]]]
    for name in node.inputs[1:]:
        tensor = rewriter.old.constants[name]
        if tensor.array.shape[:1] != mask.shape:
            operands.append(rewriter[name])
        elif tensor.array.ndim == 1:
            operands.append(parameter(rewriter, name, tensor.array[mask]))
        else:
            kept = Tensor(tensor.array[mask], tensor.dtype)
            operands.append(rewriter.new.constant(name, kept))
    return rewriter.copy(node, inputs=tuple(operands))


def shrink_lookup(self: Shrink, rewriter: Rewriter, node: Node) -> str:
    """The rows of the channels that stay; one table for all channels stays as it is."""
    mask, table = self.kept[node.name], rewriter.old.constants[node.inputs[1]]
    if mask.all() or table.array.ndim == 1:
        return rewriter.copy(node)
    kept = rewriter.new.constant(node.inputs[1], Tensor(table.array[mask], table.dtype))
    return rewriter.copy(node, inputs=(rewriter[node.inputs[0]], kept))


def shrink_moved(self: Shrink, rewriter: Rewriter, node: Node) -> str:
    """A reshape or slice of the channels that stay."""
    before, after = self.kept[node.inputs[0]], self.kept[node.name]
    return rewriter.copy(node, node.op if before.all() else shrunk(node.op, before, after))


RULES: dict[type[Any], Callable[[Shrink, Rewriter, Node], str]] = {
    Conv: shrink_linear,
    Dense: shrink_linear,
    Requantize: shrink_parameters,
    Threshold: shrink_parameters,
    Lookup: shrink_lookup,
    Reshape: shrink_moved,
    Slice: shrink_moved,
}
