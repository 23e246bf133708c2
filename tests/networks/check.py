"""What is compared of one compiled network, all of it exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from intaglio import Network as Compiled
from intaglio import compile as compile_network
from intaglio.ir.evaluate import evaluate, walk
from intaglio.ir.graph import Graph
from intaglio.passes.pipeline import PassRun

from . import rational
from .exact import Value, walk_exactly
from .rational import Array, Rational
from .spec import Network

SAMPLES = 3


@dataclass
class Stages:
    """The graphs on the way: with codes between reals, of integers, without dead channels."""

    quantized: Graph
    integers: Graph
    network: Compiled


@dataclass
class Tally:
    """How many codes were compared with what, and how often an operator occurred."""

    codes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Tally:
        self.codes += other.codes
        self.kinds += other.kinds
        self.operators += other.operators
        self.verdicts += other.verdicts
        return self


def staged(graph: Graph, data: Any = None, **options: Any) -> Stages:
    """Compile and keep the graphs between the passes."""
    runs: dict[str, PassRun] = {}

    def observe(run: PassRun) -> None:
        runs[run.pass_.name] = run

    network = compile_network(graph, data, observe=observe, **options)
    before = runs["lower"].before if "quantize" in runs else graph
    return Stages(before, runs["lower"].after, network)


def check_stages(stages: Stages, codes: Mapping[str, Array]) -> Tally:
    """Simulator against reference, integers against their meaning, dead channels on against off."""
    tally = Tally()
    tally.codes["simulator = reference"] += stages.network.check(codes)
    traced = {name: np.asarray(array) for name, array in codes.items()}
    traced |= {node.name: array for node, array in walk(stages.integers, codes)}
    tally.codes["dead channels on = off"] += same_outputs(stages, codes)
    check_meaning(stages, traced, codes, tally)
    tally.operators.update(node.op.name for node in stages.quantized.nodes)
    tally.verdicts.update(
        node.certificate.verdict for node in stages.integers.nodes if node.certificate
    )
    return tally


def same_outputs(stages: Stages, codes: Mapping[str, Array]) -> int:
    """Compare the outputs of the program with those before channels were removed."""
    wide = evaluate(stages.integers, codes)
    found = stages.network.simulate(codes)
    for name, array in wide.items():
        must_equal(f"output '{name}' without dead channels", found[name], array)
    return sum(array.size for array in wide.values())


def check_meaning(
    stages: Stages, traced: Mapping[str, Array], codes: Mapping[str, Array], tally: Tally
) -> None:
    """Compare every value of codes with what the quantized graph means, and the outputs."""
    graph, integers = stages.quantized, stages.integers
    given = {value.name: input_value(graph, integers, value.name, codes) for value in graph.inputs}
    ends = dict(zip(graph.outputs, integers.outputs, strict=True))
    inexact = inexact_values(integers)
    replaced: dict[str, Array] = {}
    for node, value in walk_exactly(graph, given, replaced):
        name = ends.get(node.name) or twin(graph, integers, node)
        if name is None or name not in traced:
            continue
        if name in inexact:
            if not isinstance(value, Rational):
                replaced[node.name] = traced[name]
            continue
        if isinstance(value, Rational):
            check_real(node.name, integers, name, traced[name], value)
        else:
            must_equal(f"'{node.name}'", traced[name], value)
        tally.codes["program = meaning"] += traced[name].size


def inexact_values(integers: Graph) -> set[str]:
    """What the certificates do not promise: codes that differ, and what only moves them."""
    found: set[str] = set()
    for node in integers.nodes:
        differs = node.certificate is not None and node.certificate.verdict == "differs"
        moves = node.op.name in ("concat", "reshape", "transpose", "slice", "pad", "max_pool")
        if differs or (moves and found.intersection(node.inputs)):
            found.add(node.name)
    return found


def twin(graph: Graph, integers: Graph, node: Any) -> str | None:
    """The value of the integer graph that holds the codes of a node, if one does.

    Those of a quantize bear the name of an output behind it, or of the real that it reads, with a
    number if there are several of it.
    """
    if not node.type.dtype.is_integer:
        return None
    if node.op.name != "quantize":
        return node.name if same_type(integers, node.name, node) else None
    scale, zero = (graph.constants[each].array.reshape(-1) for each in node.inputs[1:])
    if same_type(integers, node.name, node):
        return str(node.name)
    names = [*(user.name for user in graph.users[node.name]), node.inputs[0]]
    for name in (*names, *(f"{node.inputs[0]}.{number}" for number in range(1, 4))):
        if not same_type(integers, name, node) or scale.size > 1:
            continue
        encoding = integers.values[name].encoding
        own = (float(scale[0]), int(zero[0]))
        if encoding is not None and (encoding.scale, encoding.zero_point) == own:
            return name
    return None


def same_type(integers: Graph, name: str, node: Any) -> bool:
    """Whether the integer graph has a value of this name, of the node's type and shape."""
    found = integers.values.get(name)
    return found is not None and found.type == node.type


def input_value(graph: Graph, integers: Graph, name: str, codes: Mapping[str, Array]) -> Value:
    """What the codes of an input stand for where the graph has reals."""
    if graph.values[name].type.dtype.is_integer:
        return codes[name]
    encoding = integers.values[name].encoding
    assert encoding is not None
    assert isinstance(encoding.scale, float)
    assert isinstance(encoding.zero_point, int)
    assert isinstance(encoding.offset, float)
    centered = codes[name].astype(np.int64) - encoding.zero_point
    offset = Rational.of_floats(np.asarray(encoding.offset))
    return rational.add(Rational(centered, Fraction(encoding.scale)), offset)


def check_real(what: str, integers: Graph, name: str, codes: Array, value: Rational) -> None:
    """A real output is an accumulator whose encoding holds, to the last bits of float64."""
    encoding = integers.values[name].encoding
    assert encoding is not None
    rows = (-1, *(1,) * (codes.ndim - 2))
    scale, zero, offset = (
        np.asarray(each).reshape(rows) if isinstance(each, tuple) else each
        for each in (encoding.scale, encoding.zero_point, encoding.offset)
    )
    product = scale * (codes.astype(np.float64) - zero)
    bound = (np.abs(product) + np.abs(offset)) * 2.0**-50
    wrong = np.abs(product + offset - value.floats()) > bound
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise AssertionError(
            f"{wrong.sum()} reals of '{what}' differ, first at {at}: {(product + offset)[at]} "
            f"instead of {value.floats()[at]}"
        )


def must_equal(what: str, found: Array, expected: Array) -> None:
    """Raise AssertionError that names the first place where codes differ."""
    if found.shape != expected.shape:
        raise AssertionError(f"{what} has the shape {found.shape} instead of {expected.shape}")
    wrong = found.astype(np.int64) != expected.astype(np.int64)
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        raise AssertionError(
            f"{wrong.sum()} of {wrong.size} codes of {what} differ, first at {at}: {found[at]} "
            f"instead of {expected[at]}"
        )


def input_codes(network: Network, name: str = "v0") -> dict[str, Array]:
    """Random codes for the input."""
    return {name: network.codes(SAMPLES, len(network.layers))}
