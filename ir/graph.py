"""The graph: immutable values and nodes in topological order, and the builder that makes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import networkx as nx

from ..errors import InternalError, ShapeError
from .certificate import Certificate
from .numeric import Array, Encoding
from .op import Op
from .tensor import Tensor, TensorType


@dataclass(frozen=True, slots=True)
class Value:
    """A named tensor. ``origin`` is its place in the user's model; ``encoding`` what codes mean."""

    name: str
    type: TensorType
    origin: str = ""
    encoding: Encoding | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One operator applied to named operands; it defines exactly one value, of the same name."""

    value: Value
    op: Op
    inputs: tuple[str, ...]
    certificate: Certificate | None = None

    @property
    def name(self) -> str:
        return self.value.name

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def where(self) -> str:
        """How an error names this node: in the user's words when they are known."""
        return describe(self.value.origin or self.name, self.op)


def describe(origin: str, op: Op) -> str:
    """How an error names a node."""
    return f"Node '{origin}' ({op.name})"


@dataclass(frozen=True)
class Graph:
    """A network: inputs, constants, nodes in topological order, names of the outputs.

    Every operand names an input, a constant or an earlier node.
    """

    name: str
    inputs: tuple[Value, ...]
    constants: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.name, self.inputs, dict(self.constants), self.nodes, self.outputs)

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """Every input and every node's value by name."""
        every = (*self.inputs, *(node.value for node in self.nodes))
        return MappingProxyType({value.name: value for value in every})

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that defines a value, by its name."""
        return MappingProxyType({node.name: node for node in self.nodes})

    @cached_property
    def users(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read a value or constant, by its name."""
        found: dict[str, list[Node]] = {name: [] for name in (*self.values, *self.constants)}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return MappingProxyType({name: tuple(nodes) for name, nodes in found.items()})

    def type_of(self, name: str) -> TensorType:
        """The type of a value or constant."""
        constant = self.constants.get(name)
        return self.values[name].type if constant is None else constant.type

    def digraph(self) -> nx.DiGraph[str]:
        """Nodes and inputs as a networkx graph, edges along the data."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.values)
        for node in self.nodes:
            graph.add_edges_from((name, node.name) for name in node.inputs if name in self.values)
        return graph

    @property
    def depth(self) -> int:
        """Nodes on the longest path from an input to an output."""
        return int(nx.dag_longest_path_length(self.digraph()))

    @cached_property
    def last_use(self) -> Mapping[str, int]:
        """Index of the last node that reads a value; outputs live to the end."""
        last = {name: index for index, node in enumerate(self.nodes) for name in node.inputs}
        return MappingProxyType(last | dict.fromkeys(self.outputs, len(self.nodes)))


@dataclass
class Builder:
    """Makes a graph node by node; types are inferred and errors speak of the node's origin."""

    name: str
    inputs: list[Value] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    _types: dict[str, TensorType] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self._types

    def type_of(self, name: str) -> TensorType:
        return self._types[name]

    def fresh(self, name: str) -> str:
        """``name``, or ``name.1``, ``name.2`` ... when taken."""
        if name not in self._types:
            return name
        count = 1
        while f"{name}.{count}" in self._types:
            count += 1
        return f"{name}.{count}"

    def _define(self, name: str, type_: TensorType) -> None:
        if name in self._types:
            raise InternalError(f"Value '{name}' is defined twice in graph '{self.name}'.")
        self._types[name] = type_

    def input(self, value: Value) -> str:
        self._define(value.name, value.type)
        self.inputs.append(value)
        return value.name

    def constant(self, name: str, tensor: Tensor) -> str:
        """Add a constant; an equal constant of the same name is reused."""
        if self.constants.get(name) == tensor:
            return name
        name = self.fresh(name)
        self._define(name, tensor.type)
        self.constants[name] = tensor
        return name

    def node(
        self,
        name: str,
        op: Op,
        *inputs: str,
        origin: str = "",
        encoding: Encoding | None = None,
        certificate: Certificate | None = None,
    ) -> str:
        """Append ``op`` applied to ``inputs``; raises ShapeError naming ``origin``."""
        name = self.fresh(name)
        try:
            op.check_arity(len(inputs))
            type_ = op.infer(*(self._types[operand] for operand in inputs))
        except ShapeError as error:
            raise ShapeError(
                error.what, where=describe(origin or name, op), fix=error.fix
            ) from error
        self._define(name, type_)
        value = Value(name, type_, origin, encoding)
        self.nodes.append(Node(value, op, inputs, certificate))
        return name

    def build(self, outputs: tuple[str, ...]) -> Graph:
        """The finished graph, without constants that nothing reads."""
        used = {name for node in self.nodes for name in node.inputs} | set(outputs)
        constants = {name: tensor for name, tensor in self.constants.items() if name in used}
        return Graph(self.name, tuple(self.inputs), constants, tuple(self.nodes), outputs)


@dataclass
class Rewriter:
    """A graph being rebuilt: the old graph, the new one, and what each old name became."""

    old: Graph
    new: Builder
    renamed: dict[str, str]

    def __getitem__(self, name: str) -> str:
        """The new name of an old value; constants are carried over when first asked for."""
        if name not in self.renamed:
            self.renamed[name] = self.new.constant(name, self.old.constants[name])
        return self.renamed[name]

    def array(self, name: str) -> Array:
        """The elements of an old constant."""
        return self.old.constants[name].array

    def copy(self, node: Node, op: Op | None = None, inputs: tuple[str, ...] | None = None) -> str:
        """Append ``node`` to the new graph, with another op or new inputs if given."""
        operands = tuple(self[name] for name in node.inputs) if inputs is None else inputs
        value = node.value
        return self.new.node(
            value.name,
            op or node.op,
            *operands,
            origin=value.origin,
            encoding=value.encoding,
            certificate=node.certificate,
        )


def rewrite(graph: Graph, rule: Callable[[Rewriter, Node], str | None]) -> Graph:
    """Rebuild ``graph``: ``rule`` returns the new name for a node's value, or None to copy it."""
    rewriter = Rewriter(graph, Builder(graph.name), {})
    for value in graph.inputs:
        rewriter.renamed[value.name] = rewriter.new.input(value)
    for node in graph.nodes:
        rewriter.renamed[node.name] = rule(rewriter, node) or rewriter.copy(node)
    outputs = tuple(rewriter[name] for name in graph.outputs)
    return prune_unused(rewriter.new.build(outputs))


def prune_unused(graph: Graph) -> Graph:
    """The graph without nodes and constants that no output needs; inputs stay."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if node.name in needed:
            kept.append(node)
            needed.update(node.inputs)
    constants = {name: tensor for name, tensor in graph.constants.items() if name in needed}
    return replace(graph, nodes=tuple(reversed(kept)), constants=constants)


def rename(graph: Graph, new: Mapping[str, str]) -> Graph:
    """The graph with values and constants renamed; names that ``new`` lacks stay."""

    def value(old: Value) -> Value:
        return replace(old, name=new.get(old.name, old.name))

    def node(old: Node) -> Node:
        operands = tuple(new.get(name, name) for name in old.inputs)
        return replace(old, value=value(old.value), inputs=operands)

    return Graph(
        graph.name,
        tuple(map(value, graph.inputs)),
        {new.get(name, name): tensor for name, tensor in graph.constants.items()},
        tuple(map(node, graph.nodes)),
        tuple(new.get(name, name) for name in graph.outputs),
    )
