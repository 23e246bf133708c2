"""Training through quantization: shadow weights behind a quantize, and their codes at the end."""

from __future__ import annotations

import torch

from ...errors import PassError
from ...ir.graph import Graph, Node, Rewriter, rewrite
from ...ir.ops_linear import Conv, Dense
from ...ir.ops_quant import Quantize
from ...ir.tensor import Tensor
from ..base import Context
from ..qat import Qat
from .admm import Hard
from .loop import Phase, open_job, placed, train
from .module import GraphModule
from .table import apply

REAL = "_real"
"""What ``quantize`` appends to the name of a weight's codes for the reals they stand for."""


def by_qat(options: Qat, graph: Graph, context: Context) -> Graph:
    """The quantized graph, trained."""
    quantized = options.quantize.run(graph, context)
    job = open_job(options, graph, context, options.optimizer.batch)
    job.module = placed(shadowed(graph, quantized), job.world)
    method = Hard(lambda weights: {})
    train(job, [Phase("train quantized", options.epochs, options.optimizer, method)])
    return with_codes(job.module.eval())


def shadowed(graph: Graph, quantized: Graph) -> Graph:
    """``quantized`` with the real weights of ``graph`` behind a quantize, in place of codes."""
    layers = {node.name: node for node in graph.nodes if isinstance(node.op, Conv | Dense)}
    reals = {
        node.inputs[1]: layers[node.name].inputs[1]
        for node in quantized.nodes
        if node.name in layers and layers[node.name].inputs[1] in graph.constants
    }

    def rule(r: Rewriter, node: Node) -> str | None:
        if node.name not in reals:
            return None
        codes, *parameters = node.inputs
        dtype, name = r.old.constants[codes].dtype, reals[node.name]
        weight = r.new.constant(name, graph.constants[name])
        op = Quantize(dtype, axis=0, rounding="half_even", narrow=int(dtype.kind == "int"))
        operands = tuple(r[each] for each in parameters)
        rounded = r.new.node(codes, op, weight, *operands, origin=node.value.origin)
        return r.copy(node, inputs=(rounded, *operands))

    return rewrite(quantized, rule)


def with_codes(module: GraphModule) -> Graph:
    """The graph of ``module`` with the very codes that it computes of its weights."""
    codes = {
        node.name: _codes(module, node) for node in module.graph.nodes if _rounds(module, node)
    }

    def rule(r: Rewriter, node: Node) -> str | None:
        if node.name not in codes:
            return None
        (real,) = r.old.users[node.name]
        return r.new.constant(real.name.removesuffix(REAL), codes[node.name])

    return rewrite(module.to_graph(), rule)


def _rounds(module: GraphModule, node: Node) -> bool:
    return isinstance(node.op, Quantize) and node.inputs[0] in module.graph.constants


@torch.no_grad()
def _codes(module: GraphModule, node: Node) -> Tensor:
    found = apply(node.op, *map(module.constant, node.inputs))
    if not bool(torch.isfinite(found).all()):
        raise PassError("Its weights are no numbers after training.", where=node.where)
    return Tensor(found.cpu().numpy().astype(node.type.dtype.container), node.type.dtype)
