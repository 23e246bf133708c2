"""What lowering knows while it walks over a graph, and how it appends integer nodes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import NumericError, PassError
from ..ir.graph import Builder, Graph, Node, Value
from ..ir.interval import Fact, Interval
from ..ir.numeric import Array, Encoding, NumericType, narrowest
from ..ir.tensor import Tensor
from ..ir.verify import ACCUMULATOR_BITS
from .meaning import Codes, Meaning


class Lowering:
    """One walk over a quantized graph.

    ``meanings`` grows with every real value, ``integers`` (old name to new) with every value of
    codes, ``facts`` with all that was emitted.
    """

    def __init__(self, graph: Graph, new: Builder) -> None:
        self.graph, self.new = graph, new
        self.meanings: dict[str, Meaning] = {}
        self.integers: dict[str, str] = {}
        self.facts: dict[str, Fact] = {}

    def emit(self, name: str, op: Any, *inputs: str, node: Node, **extra: Any) -> str:
        """Append an integer node that stands for ``node`` and derive where its values lie."""
        made = self.new.node(name, op, *inputs, origin=node.value.origin, **extra)
        interval = op.interval(*(self.facts[operand] for operand in inputs))
        lo, hi = interval.bounds
        dtype = self.new.type_of(made).dtype
        if lo < dtype.lo or hi > dtype.hi:
            raise NumericError(
                f"Its values reach {lo}..{hi} and overflow {ACCUMULATOR_BITS} bits.",
                where=node.where,
                fix="Use fewer bits for its weights or inputs, or split the layer.",
            )
        self.facts[made] = Fact(self.new.type_of(made), interval)
        return made

    def constant(self, name: str, array: Array, dtype: NumericType | None = None) -> str:
        """A constant in the narrowest type; equal elements of a 1-D array shrink to one."""
        if array.ndim == 1 and dtype is None and array.size and (array == array[0]).all():
            array = array[:1]
        span = (int(array.min()), int(array.max())) if array.size else (0, 0)
        return self.tensor(name, Tensor(array, dtype or narrowest(*span)))

    def tensor(self, name: str, tensor: Tensor) -> str:
        """A constant as it is."""
        made = self.new.constant(name, tensor)
        array = tensor.array
        span = (int(array.min()), int(array.max())) if array.size else (0, 0)
        self.facts[made] = Fact(self.new.type_of(made), Interval.of(*span), array)
        return made

    def integer(self, name: str) -> str:
        """The new name of a value or constant of codes; an input enters when first asked for."""
        if name in self.graph.constants:
            return self.tensor(name, self.graph.constants[name])
        if name not in self.integers:
            self.integers[name] = self.input(self.graph.values[name])
        return self.integers[name]

    def input(self, value: Value) -> str:
        """Append an input of codes."""
        made = self.new.input(value)
        self.facts[made] = Fact(value.type, Interval.of_type(value.type.dtype))
        return made

    def codes(self, node: Node, position: int = 0) -> Codes:
        """The operand as codes; refused when it is anything else."""
        meaning = self.meanings.get(node.inputs[position])
        if not isinstance(meaning, Codes):
            raise refuse(node, f"reads '{node.inputs[position]}', which is not quantized")
        return meaning

    def array(self, name: str) -> Array:
        return self.graph.constants[name].array

    def scalar(self, name: str, node: Node) -> Any:
        """The one element of a parameter that must be per tensor."""
        array = self.array(name)
        if array.size != 1:
            raise refuse(node, "has one scale per channel where one for the tensor is needed")
        return array.reshape(-1)[0].item()

    def exact(self, name: str, channels: int) -> tuple[Fraction, ...]:
        """Each channel of a real constant as an exact rational, also one that is codes."""
        if name in self.graph.constants:
            return fractions(self.array(name), channels)
        codes, scale, zero_point = self.graph.producers[name].inputs
        q, zero = (
            np.broadcast_to(self.array(each).astype(np.int64).reshape(-1), (channels,)).tolist()
            for each in (codes, zero_point)
        )
        steps = fractions(self.array(scale), channels)
        return tuple(s * (a - z) for s, a, z in zip(steps, q, zero, strict=True))

    def encode(self, name: str, encoding: Encoding) -> None:
        """Note on an emitted value what its codes mean."""
        for index in range(len(self.new.nodes) - 1, -1, -1):
            made = self.new.nodes[index]
            if made.name == name:
                value = replace(made.value, encoding=encoding)
                self.new.nodes[index] = replace(made, value=value)
                return


def refuse(node: Node, why: str) -> PassError:
    """The error for a node that lowering cannot express."""
    return PassError(
        f"It {why}.",
        where=node.where,
        fix="Quantize what it reads and what it gives, or stop before it with outputs "
        "(--output-tensor).",
    )


def fractions(array: Array, channels: int) -> tuple[Fraction, ...]:
    """Each channel's float32 as an exact rational."""
    spread = np.broadcast_to(array.reshape(-1), (channels,))
    return tuple(map(Fraction, spread.astype(np.float64).tolist()))
