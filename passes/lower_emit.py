"""Appending the steps that make codes: rescalings, thresholds, tables, with their certificates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir.certificate import Certificate
from ..ir.graph import Node
from ..ir.numeric import INT32, Array, NumericType, int_type
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_pointwise import Add
from ..ir.ops_quant import Lookup, Requantize, Threshold
from .lowering import Lowering, refuse
from .meaning import Image
from .rescale import Parameters

MAX_TABLE_BITS = 16


def emit_requantize(
    self: Lowering,
    node: Node,
    source: str,
    dtype: NumericType,
    name: str,
    parameters: Parameters,
    certificate: Certificate,
) -> str:
    """Append a requantize with these parameters."""
    operands = (
        self.constant(f"{name}.multiplier", parameters.multiplier),
        self.constant(f"{name}.addend", parameters.addend),
        self.constant(f"{name}.shift", parameters.shift),
    )
    op = Requantize(dtype, parameters.lo, parameters.hi)
    return self.emit(name, op, source, *operands, node=node, certificate=certificate)


def emit_threshold(
    self: Lowering,
    node: Node,
    source: str,
    dtype: NumericType,
    name: str,
    steps: Array,
    base: int,
) -> str:
    """Append a threshold with these steps ``(c, levels)``: exact by definition."""
    lo, hi = self.facts[source].interval.bounds
    shared = steps[:1] if (steps == steps[:1]).all() else steps
    table = self.constant(f"{name}.thresholds", shared)
    certificate = Certificate("exact", "threshold", lo, hi)
    op = Threshold(dtype, base)
    return self.emit(name, op, source, table, node=node, certificate=certificate)


def emit_code(
    self: Lowering, node: Node, source: str, dtype: NumericType, name: str, code: int
) -> str:
    """Append one code, whatever the accumulator is."""
    zero = np.zeros(1, dtype=np.int64)
    parameters = Parameters(zero, zero + code, zero, code, code)
    proof = Certificate("exact", "constant", *self.facts[source].interval.bounds)
    return emit_requantize(self, node, source, dtype, name, parameters, proof)


def emit_lookup(
    self: Lowering, node: Node, source: str, outputs: Array, dtype: NumericType, name: str
) -> str:
    """Append a table with the code of each code of ``source``."""
    own = self.facts[source].type.dtype
    table = self.constant(f"{name}.table", outputs, dtype)
    certificate = Certificate("table", "lookup", own.lo, own.hi)
    op = Lookup(dtype, own.lo)
    return self.emit(name, op, source, table, node=node, certificate=certificate)


def emit_pair_table(
    self: Lowering,
    node: Node,
    table: Array,
    operands: tuple[str, str],
    dtype: NumericType,
    name: str,
) -> str:
    """Append ``table[x, y]``, rows and columns for all codes that occur: the number of the pair,
    and one lookup at it.
    """
    columns, size = table.shape[1], table.size
    if size > 1 << MAX_TABLE_BITS:
        raise refuse(node, f"would need a table of {size} pairs of codes")
    (row, _), (column, _) = (self.facts[each].interval.bounds for each in operands)
    acc = self.emit(f"{node.name}.acc", Add((columns, 1)), *operands, node=node)
    bits = max(1, (size - 1).bit_length())
    none = np.zeros(1, dtype=np.int64)
    number = Parameters(none + 1, none - (row * columns + column), none, 0, size - 1)
    proof = Certificate("exact", "number of the pair", 0, size - 1)
    unsigned = int_type(bits, signed=False)
    pair = emit_requantize(self, node, acc, unsigned, f"{node.name}.pair", number, proof)
    entries = np.pad(table.reshape(-1), (0, (1 << bits) - size), mode="edge")
    held = self.constant(f"{node.name}.table", entries, dtype)
    certificate = Certificate("table", "pairs of codes", 0, size - 1)
    return self.emit(name, Lookup(dtype, 0), pair, held, node=node, certificate=certificate)


def rising(self: Lowering, node: Node, image: Image) -> Image:
    """The image of an accumulator whose falling channels are negated: in its weights if any."""
    signs = np.array([-1 if scale < 0 else 1 for scale in image.scale], dtype=np.int64)
    upward = replace(image, scale=tuple(map(abs, image.scale)))
    name = f"{image.name}.rising"
    made = next((each for each in self.new.nodes if each.name == image.name), None)
    if made is not None and isinstance(made.op, Conv | Dense) and len(made.inputs) == 2:
        weight = self.new.constants[made.inputs[1]]
        rows = np.broadcast_to(signs, len(weight.array)).reshape(
            -1, *(1,) * (weight.array.ndim - 1)
        )
        dtype = weight.dtype if weight.dtype.kind in ("bipolar", "ternary") else None
        negated = weight.array.astype(np.int64) * rows
        held = self.constant(f"{made.inputs[1]}.rising", negated, dtype)
        return replace(upward, name=self.emit(name, made.op, made.inputs[0], held, node=node))
    none = np.zeros(1, dtype=np.int64)
    flip = Parameters(signs, none, none, INT32.lo, INT32.hi)
    proof = Certificate("exact", "negation", *self.facts[image.name].interval.bounds)
    flipped = emit_requantize(self, node, image.name, INT32, name, flip, proof)
    return replace(upward, name=flipped)
