"""Labelled data as users give it, checked: arrays ``(x, y)`` or a loader of such batches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..errors import DataError, IntaglioError
from ..ir.graph import Graph
from ..ir.numeric import Array
from .base import Training

FEATURE = "feature"
"""What the names of outputs that are no class scores begin with."""
CALIBRATION = 1024
"""Training inputs that calibrate when there is no other data."""
BATCH = 500


def checked(batch: Any, graph: Graph, what: str = "Training") -> tuple[Array, Array]:
    """A batch as arrays: float32 inputs that fit ``graph``, and class numbers; raises DataError.

    An input that is codes takes codes.
    """
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        raise DataError(
            f"{what} data gave a {type(batch).__name__}, expected images and labels.",
            fix="Give pairs (x, y).",
        )
    x, y = map(_array, batch)
    value, classes = graph.inputs[0], classes_of(graph)
    kind = "codes" if value.type.dtype.is_integer else "reals"
    if x.shape[1:] != value.type.sample_shape or x.dtype.kind not in (
        "iu" if kind == "codes" else "f"
    ):
        raise DataError(
            f"{what} data is {x.dtype}{list(x.shape)}, expected {kind} of shape "
            f"{value.type.shape}.",
            where=f"Input '{value.name}'",
            fix="Prepare the data exactly as the float network takes it.",
        )
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise DataError(
            f"Labels of the {what.lower()} data are {y.dtype}{list(y.shape)} for {len(x)} samples.",
            fix="Give one class number for each sample.",
        )
    if len(y) and not 0 <= y.min() <= y.max() < classes:
        raise DataError(
            f"Labels of the {what.lower()} data reach from {y.min()} to {y.max()}, but the network "
            f"has {classes} classes.",
            fix=f"Number the classes 0 to {classes - 1}.",
        )
    x = x.astype(np.float32, copy=False) if kind == "reals" else x
    if not np.isfinite(x).all():
        raise DataError(
            f"{what} data holds NaN or infinite values.",
            where=f"Input '{value.name}'",
            fix="Remove or repair these samples.",
        )
    return x, y.astype(np.int64, copy=False)


def _array(given: Any) -> Array:
    """An array, of a tensor as well."""
    return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)


def classes_of(graph: Graph) -> int:
    """How many classes the output, or each of several, tells apart.

    Raises DataError for other networks.
    """
    shapes = {name: graph.type_of(name).sample_shape for name in scores_of(graph)}
    if len(graph.inputs) != 1 or len(set(shapes.values())) != 1:
        raise DataError(
            f"The network has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "labelled data is for one input and one output of class scores.",
            fix="Cut the network so that one of each is left.",
        )
    for name, shape in shapes.items():
        if len(shape) != 1:
            raise DataError(
                f"The output '{name}' has the shape {shape}, not one score a class.",
                fix="Flatten it to (n, classes).",
            )
    return next(iter(shapes.values()))[0]


def features_of(graph: Graph) -> tuple[str, ...]:
    """The outputs before the last that are features, not class scores, by their names."""
    return tuple(name for name in graph.outputs[:-1] if name.startswith(FEATURE))


def scores_of(graph: Graph) -> tuple[str, ...]:
    """The outputs that are class scores."""
    return tuple(name for name in graph.outputs if name not in features_of(graph))


def is_arrays(data: Any) -> bool:
    """Whether labelled data is ``(x, y)`` rather than a loader."""
    return isinstance(data, list | tuple)


def loader_of(data: Any, what: str = "Training") -> Iterable[Any]:
    """A loader; raises DataError for what can be gone through only once."""
    if not isinstance(data, Iterable) or isinstance(data, Iterator):
        raise DataError(
            f"{what} data is a {type(data).__name__}, which cannot be read once an epoch.",
            fix="Give (x, y), or a DataLoader of such batches.",
        )
    return data


def draws(loader: Iterable[Any], what: str) -> Iterator[Any]:
    """What the user's loader gives; raises DataError when its code fails."""
    try:
        yield from loader
    except (IntaglioError, GeneratorExit):
        raise
    except Exception as error:
        raise DataError(
            f"{what} data raised {type(error).__name__}: {error}.",
            fix="Go through the loader alone to see why, or show the traceback with --debug.",
        ) from error


def batches(data: Any, graph: Graph, what: str, seed: int = 0) -> Iterator[tuple[Array, Array]]:
    """Labelled data batch by batch, checked; the same for the same seed."""
    if is_arrays(data):
        x, y = checked(data, graph, what)
        for start in range(0, len(y), BATCH):
            yield x[start : start + BATCH], y[start : start + BATCH]
        return
    loader = loader_of(data, what)
    if "torch" in sys.modules:
        from .training.samples import begin

        begin(loader, seed % (1 << 63))
    for batch in draws(loader, what):
        yield checked(batch, graph, what)


def first_inputs(training: Training, graph: Graph, count: int = CALIBRATION) -> Array:
    """The first training inputs as they are given: not shifted, not mirrored."""
    found: list[Array] = []
    for x, _ in batches(training.train, graph, "Training", training.seed):
        found.append(x[: count - sum(map(len, found))])
        if sum(map(len, found)) == count:
            break
    if not found:
        raise DataError("The training data is empty.", fix="Give at least one sample.")
    return np.concatenate(found)
