"""Where two executions part: layer by layer, float or integer, in the order of execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..api import Inputs, Network, Output, import_model, load
from ..errors import DataError, UsageError
from ..ir.evaluate import walk
from ..ir.graph import Graph
from ..ir.numeric import Array, NumericType
from ..ir.tensor import Dim
from ..passes.base import Context
from ..passes.pipeline import Pipeline

Unit = Literal["codes", "steps", "reals"]
"""Exact codes; multiples of the greater scale; or reals, when neither side has codes."""
HALF_STEP = 0.5
"""A code that is the rounded real lies this close to it."""


@dataclass(frozen=True, slots=True)
class First:
    """The first element that differs: its index and what both sides have there."""

    index: tuple[int, ...]
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """How one layer compares; ``worst`` and ``mean`` are absolute, in ``unit``."""

    name: str
    unit: Unit
    elements: int
    different: int
    worst: float
    mean: float
    first: First | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Side:
    """One network to compare: its inputs by name and how to get every layer's result."""

    path: Path
    model: Graph | Network

    @property
    def shapes(self) -> dict[str, tuple[Dim, ...]]:
        """The shape of each input by name."""
        return {value.name: value.type.shape for value in self.model.inputs}

    def trace(self, inputs: Mapping[str, Array]) -> dict[str, Output]:
        """Every layer's result by name, inputs first."""
        if isinstance(self.model, Network):
            return self.model.trace(inputs)
        reals = {name: np.asarray(array, dtype=np.float32) for name, array in inputs.items()}
        results = reals | {node.name: result for node, result in walk(self.model, reals)}
        return {name: Output(array, None) for name, array in results.items()}


def compare(
    a: Path, b: Path, inputs: Inputs | None = None, samples: int = 8, seed: int = 0
) -> list[LayerDifference]:
    """Each layer that both networks name, in order of execution; random inputs without ``inputs``.

    A float network is first brought to the form that the other one's recipe gives it. Raises
    UsageError when the two cannot be compared, DataError when the inputs do not fit.
    """
    one, two = _prepared(_side(a), _side(b))
    _check_inputs(one, two)
    reals = _inputs(one, two, inputs, samples, seed)
    left, right = one.trace(reals), two.trace(reals)
    common = [name for name in left if name in right and name not in one.shapes]
    if not common:
        raise UsageError(
            f"'{a}' and '{b}' have no layer name in common.",
            fix="Compare two versions of the same network.",
        )
    return [_difference(name, left[name], right[name]) for name in common]


def _side(path: Path) -> Side:
    return Side(path, import_model(path) if path.suffix.lower() == ".onnx" else load(path))


def _prepared(one: Side, two: Side) -> tuple[Side, Side]:
    """Both sides, a float one next to an integer one after the float passes of the recipe."""
    if isinstance(one.model, Graph) and isinstance(two.model, Network):
        return _like(one, one.model, two.model), two
    if isinstance(one.model, Network) and isinstance(two.model, Graph):
        return one, _like(two, two.model, one.model)
    return one, two


def _like(side: Side, graph: Graph, network: Network) -> Side:
    recipe = Pipeline.parse(network.program.recipe)
    passes = takewhile(lambda each: each.stages.get("float") == "float", recipe.passes)
    return Side(side.path, Pipeline(tuple(passes)).run(graph, Context()))


def _check_inputs(one: Side, two: Side) -> None:
    if one.shapes != two.shapes:
        raise UsageError(
            f"The inputs differ: {_declared(one)}; {_declared(two)}.",
            fix="Compare two versions of the same network.",
        )
    if not (isinstance(one.model, Network) and isinstance(two.model, Network)):
        return
    for x, y in zip(one.model.inputs, two.model.inputs, strict=True):
        if (x.type, x.encoding) != (y.type, y.encoding):
            raise UsageError(
                f"The codes differ: {x.type} with {x.encoding} in '{one.path}', {y.type} with "
                f"{y.encoding} in '{two.path}'.",
                where=f"Input '{x.name}'",
                fix="Compile both with the same calibration data.",
            )


def _declared(side: Side) -> str:
    inputs = (f"{name} [{','.join(map(str, shape))}]" for name, shape in side.shapes.items())
    return f"'{side.path}' takes {', '.join(inputs)}"


def _inputs(
    one: Side, two: Side, given: Inputs | None, samples: int, seed: int
) -> dict[str, Array]:
    """Reals that are exactly codes where a side is integer, so that both see the same input."""
    if samples < 1:
        raise UsageError(f"{samples} samples were asked for.", fix="Ask for at least 1.")
    network = next((s.model for s in (one, two) if isinstance(s.model, Network)), None)
    if given is None:
        given = random_codes(network, samples, seed) if network else _random(one, samples, seed)
    named = given if isinstance(given, Mapping) else _only(one, given)
    _check_arrays(one, named)
    if network is None:
        return {name: np.asarray(array) for name, array in named.items()}
    codes = network.encode(named)
    slots = {slot.name: slot for slot in network.inputs}
    return {name: Output(array, slots[name].encoding).real for name, array in codes.items()}


def _only(side: Side, array: Array) -> dict[str, Array]:
    if len(side.shapes) != 1:
        raise DataError(
            f"The networks have {len(side.shapes)} inputs but one array was given.",
            fix=f"Give a .npz file with {', '.join(side.shapes)}.",
        )
    return {next(iter(side.shapes)): array}


def _check_arrays(side: Side, arrays: Mapping[str, Array]) -> None:
    for name, shape in side.shapes.items():
        found = np.shape(arrays[name]) if name in arrays else None
        if found is None or len(found) != len(shape) or found[1:] != shape[1:]:
            given = "missing" if found is None else str(list(found))
            raise DataError(
                f"The array is {given}, expected [{', '.join(map(str, shape))}].",
                where=f"Input '{name}'",
                fix="Name each array after the input it belongs to.",
            )


def random_codes(network: Network, samples: int, seed: int) -> dict[str, Array]:
    """Uniform codes for every input of ``network``, ``samples`` of them."""
    rng = np.random.default_rng(seed)
    return {
        slot.name: _uniform(rng, slot.type.dtype, (samples, *slot.type.sample_shape))
        for slot in network.inputs
    }


def _uniform(rng: np.random.Generator, dtype: NumericType, shape: tuple[int, ...]) -> Array:
    codes = rng.integers(dtype.lo, dtype.hi, shape, endpoint=True)
    return np.where(codes == 0, 1, codes) if dtype.kind == "bipolar" else codes


def _random(side: Side, samples: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        value.name: rng.standard_normal((samples, *value.type.sample_shape)).astype(np.float32)
        for value in side.model.inputs
    }


def _difference(name: str, a: Output, b: Output) -> LayerDifference:
    if a.codes.shape != b.codes.shape:
        raise UsageError(
            f"It has the shape {list(a.codes.shape)} in one network and {list(b.codes.shape)} in "
            "the other.",
            where=f"Layer '{name}'",
            fix="Compare two versions of the same network.",
        )
    x, y, unit, step = _comparable(a, b)
    tolerated = HALF_STEP if unit == "steps" else 0.0
    apart = np.abs(x.astype(np.float64) - y.astype(np.float64)) / step
    wrong = apart > tolerated
    first = None
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        first = First(index, x[index].item(), y[index].item())
    worst = float(apart.max(initial=0))
    return LayerDifference(
        name, unit, apart.size, int(wrong.sum()), worst, float(apart.mean()), first
    )


def _comparable(a: Output, b: Output) -> tuple[Array, Array, Unit, float]:
    """What to compare of both, the unit of a difference and its size."""
    if a.encoding == b.encoding and a.codes.dtype.kind == b.codes.dtype.kind:
        return a.codes, b.codes, "reals" if a.codes.dtype.kind == "f" else "codes", 1.0
    scales = [each.encoding.step for each in (a, b) if each.encoding is not None]
    return a.real, b.real, "steps" if scales else "reals", max(scales, default=1.0)
