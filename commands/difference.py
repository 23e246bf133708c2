"""Where two executions part: layer by layer, float or integer, in the order of execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..api import Inputs, Network, Output
from ..errors import DataError, UsageError
from ..ir.graph import Value
from ..ir.numeric import Array, NumericType
from ..ir.program import Slot
from .side import READING, Reading, Side, given_to, like, open_side

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


def compare(
    a: Path,
    b: Path,
    inputs: Inputs | None = None,
    samples: int = 8,
    seed: int = 0,
    reading: Reading = READING,
) -> list[LayerDifference]:
    """Each layer that both networks name, in order of execution; random inputs without ``inputs``.

    Inputs that are named differently are taken in their order, and so are the outputs when no layer
    has the same name. ``reading`` tells how model files are read. A model is first
    brought to the form that the recipe of a blob gives it.
    Raises UsageError when the two cannot be compared, DataError when the inputs do not fit.
    """
    one, two = prepared(open_side(a, reading), open_side(b, reading))
    _check_inputs(one, two)
    reals = _inputs(one, two, inputs, samples, seed)
    left, right = one.trace(reals), two.trace(reals)
    return [_difference(name, left[x], right[y]) for name, x, y in _pairs(one, two, left, right)]


def prepared(one: Side, two: Side) -> tuple[Side, Side]:
    """Both sides, a model beside a blob in the form that the blob was made from."""
    first = like(one, two.model) if isinstance(two.model, Network) else one
    second = like(two, one.model) if isinstance(one.model, Network) else two
    return first, second


def _pairs(
    one: Side, two: Side, left: Mapping[str, Output], right: Mapping[str, Output]
) -> list[tuple[str, str, str]]:
    """A title and the two names of every layer to compare."""
    common = [(name, name, name) for name in left if name in right and name not in one.shapes]
    if common:
        return common
    pairs = list(zip(one.outputs, two.outputs, strict=False))
    fits = all(left[x].codes.shape == right[y].codes.shape for x, y in pairs)
    if len(one.outputs) != len(two.outputs) or not fits:
        raise UsageError(
            f"'{one.path}' and '{two.path}' have no layer name in common, and their outputs "
            "differ in number or shape.",
            fix="Compare two versions of the same network.",
        )
    return [(f"{x} | {y}", x, y) for x, y in pairs]


def _check_inputs(one: Side, two: Side) -> None:
    if list(one.shapes.values()) != list(two.shapes.values()):
        raise UsageError(
            f"The inputs differ: {_declared(one)}; {_declared(two)}.",
            fix="Compare two versions of the same network.",
        )
    for x, y in zip(one.inputs, two.inputs, strict=True):
        coded = x.type.dtype.is_integer and y.type.dtype.is_integer
        if coded and (x.type, x.encoding) != (y.type, y.encoding):
            raise UsageError(
                f"The codes differ: {x.type} with {x.encoding} in '{one.path}', {y.type} with "
                f"{y.encoding} in '{two.path}'.",
                where=f"Input '{x.name}'",
                fix="Compile both with the same calibration data.",
            )


def _declared(side: Side) -> str:
    inputs = (f"{name} [{','.join(map(str, shape))}]" for name, shape in side.shapes.items())
    return f"'{side.path}' takes {', '.join(inputs)}"


def _inputs(one: Side, two: Side, given: Inputs | None, samples: int, seed: int) -> list[Array]:
    """Reals that are exactly codes where a side is integer, so that both see the same input."""
    if samples < 1:
        raise UsageError(f"{samples} samples were asked for.", fix="Ask for at least 1.")
    coded = next((side for side in (one, two) if _takes_codes(side)), one)
    names = [value.name for value in coded.inputs]
    if given is None:
        arrays = random_inputs(coded, samples, seed)
    else:
        named = given if isinstance(given, Mapping) else _only(one, given)
        _check_arrays(one, named)
        arrays = dict(zip(names, (np.asarray(named[name]) for name in one.shapes), strict=True))
    return [_exact(value, arrays[value.name]) for value in coded.inputs]


def _takes_codes(side: Side) -> bool:
    return any(value.type.dtype.is_integer for value in side.inputs)


def _exact(value: Value | Slot, array: Array) -> Array:
    """The reals that an input can tell apart: codes decoded, reals encoded and decoded."""
    codes = array if array.dtype.kind in "iu" else given_to(value, array)
    if not value.type.dtype.is_integer:
        return array
    return codes.astype(np.float64) if value.encoding is None else value.encoding.decode(codes)


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


def random_inputs(side: Side, samples: int, seed: int) -> dict[str, Array]:
    """Uniform codes, or standard normal reals, for every input of ``side``."""
    rng = np.random.default_rng(seed)
    return {
        value.name: _random(rng, value.type.dtype, (samples, *value.type.sample_shape))
        for value in side.inputs
    }


def _random(rng: np.random.Generator, dtype: NumericType, shape: tuple[int, ...]) -> Array:
    if dtype.is_integer:
        return _uniform(rng, dtype, shape)
    return rng.standard_normal(shape).astype(np.float32)


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
    kind: Unit = "reals" if a.codes.dtype.kind == "f" else "codes"
    same = (a.codes.dtype.kind == "f") == (b.codes.dtype.kind == "f")
    if same and (a.encoding == b.encoding or None in (a.encoding, b.encoding)):
        return a.codes, b.codes, kind, 1.0
    scales = [each.encoding.step for each in (a, b) if each.encoding is not None]
    return a.real, b.real, "steps" if scales else "reals", max(scales, default=1.0)
