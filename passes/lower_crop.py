"""Lowering a look at part of an image, and what matters in training only."""

from __future__ import annotations

from fractions import Fraction

from ..ir.graph import Node
from ..ir.numeric import Encoding
from ..ir.ops_crop import Crop
from .lowering import Lowering, refuse
from .meaning import Codes


def lower_crop(self: Lowering, node: Node) -> None:
    """Codes blended to codes that mean the same; where to look is what its codes say."""
    if not isinstance(node.op, Crop):
        return
    x = self.codes(node)
    told = [self.codes(node, 1)] if len(node.inputs) > 1 else []
    for each in told:
        type_ = self.facts[each.name].type
        unit = each.scale == Fraction(1, 1 << node.op.bits) and each.zero_point == 0
        if not unit or type_.dtype.kind != "uint" or type_.dtype.bits != node.op.bits:
            raise refuse(node, f"is told where to look in codes of {type_.dtype} * {each.scale}")
    encoding = Encoding(float(x.scale), x.zero_point)
    names = (x.name, *(each.name for each in told))
    made = self.emit(node.name, node.op, *names, node=node, encoding=encoding)
    self.meanings[node.name] = Codes(made, x.scale, x.zero_point)


def lower_scale_gradient(self: Lowering, node: Node) -> None:
    """What it is given."""
    self.meanings[node.name] = self.meanings[node.inputs[0]]
