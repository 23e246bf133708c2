"""Lower a quantized graph to integers, every rescaling with its certificate.

The walk keeps for each real value what it means in integers (meaning.py, lower_real.py); a
quantize turns a meaning into codes (lower_codes.py). Operators that work on codes already are taken
over, and what they state by steps or tables is searched for cheaper integers (lower_integer.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..ir.graph import Builder, Graph, Node, prune_unused, rename
from ..ir.ops_arg import ArgMax
from ..ir.ops_crop import Crop
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Transpose
from ..ir.ops_linear import Conv, Dense
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add, Affine, Clip, PRelu, Relu, ScaleGradient, Unary
from ..ir.ops_pool import AveragePool, MaxPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_quant import Dequantize, PairLookup, Quantize, Threshold
from ..ir.ops_softmax import Softmax
from ..ir.verify import Stage
from .base import Context, Pass
from .lower_axis import lower_arg_max, lower_layer_norm, lower_prelu
from .lower_codes import lower_quantize
from .lower_crop import lower_crop, lower_scale_gradient
from .lower_input import INPUT_RULES, raw_of
from .lower_integer import lower_integer, lower_pair, lower_threshold
from .lower_output import output_of, repeated
from .lower_pool import lower_average_pool
from .lower_product import lower_product, lower_softmax
from .lower_real import (
    lower_add,
    lower_affine,
    lower_clip,
    lower_concat,
    lower_dequantize,
    lower_linear,
    lower_pass_through,
    lower_unary,
)
from .lower_threshold import lower_real_threshold
from .lowering import Lowering, refuse
from .quantize import real_name


@dataclass(frozen=True)
class Lower(Pass):
    """Replace reals by integers; each rescaling is certified, or listed where it differs."""

    name: ClassVar[str] = "lower"
    stages: ClassVar[Mapping[Stage, Stage]] = {"quantized": "integer"}

    def run(self, graph: Graph, context: Context) -> Graph:
        lowering = Lowering(graph, Builder(graph.name))
        for index, node in enumerate(graph.nodes, 1):
            lower_node(lowering, node)
            context.progress("Lower and certify", index, len(graph.nodes))
        return finish(lowering)


def lower_node(lowering: Lowering, node: Node) -> None:
    """Lower one node by the rule of its operator."""
    types = map(lowering.graph.type_of, node.inputs)
    if all(each.dtype.is_integer for each in types):
        INTEGER_RULES.get(type(node.op), lower_integer)(lowering, node)
        return
    raw = raw_of(lowering, node)
    if raw is not None and type(node.op) in INPUT_RULES:
        INPUT_RULES[type(node.op)](lowering, node, raw)
        return
    rule = RULES.get(type(node.op))
    if rule is None:
        raise refuse(node, "has no integer form yet")
    rule(lowering, node)


def finish(lowering: Lowering) -> Graph:
    """The integer graph; every output is codes or an accumulator, under the model's name for it.

    What several outputs mean, or an input, is repeated; another value of that name gets a new one.
    """
    made: dict[str, str] = {}
    for name in lowering.graph.outputs:
        value = output_of(lowering, name)
        input_ = any(each.name == value for each in lowering.new.inputs)
        if value in made or (input_ and value != name):
            value = repeated(lowering, name, value)
        made[value] = name
    graph = prune_unused(lowering.new.build(tuple(made)))
    new = {value: name for value, name in made.items() if name != real_name(value)}
    for name in tuple(new.values()):
        if name in lowering.new and name not in new:
            new[name] = lowering.new.fresh(f"{name}.codes")
    return rename(graph, new)


RULES: dict[type[Any], Callable[[Lowering, Node], None]] = {
    Dequantize: lower_dequantize,
    Quantize: lower_quantize,
    Threshold: lower_real_threshold,
    Conv: lower_linear,
    Dense: lower_linear,
    Affine: lower_affine,
    AveragePool: lower_average_pool,
    Add: lower_add,
    Relu: lower_clip,
    Clip: lower_clip,
    Unary: lower_unary,
    MaxPool: lower_pass_through,
    Reshape: lower_pass_through,
    Transpose: lower_pass_through,
    Slice: lower_pass_through,
    Pad: lower_pass_through,
    Concat: lower_concat,
    Multiply: lower_product,
    MatMul: lower_product,
    Softmax: lower_softmax,
    LayerNorm: lower_layer_norm,
    ArgMax: lower_arg_max,
    PRelu: lower_prelu,
    Crop: lower_crop,
    ScaleGradient: lower_scale_gradient,
}
"""By operator, what a real value means."""
INTEGER_RULES: dict[type[Any], Callable[[Lowering, Node], None]] = {
    Threshold: lower_threshold,
    PairLookup: lower_pair,
}
"""By operator, what becomes of one that works on codes; others are taken over as they are."""
