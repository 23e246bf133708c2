"""Lowering products of two activations, and softmax."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..errors import PassError
from ..ir.graph import Node
from ..ir.numeric import Array
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_softmax import FRACTION_BITS, Softmax
from .lowering import Lowering
from .meaning import Image

SUM_BITS = 30
"""Exponentials of a softmax are scaled such that no sum of them exceeds 2**30."""


def lower_product(self: Lowering, node: Node) -> None:
    """value = sx sy (sum of) (x - zx) (y - zy): an image of the accumulator without offset."""
    if not isinstance(node.op, Multiply | MatMul):
        return
    x, y = self.codes(node, 0), self.codes(node, 1)
    op = replace(node.op, zero_points=(x.zero_point, y.zero_point))
    acc = self.emit(f"{node.name}.acc", op, x.name, y.name, node=node)
    self.meanings[node.name] = Image(acc, (x.scale * y.scale,), (Fraction(0),))


def lower_softmax(self: Lowering, node: Node) -> None:
    """value = 2**-16 times the integer softmax, whose zero point cancels out."""
    if not isinstance(node.op, Softmax):
        return
    x = self.codes(node)
    fact = self.facts[x.name]
    lo, hi = fact.interval.bounds
    if hi - lo >= 1 << FRACTION_BITS:
        raise PassError(
            f"Its input takes {hi - lo + 1} codes, too many for a table of exponentials.",
            where=node.where,
            fix="Quantize its input to at most 16 bits.",
        )
    bits = exponent_bits(int(fact.type.shape[node.op.axis]))
    powers = exponentials(float(x.scale), hi - lo + 1, bits)
    table = self.constant(f"{node.name}.exponentials", powers)
    acc = self.emit(f"{node.name}.acc", node.op, x.name, table, node=node)
    share = Fraction(1, 1 << FRACTION_BITS)
    self.meanings[node.name] = Image(acc, (share,), (Fraction(0),))


def exponent_bits(length: int) -> int:
    """Fraction bits of the exponentials of a softmax over ``length`` elements."""
    return SUM_BITS - (length - 1).bit_length()


def exponentials(scale: float, entries: int, bits: int) -> Array:
    """``round(2**bits * exp(-scale * i))`` for i in 0..entries - 1, cut after the first 0."""
    table = np.rint(np.exp(-scale * np.arange(entries)) * (1 << bits)).astype(np.int64)
    return table[: int(np.count_nonzero(table)) + 1]


def softmax_error(length: int) -> Fraction:
    """Bound on ``|integer softmax - 2**16 * softmax|``, for the same codes as input.

    1/2 for the division; the table's entries are off by 1/2 of 2**-bits each and their sum is at
    least 1, which moves a share by at most ``length / 2**(bits + 1)``.
    """
    table = Fraction(length << FRACTION_BITS, 1 << (exponent_bits(length) + 1))
    return Fraction(1, 2) + table
