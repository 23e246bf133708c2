"""Lowering what is integer already: taken over as it is, or by cheaper integers that equal it.

Importers state an executor's arithmetic in operators that are exact by definition: the steps of a
rescaling as a threshold, an addition as a table of all pairs.
"""

from __future__ import annotations

import numpy as np

from ..ir.graph import Node
from ..ir.ops_pointwise import Add
from ..ir.ops_quant import PairLookup, Threshold
from .add import find_pair
from .certify import find_parameters, prove, thresholds
from .lower_emit import emit_pair_table, emit_requantize, emit_threshold
from .lowering import Lowering
from .rescale import Parameters
from .steps import Steps


def lower_integer(self: Lowering, node: Node) -> None:
    """The same operator on the same codes."""
    operands = [self.integer(name) for name in node.inputs]
    extra = {"encoding": node.value.encoding, "certificate": node.certificate}
    self.integers[node.name] = self.emit(node.name, node.op, *operands, node=node, **extra)


def lower_threshold(self: Lowering, node: Node) -> None:
    """One requantize if some (M, r, s) climb the same steps wherever the input can be."""
    op = node.op
    if not isinstance(op, Threshold):
        return
    x, table = self.integer(node.inputs[0]), self.array(node.inputs[1]).astype(np.int64)
    emit_steps(self, node, x, op, Steps(table, op.base))


def emit_steps(self: Lowering, node: Node, x: str, op: Threshold, f: Steps) -> None:
    """Append the codes of a threshold whose steps on x are ``f``."""
    if op.dtype.kind == "bipolar":
        made = emit_threshold(self, node, x, op.dtype, node.name, f.table, op.base)
        self.integers[node.name] = made
        return
    reach = self.facts[x].interval
    reach = reach if f.channels > 1 else reach.hull
    parameters = find_parameters(f, reach)
    found = thresholds(f, reach) if parameters is None else None
    if parameters is not None:
        proof = prove(f, parameters, reach)
        made = emit_requantize(self, node, x, op.dtype, node.name, parameters, proof)
    elif found is not None:
        made = emit_threshold(self, node, x, op.dtype, node.name, *found)
    if node.value.encoding is not None:
        self.encode(made, node.value.encoding)
    self.integers[node.name] = made


def lower_pair(self: Lowering, node: Node) -> None:
    """A sum and one requantize if they equal the table for all codes that occur, else the table."""
    op = node.op
    if not isinstance(op, PairLookup):
        return
    x, y = (self.integer(name) for name in node.inputs[:2])
    ranges = self.facts[x].interval.bounds, self.facts[y].interval.bounds
    rows, columns = (
        slice(lo - base, hi - base + 1) for (lo, hi), base in zip(ranges, op.bases, strict=True)
    )
    table = self.array(node.inputs[2]).astype(np.int64)[rows, columns]
    found = find_pair(table, (op.x_slope, op.y_slope), *ranges)
    if found is None:
        made = emit_pair_table(self, node, table, (x, y), op.dtype, node.name)
    else:
        acc = self.emit(f"{node.name}.acc", Add(found.multipliers), x, y, node=node)
        one = np.ones(1, dtype=np.int64)
        ends = int(table.min()), int(table.max())
        parameters = Parameters(one, one * found.addend, one * found.shift, *ends)
        proof = found.certificate
        made = emit_requantize(self, node, acc, op.dtype, node.name, parameters, proof)
    if node.value.encoding is not None:
        self.encode(made, node.value.encoding)
    self.integers[node.name] = made
