"""A graph as a torch module that can be trained, and the module's weights back in a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ...errors import UsageError
from ...ir import tensor as ir
from ...ir.graph import Graph, Node
from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense
from ...ir.ops_pointwise import Affine, PRelu
from ...ir.ops_quant import Dequantize, Quantize
from ..coded import decodes
from .batch_norm import escape, fold_norms, normalize, owner
from .scale import trained_scales
from .table import apply, check_trainable

LEARNS = {Conv: (1, 2), Dense: (1, 2), Affine: (1, 2), PRelu: (1,)}
"""Which operands of which ops are parameters when they are constants."""


def to_torch(graph: Graph) -> GraphModule:
    """``graph`` as a differentiable module; raises UsageError naming a node that has no gradient.

    Weights, biases, scales and shifts of affine and slopes are its parameters, other constants its
    buffers. Of a quantized graph the scales inside train as well (``Scale``); its codes are
    integral reals. In evaluation mode it computes what ``ir.evaluate`` does.
    """
    for node in graph.nodes:
        check_trainable(node)
    return GraphModule(graph)


class GraphModule(nn.Module):
    """The network of ``graph``: takes the inputs in order, or one dictionary of them by name.

    Returns the output, or a dictionary by name when there are several. ``norms`` normalize what
    layers compute: see ``batch_norm``. ``layers`` are the first conv or dense that uses each
    weight, by the name of the weight's constant; ``fixed`` the weights that are codes already;
    ``scales`` those that train.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.layers = _layers(graph)
        self.fixed = frozenset(node.name for node in graph.nodes if decodes(graph, node))
        scales = dict(trained_scales(graph))
        self.scales = nn.ModuleDict({escape(name): scale for name, scale in scales.items()})
        learned = {name for node in graph.nodes for name in _learned(graph, node)}
        for name, array in _held(graph, self.fixed).items():
            if name in scales:
                continue
            elements = torch.from_numpy(array.copy())
            if name in learned:
                self.register_parameter(attribute(name), nn.Parameter(elements))
            else:
                self.register_buffer(attribute(name), elements)
        self.norms = nn.ModuleDict()
        self.relations: nn.Module | None = None

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The weights of conv and dense by the name of their constant; see ``layers``.

        Coded weights are not among them: they do not learn.
        """
        return {name: getattr(self, attribute(name)) for name in self.layers}

    def constant(self, name: str) -> torch.Tensor:
        """The parameter or buffer of a constant, or of what is computed of constants alone."""
        if escape(name) in self.scales:
            scale: torch.Tensor = self.scales[escape(name)]()
            return scale
        held: torch.Tensor = getattr(self, attribute(name))
        return held

    def forward(self, *inputs: Any) -> Any:
        results = self.named_inputs(inputs)
        outputs = {name: results[name] for name in self.graph.outputs if name in results}
        for node, result in self.walk(results):
            if node.name in self.graph.outputs:
                outputs[node.name] = result
        named = {
            name: outputs[name] if name in outputs else self.constant(name)
            for name in self.graph.outputs
        }
        return next(iter(named.values())) if len(named) == 1 else named

    def walk(self, inputs: Mapping[str, torch.Tensor]) -> Iterator[tuple[Node, torch.Tensor]]:
        """Yield each node with its result, in order; results are freed after their last use."""
        live = dict(inputs)
        last_use = self.graph.last_use
        for index, node in enumerate(self.graph.nodes):
            if node.name in self.fixed:
                continue
            operands = [live[name] if name in live else self.constant(name) for name in node.inputs]
            result = apply(node.op, *operands)
            norm = escape(owner(self.graph, node).name)
            if norm in self.norms:
                result = normalize(self.norms[norm], node, result)
            live[node.name] = result
            yield node, result
            for name in node.inputs:
                if last_use[name] <= index:
                    live.pop(name, None)
            if node.name not in last_use:
                del live[node.name]

    def named_inputs(self, inputs: tuple[Any, ...]) -> dict[str, torch.Tensor]:
        """What ``forward`` was given, by name; raises UsageError when it does not fit."""
        names = [value.name for value in self.graph.inputs]
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            inputs = tuple(inputs[0][name] for name in names if name in inputs[0])
        if len(inputs) != len(names):
            raise UsageError(
                f"The module has the inputs {', '.join(names)}; {len(inputs)} of them were given.",
                fix="Pass a tensor for each in this order, or one dictionary by name.",
            )
        return dict(zip(names, inputs, strict=True))

    def to_graph(self) -> Graph:
        """The graph with the parameters' elements as its constants, float32; all else the same.

        Norms are folded into the layers before them.
        """
        constants = dict(self.graph.constants)
        learned = {name for name, _ in self.named_parameters()}
        for name in constants:
            if attribute(name) in learned or escape(name) in self.scales:
                constants[name] = ir.real(self.constant(name).detach().float().cpu().numpy())
        return fold_norms(replace(self.graph, constants=constants), dict(self.norms.items()))


def _layers(graph: Graph) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for node in graph.nodes:
        weight = _weight(graph, node)
        if weight is not None:
            found.setdefault(weight, node)
    return found


def _weight(graph: Graph, node: Node) -> str | None:
    """The constant that is a layer's weight, as it is or quantized and dequantized."""
    if not isinstance(node.op, Conv | Dense):
        return None
    name = node.inputs[1]
    while name in graph.producers and isinstance(graph.producers[name].op, Quantize | Dequantize):
        name = graph.producers[name].inputs[0]
    held = graph.constants.get(name)
    return name if held is not None and not held.dtype.is_integer else None


def _held(graph: Graph, fixed: frozenset[str]) -> dict[str, Array]:
    """What a module holds by name: constants, and coded weights in place of their codes."""
    nodes = [node for node in graph.nodes if node.name not in fixed]
    used = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    arrays = {name: tensor.array for name, tensor in graph.constants.items()}
    coded = {
        node.name: node.op.reference(*(arrays[name] for name in node.inputs))
        for node in graph.nodes
        if node.name in fixed
    }
    return {name: array for name, array in {**arrays, **coded}.items() if name in used}


def _learned(graph: Graph, node: Node) -> Iterator[str]:
    """The constants of a node that training may change."""
    places = LEARNS.get(type(node.op), ())
    names = [node.inputs[place] for place in places if place < len(node.inputs)]
    for name in (*names, _weight(graph, node) or ""):
        if name in graph.constants and not graph.constants[name].dtype.is_integer:
            yield name


def attribute(name: str) -> str:
    """The attribute of the module that holds a constant."""
    return f"constant{escape(name)}"
