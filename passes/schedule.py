"""Integer graph -> Program: fuse rescaling into the step before it, and plan the arena."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.ops_linear import Conv, Dense, GatherConv
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add
from ..ir.ops_pool import SumPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.ops_softmax import Softmax
from ..ir.program import ALIGNMENT, Program, Slot, Step
from ..ir.tensor import TensorType

ACCUMULATES = (Conv, GatherConv, Dense, Add, SumPool, Multiply, MatMul, Softmax, LayerNorm)
EPILOGUES = (Requantize, Threshold, Lookup)


@dataclass(frozen=True, slots=True)
class Life:
    """An activation's bytes and the steps from the one that writes it to the last that reads it."""

    name: str
    size: int
    first: int
    last: int

    def overlaps(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def schedule(graph: Graph, recipe: str = "") -> Program:
    """The program of a verified integer graph; constants first, each once, then activations."""
    groups = fuse(graph)
    produced = {group[-1].name: position for position, group in enumerate(groups)}
    offsets = plan_arena(_lives(graph, groups, produced))
    held = _merged(graph)
    constants = [
        Slot(name, tensor.type, constant=tensor, origin=_reader(graph, name))
        for name, tensor in graph.constants.items()
        if held[name] == name
    ]
    activations = [
        Slot(value.name, value.type, offsets[value.name], None, value.origin, value.encoding)
        for value in graph.values.values()
        if value.name in offsets
    ]
    slots = (*constants, *activations)
    index = {slot.name: position for position, slot in enumerate(slots)}
    index |= {name: index[first] for name, first in held.items()}
    sizes = (slot.offset + aligned(slot.size_bytes) for slot in activations)
    return Program(
        name=graph.name,
        slots=slots,
        steps=tuple(_step(group, index) for group in groups),
        inputs=tuple(index[value.name] for value in graph.inputs),
        outputs=tuple(index[name] for name in graph.outputs),
        arena_bytes=max(sizes, default=0),
        recipe=recipe,
        certificates={
            group[-1].name: node.certificate
            for group in groups
            for node in group
            if node.certificate is not None
        },
    )


def _merged(graph: Graph) -> dict[str, str]:
    """For each constant the first that equals it: equal ones are stored once."""
    first: dict[tuple[TensorType, str], str] = {}
    return {
        name: first.setdefault((tensor.type, tensor.digest), name)
        for name, tensor in graph.constants.items()
    }


def _reader(graph: Graph, constant: str) -> str:
    """The user's node that a constant belongs to: the first that reads it."""
    users = graph.users[constant]
    return users[0].value.origin if users else ""


def fuse(graph: Graph) -> list[tuple[Node, ...]]:
    """Nodes in order, an accumulating op together with the rescaling that alone reads it."""
    groups: list[tuple[Node, ...]] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        users = graph.users[node.name]
        fused = (
            isinstance(node.op, ACCUMULATES)
            and len(users) == 1
            and node.name not in graph.outputs
            and isinstance(users[0].op, EPILOGUES)
        )
        groups.append((node, users[0]) if fused else (node,))
        taken.update(each.name for each in groups[-1])
    return groups


def _step(group: tuple[Node, ...], index: dict[str, int]) -> Step:
    first, last = group[0], group[-1]
    inputs = tuple(index[name] for name in first.inputs)
    if len(group) == 1:
        return Step(first.op, inputs, index[first.name])
    parameters = tuple(index[name] for name in last.inputs[1:])
    return Step(first.op, inputs, index[last.name], last.op, parameters)


def _lives(graph: Graph, groups: list[tuple[Node, ...]], produced: dict[str, int]) -> list[Life]:
    last = dict.fromkeys(graph.values, -1)
    for position, group in enumerate(groups):
        for node in group:
            last.update({name: position for name in node.inputs if name in last})
    last |= dict.fromkeys((name for name in graph.outputs if name in last), len(groups))
    born = {value.name: -1 for value in graph.inputs} | produced
    lives = []
    for name, first in born.items():
        type_ = graph.values[name].type
        size = aligned(type_.elements * type_.dtype.container.itemsize)
        lives.append(Life(name, size, first, max(first, last[name])))
    return lives


def aligned(size: int) -> int:
    """``size`` rounded up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan_arena(lives: list[Life]) -> dict[str, int]:
    """Byte offsets at which values that live together never overlap: greatest first, lowest fit."""
    placed: list[tuple[Life, int]] = []
    for life in sorted(lives, key=lambda each: (-each.size, each.first)):
        busy = sorted(
            (offset, offset + other.size) for other, offset in placed if life.overlaps(other)
        )
        start = 0
        for low, high in busy:
            if start + life.size <= low:
                break
            start = max(start, high)
        placed.append((life, start))
    return {life.name: offset for life, offset in placed}
