"""What a pass is, and the context it runs in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from ..errors import DataError
from ..ir.graph import Graph
from ..ir.numeric import Array
from ..ir.verify import Stage


class Progress(Protocol):
    """What is told how far a long work is; ``total`` is 0 when it is not known."""

    def __call__(self, label: str, done: int, total: int, detail: str = "") -> None:
        """``done`` of ``total`` steps of ``label`` are done; ``detail`` has its latest figures."""
        ...


def silent(label: str, done: int, total: int, detail: str = "") -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True)
class Training:
    """Labelled data for the passes that train, and where and how they do.

    ``train`` and ``test`` are ``(x, y)``, x as the float network takes it ``(samples, c, h, w)``
    and y class numbers, or a loader that yields such batches. ``test`` is only measured, never
    chosen by. ``shift`` and ``mirror`` move training images at random by so many pixels and left
    to right. ``seed`` decides every draw. With ``folder`` the work is saved there after every
    epoch, and goes on from there with ``resume``. ``log`` is told the figures of every epoch, of
    those done before a resume as well, and ``note`` in one line when there is nothing to resume
    from in a folder that holds something. ``teacher`` is the float network that distillation
    compares with; without it, each pass's network as the pass is given it.
    """

    train: Any
    test: Any = None
    device: str = "cpu"
    seed: int = 0
    shift: int = 0
    mirror: bool = False
    folder: Path | None = None
    resume: bool = False
    log: Callable[[Mapping[str, Any]], None] | None = None
    note: Callable[[str], None] | None = None
    teacher: Graph | None = None


@dataclass(frozen=True)
class Context:
    """What passes may use besides the graph: data to calibrate and to train, a progress hook.

    ``batches`` yields dictionaries of real inputs by name and can be iterated more than once.
    """

    batches: Iterable[Mapping[str, Array]] = ()
    progress: Progress = silent
    training: Training | None = None

    def trained(self) -> Context:
        """The context of the passes behind one that trained: they begin when they have not yet."""
        if self.training is None:
            return self
        return replace(self, training=replace(self.training, note=None))

    def sweep(self, graph: Graph, label: str) -> Iterator[dict[str, Array]]:
        """The batches, checked against ``graph`` and counted in the progress hook.

        Raises DataError when there are none or one does not fit.
        """
        total = len(self.batches) if isinstance(self.batches, Sized) else 0
        empty = True
        for done, batch in enumerate(self.batches, 1):
            checked = {value.name: _checked(value.name, batch, graph) for value in graph.inputs}
            sizes = {name: len(array) for name, array in checked.items()}
            if len(set(sizes.values())) > 1:
                raise DataError(
                    f"A batch of calibration data holds {sizes} samples.",
                    fix="Give as many samples of every input.",
                )
            if any(sizes.values()):
                empty = False
                yield checked
            self.progress(label, done, total)
        if empty:
            raise DataError(
                "The calibration data is empty.",
                fix="Give at least one sample, better 100 to 1000 that look like real inputs.",
            )


def _checked(name: str, batch: Mapping[str, Array], graph: Graph) -> Array:
    expected = graph.values[name].type
    where = f"Input '{name}'"
    if name not in batch:
        raise DataError(
            f"The calibration data has no array of this name, only {', '.join(batch) or 'none'}.",
            where=where,
            fix="Name each array after the input it belongs to.",
        )
    array = np.asarray(batch[name])
    if array.dtype.kind in "iu":
        raise DataError(
            f"Calibration data is {array.dtype}, but integers are codes, as in running a network.",
            where=where,
            fix="Convert it to float32, scaled as the float network takes it.",
        )
    if array.dtype.kind != "f" or array.shape[1:] != expected.sample_shape:
        raise DataError(
            f"Calibration data is {array.dtype}{list(array.shape)}, expected reals of shape "
            f"{expected.shape}.",
            where=where,
            fix="Prepare the data exactly as the float network takes it.",
        )
    with np.errstate(over="ignore"):
        reals = array.astype(np.float32)
    if not np.isfinite(reals).all():
        raise DataError(
            "The calibration data holds NaN or infinite values.",
            where=where,
            fix="Remove or repair these samples.",
        )
    return reals


@dataclass(frozen=True)
class Pass(ABC):
    """One rewrite of a graph. Its fields are its options; the graph given is never changed.

    ``stages`` maps each stage that it works on to the stage that it leaves.
    """

    name: ClassVar[str]
    stages: ClassVar[Mapping[Stage, Stage]] = {"float": "float"}
    needs_data: ClassVar[bool] = False
    needs_training: ClassVar[bool] = False

    @property
    def total_epochs(self) -> int:
        """Epochs that it trains, unless a phase ends early."""
        return 0

    @abstractmethod
    def run(self, graph: Graph, context: Context) -> Graph:
        """The rewritten graph, legal in the stage that ``stages`` names."""
