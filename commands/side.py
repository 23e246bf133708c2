"""One of two networks to compare: a model file or a blob, and how to get every layer's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..api import Network, Output, import_model, load
from ..ir.evaluate import walk
from ..ir.graph import Graph, Node, Value
from ..ir.numeric import Array, Encoding
from ..ir.ops_quant import Quantize
from ..ir.program import Slot
from ..ir.tensor import Dim
from ..ir.verify import stage_of
from ..passes.base import Context
from ..passes.pipeline import Pipeline


@dataclass(frozen=True)
class Side:
    """One network to compare, and the file that it comes from."""

    path: Path
    model: Graph | Network

    @property
    def inputs(self) -> Sequence[Value | Slot]:
        """Name, type and encoding of each input."""
        return self.model.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        if isinstance(self.model, Network):
            return tuple(slot.name for slot in self.model.outputs)
        return self.model.outputs

    @property
    def shapes(self) -> dict[str, tuple[Dim, ...]]:
        """The shape of each input by name."""
        return {value.name: value.type.shape for value in self.inputs}

    def trace(self, inputs: Sequence[Array]) -> dict[str, Output]:
        """Every layer's result by name, inputs first; ``inputs`` are reals, in order."""
        named = {
            value.name: given_to(value, reals)
            for value, reals in zip(self.inputs, inputs, strict=True)
        }
        if isinstance(self.model, Network):
            return self.model.trace(named)
        return named_codes(self.model, dict(walked(self.model, named)))


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: whether axis 0 is the batch, the arithmetic of TFLite models.

    ``limit``: bytes that the constants of a blob may take.
    """

    batch: bool = True
    semantics: str | None = None
    limit: int | None = None


READING = Reading()


def open_side(path: Path, reading: Reading) -> Side:
    """The network in a file: a blob by its ending, else a model."""
    suffix = path.suffix.lower()
    if suffix == ".intg":
        return Side(path, load(path, reading.limit))
    semantics = reading.semantics if suffix == ".tflite" else None
    return Side(path, import_model(path, batch=reading.batch, semantics=semantics))


def like(side: Side, network: Network) -> Side:
    """A model in the form that the recipe of a blob gives it before anything is rounded."""
    if isinstance(side.model, Network):
        return side
    stage = stage_of(side.model)
    recipe = Pipeline.parse(network.program.recipe)
    passes = []
    for each in recipe.passes:
        if each.stages.get(stage) != stage:
            break
        passes.append(each)
    return Side(side.path, Pipeline(tuple(passes)).run(side.model, Context()))


def given_to(value: Value | Slot, reals: Array) -> Array:
    """What an input takes for these reals: codes where it is codes."""
    dtype = value.type.dtype
    if not dtype.is_integer:
        return reals
    if value.encoding is None:
        return reals.astype(dtype.container)
    return value.encoding.encode(reals, dtype, "half_up")


def walked(graph: Graph, inputs: Mapping[str, Array]) -> list[tuple[str, Output]]:
    """Each input and node with its result.

    A quantized model means exact arithmetic: it runs in float64, a float one in float32.
    """
    real = np.float32 if stage_of(graph) == "float" else np.float64
    inputs = {name: a.astype(real) if a.dtype.kind == "f" else a for name, a in inputs.items()}
    given = [(value.name, Output(inputs[value.name], value.encoding)) for value in graph.inputs]
    results = [
        (node.name, Output(array, node.value.encoding)) for node, array in walk(graph, inputs, real)
    ]
    return given + results


def named_codes(graph: Graph, results: dict[str, Output]) -> dict[str, Output]:
    """Results in which a real that becomes codes is these codes, as in a blob.

    One that becomes codes in several ways is left out; an output is real in a blob, too.
    """
    points = [node for node in graph.nodes if isinstance(node.op, Quantize)]
    sources = [node.inputs[0] for node in points]
    for node in points:
        source = node.inputs[0]
        if source in graph.outputs:
            continue
        if sources.count(source) == 1:
            results[source] = Output(results[node.name].codes, encoding_of(graph, node))
        else:
            results.pop(source, None)
    return results


def encoding_of(graph: Graph, node: Node) -> Encoding | None:
    """What the codes of a quantize mean; None when it has one scale per element of an axis."""
    scale, zero_point = (graph.constants[name].array for name in node.inputs[1:])
    if scale.size > 1 or zero_point.size > 1:
        return None
    return Encoding(float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]))
