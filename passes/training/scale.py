"""Scales that train: as powers of two, so that a step changes each by its own measure.

Source: Jain et al., "Trained Quantization Thresholds for Accurate and Efficient Fixed-Point
Inference of Deep Neural Networks", MLSys 2020, section 3.2, for the logarithm; Esser et al.,
"Learned Step Size Quantization", ICLR 2020, section 2.2, for the gain.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...ir.graph import Graph, Node
from ...ir.numeric import LEAST_SCALE, SHORT_BITS, Array, short_scale
from ...ir.ops_crop import Crop
from ...ir.ops_quant import Dequantize, Quantize
from ..coded import decodes
from ..flow import Flow

MOST_BITS = 8
"""Scales of wider codes are powers of two, chosen for exact additions, and do not train."""


class Scale(nn.Module):
    """``start * 2**octaves``, rounded to a short scale when ``start`` is one (``short_scale``).

    ``gain`` weakens the gradient: it adds up over all elements that the scale is for.
    """

    start: Tensor

    def __init__(self, start: Array, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.short = bool((short_scale(start) == start).all())
        self.octaves = nn.Parameter(torch.zeros(start.shape))
        self.register_buffer("start", torch.from_numpy(start.copy()))

    def forward(self) -> Tensor:
        octaves = self.octaves * self.gain + (self.octaves * (1 - self.gain)).detach()
        scale: Tensor = self.start * torch.exp2(octaves)
        return scale + (_short(scale.detach()) - scale).detach() if self.short else scale


def _short(scale: Tensor) -> Tensor:
    """``ir.numeric.short_scale``."""
    mantissa, exponent = torch.frexp(scale.clamp(min=LEAST_SCALE))
    return torch.ldexp((mantissa * (1 << SHORT_BITS)).round(), exponent - SHORT_BITS)


def trained_scales(graph: Graph) -> Iterator[tuple[str, Scale]]:
    """Scales of codes inside the network by their constant, not those of inputs and wide codes.

    Nor those of crops, which are their image's, and of codes that say where to look.
    """
    found: dict[str, Node] = {}
    fixed = _looked(graph)
    for node in graph.nodes:
        if isinstance(node.op, Quantize) and node.inputs[1] in graph.constants:
            found.setdefault(node.inputs[1], node)
    for name, node in found.items():
        users = graph.users[name]
        if all(_trains(graph, user) and user.name not in fixed for user in users):
            array = graph.constants[name].array
            yield name, Scale(array, _gain(graph, node, array.size))


def _looked(graph: Graph) -> set[str]:
    """Quantize points of crops, and dequantizes that tell crops where to look."""
    of_crops = {
        user.name
        for node in graph.nodes
        if isinstance(node.op, Crop)
        for user in graph.users[node.name]
    }
    return of_crops | set(Flow(graph).tells)


def _trains(graph: Graph, user: Node) -> bool:
    """Whether a scale that ``user`` reads may change."""
    if isinstance(user.op, Quantize):
        given = any(value.name == user.inputs[0] for value in graph.inputs)
        return not given and user.op.dtype.bits <= MOST_BITS
    return isinstance(user.op, Dequantize) and not decodes(graph, user)


def _gain(graph: Graph, node: Node, scales: int) -> float:
    """``1 / sqrt(elements * greatest code)``."""
    elements = graph.type_of(node.inputs[0]).elements / scales
    return float((elements * max(1, node.type.dtype.hi)) ** -0.5)
