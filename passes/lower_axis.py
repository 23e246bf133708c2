"""Lowering ops along an axis, and pools over windows of different sizes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..errors import PassError
from ..ir.graph import Node
from ..ir.numeric import Array, Encoding, int_type
from ..ir.ops_norm import FRACTION_BITS, LayerNorm
from ..ir.tensor import Tensor
from .lowering import Lowering
from .meaning import Codes, Function, Image

MOST_BITS = 20
"""Fraction bits of the root of a variance: its error is then below 2**-20 of a code."""


def lower_arg_max(self: Lowering, node: Node) -> None:
    """The greatest code is the greatest real; the index means itself."""
    made = self.emit(node.name, node.op, self.codes(node).name, node=node, encoding=Encoding(1.0))
    self.meanings[node.name] = Codes(made, Fraction(1), 0)


def lower_layer_norm(self: Lowering, node: Node) -> None:
    """value = 2**-16 times the integer form, in which zero points and scale cancel."""
    if not isinstance(node.op, LayerNorm):
        return
    x = self.codes(node)
    type_ = self.facts[x.name].type
    count = type_.sample_shape[node.op.axis - 1]
    real = Fraction(float(self.array(node.inputs[1]).reshape(()))) * (count / x.scale) ** 2
    for bits in range(MOST_BITS, -1, -1):
        epsilon = round(real * 4**bits)
        op = LayerNorm(node.op.axis, bits)
        if op.fits(type_, epsilon):
            break
    else:
        raise PassError(
            f"Its sums over {count} codes of {type_.dtype} overflow 64 bits.",
            where=node.where,
            fix="Use fewer bits for its input.",
        )
    held = self.tensor(f"{node.name}.epsilon", Tensor(np.asarray(epsilon, np.int64), int_type(64)))
    acc = self.emit(f"{node.name}.acc", op, x.name, held, node=node)
    self.meanings[node.name] = Image(acc, (Fraction(1, 1 << FRACTION_BITS),), (Fraction(0),))


def lower_prelu(self: Lowering, node: Node) -> None:
    """A function of codes, one for each slope."""
    slopes = self.array(node.inputs[1]).astype(np.float64).reshape(-1, 1)

    def apply(x: Array) -> Array:
        rows: Array = np.where(x < 0, slopes * x, x)
        return rows[0] if len(rows) == 1 else rows

    self.meanings[node.name] = Function(self.codes(node), apply)
