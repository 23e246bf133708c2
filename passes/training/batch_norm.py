"""Batch normalization put back behind conv and dense, so that a folded network trains well again.

``y = gamma (x - mean) / sqrt(var + eps) + beta`` with ``gamma = sqrt(var + eps)`` and
``beta = mean`` changes nothing in evaluation mode; training mode uses the batch's own statistics.
Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ...errors import DataError
from ...ir.graph import Graph, Node, Rewriter, rewrite
from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense
from ...ir.tensor import real
from ..target import is_followed

if TYPE_CHECKING:
    from .module import GraphModule

_BY_RANK: Mapping[int, Any] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


def insert_batch_norm(module: GraphModule, batches: Iterable[Mapping[str, Any]]) -> None:
    """Normalize what every inner layer of ``module`` computes; its function stays the same.

    The running mean and variance are those of ``batches``: arrays or tensors by input name. Layers
    that no other layer follows make the outputs and stay as they are, and so do those whose weight
    is fixed. Layers that share all constants share a norm, under the name of the first; those that
    share some stay as they are. Raises DataError when there are no batches.
    """
    layers = {node.name: node for node in module.layers.values() if _normalizes(module, node)}
    if not layers:
        return
    like = next(module.parameters())
    for name, statistics in _measure(module, layers, batches).items():
        module.norms[escape(name)] = _norm(layers[name], *statistics).to(like)


def escape(name: str) -> str:
    """A name as torch allows it for parameters and modules: no dots, and none of a module's own."""
    return f"/{name.replace('%', '%25').replace('.', '%2E')}"


def normalize(norm: nn.Module, node: Node, result: torch.Tensor) -> torch.Tensor:
    """``norm`` of a layer's result along its channels: axis 1 of a conv, the last of a dense."""
    axis = 1 if isinstance(node.op, Conv) else -1
    if norm.training and result.numel() == result.shape[axis]:
        raise DataError(
            "A batch of one sample has no statistics to normalize by.",
            where=node.where,
            fix="Make batches greater, or have the loader drop a last one of one sample.",
        )
    turned: torch.Tensor = norm(result.movedim(axis, 1))
    return turned.movedim(1, axis)


def owner(graph: Graph, node: Node) -> Node:
    """The first layer that has the same weight, the node itself where it is no layer."""
    if not isinstance(node.op, Conv | Dense) or node.inputs[1] not in graph.constants:
        return node
    return graph.users[node.inputs[1]][0]


def fold_norms(graph: Graph, norms: Mapping[str, Any]) -> Graph:
    """``graph`` with the running statistics of each node's norm in its weight and bias.

    ``W' = W gamma / sqrt(var + eps)``, ``b' = (b - mean) gamma / sqrt(var + eps) + beta``: zeros
    stay zeros.
    """

    def rule(r: Rewriter, node: Node) -> str | None:
        first = owner(r.old, node).name
        if escape(first) not in norms:
            return None
        weight = node.inputs[1]
        name = node.inputs[2] if len(node.inputs) > 2 else f"{first}.bias"
        bias = r.array(name) if len(node.inputs) > 2 else np.zeros(())
        folded = _folded(norms[escape(first)], r.array(weight), bias)
        held = map(r.new.constant, (weight, name), map(real, folded))
        return r.copy(node, inputs=(r[node.inputs[0]], *held))

    return rewrite(graph, rule) if norms else graph


def _folded(norm: Any, weight: Array, bias: Array) -> tuple[Array, Array]:
    mean, var, gamma, beta = (
        each.detach().double().cpu().numpy()
        for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    factor = gamma / np.sqrt(var + norm.eps)
    rows = factor.reshape(-1, *(1,) * (weight.ndim - 1))
    return weight * rows, (bias - mean) * factor + beta


def _normalizes(module: GraphModule, node: Node) -> bool:
    """Whether a layer has a weight to fold into, and it and all that share it one behind them."""
    if not isinstance(node.op, Conv | Dense) or node.inputs[1] not in module.weights:
        return False
    sharing = module.graph.users[node.inputs[1]]
    return all(
        (each.op, each.inputs[1:]) == (node.op, node.inputs[1:]) and is_followed(module.graph, each)
        for each in sharing
    )


def _measure(
    module: GraphModule, layers: Mapping[str, Node], batches: Iterable[Mapping[str, Any]]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Mean and variance of every channel of each layer's result, in evaluation mode."""
    sums: dict[str, torch.Tensor] = {}
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    with torch.no_grad():
        for batch in batches:
            given = {name: torch.as_tensor(each, device=device) for name, each in batch.items()}
            for node, result in module.walk(module.named_inputs((given,))):
                first = owner(module.graph, node).name
                if first in layers:
                    sums[first] = sums.get(first, 0) + _sums(node, result)
    module.train(training)
    if not sums:
        raise DataError(
            "There is no data to measure batch normalization on.",
            fix="Give at least one batch of inputs.",
        )
    return {name: _mean_and_variance(each) for name, each in sums.items()}


def _sums(node: Node, result: torch.Tensor) -> torch.Tensor:
    """Count, sum and sum of squares of every channel, float64 ``(3, c)``."""
    axis = 1 if isinstance(node.op, Conv) else -1
    rows = result.double().movedim(axis, 0).flatten(1)
    count = torch.full_like(rows[:, 0], rows.shape[1])
    return torch.stack([count, rows.sum(1), rows.square().sum(1)])


def _mean_and_variance(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count, total, squares = sums
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0)


def _norm(node: Node, mean: torch.Tensor, var: torch.Tensor) -> nn.Module:
    norm: Any = _BY_RANK[len(node.type.shape)](len(mean))
    with torch.no_grad():
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.weight.copy_((norm.running_var.double() + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean)
    return norm
