"""``intaglio sweep``: read everything, try the combinations, write and show what came of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, api, files
from ..errors import UsageError
from ..ir.graph import Graph
from ..passes.base import Progress, Training, silent
from ..passes.labelled import is_arrays
from ..sweeping.engine import sweep
from ..sweeping.extras import needed
from ..sweeping.folder import Folder
from ..sweeping.objectives import on_front
from ..sweeping.search import Wanted, batches
from ..sweeping.space import Space
from ..sweeping.space_file import read_space
from ..sweeping.trial import Outcome, Task, Work
from ..sweeping.workers import Local, processors
from . import learning
from .compile import calibration_of, first_samples
from .learning import LabelledData, Learning
from .sweep_equal import Equal, equal_json, show_equal
from .sweep_show import show, write
from .terminal import Bars, note, say_json

__all__ = ["Equal", "Order", "Place", "Wanted", "sweep_and_show"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where trials run: on a Ray cluster, else in ``jobs`` processes, None for one a processor."""

    jobs: int | None
    cluster: str | None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.cluster is not None:
            raise UsageError(
                "--jobs is of processes here, but there is a --cluster.", fix="Leave one out."
            )

    def check(self) -> None:
        """Raise UsageError where Ray is needed and not installed."""
        if self.cluster is not None:
            needed("ray", "cluster", "--cluster runs trials with Ray")

    def workers(self, work: Work, most: int) -> AbstractContextManager[Any]:
        """What runs up to ``most`` trials at once."""
        if self.cluster is not None:
            from ..sweeping.cluster import Cluster

            return Cluster[Task, Outcome](work, self.cluster)
        return Local[Task, Outcome](work, min(self.jobs or processors(), most))


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked for; ``batched`` is whether axis 0 of the model is its batch."""

    model: Path
    space: Path
    output: Path
    data: Path | None
    learning: Learning
    wanted: Wanted
    place: Place
    batched: bool
    semantics: str | None


@dataclass(frozen=True)
class Measure:
    """How many test samples there are and how many a network gets right."""

    test: Any
    graph: Graph

    def __call__(self, network: api.Network) -> tuple[int, int]:
        found = learning.score(network, self.test, self.graph, silent)
        return found.samples, found.correct


def sweep_and_show(order: Order, equal: Equal | None, *, as_json: bool) -> None:
    """Sweep, write the reports, print the front; raises an IntaglioError before anything runs."""
    space = read_space(order.space)
    if equal is not None:
        equal.check(space)
    order.wanted.check(space)
    order.place.check()
    order.learning.check()
    with Bars() as bars:
        work = _work(order, bars)
        folder, found = _swept(order, space, work, bars)
    outcomes = sorted(found.values(), key=lambda each: each.number)
    best = on_front(outcomes, space.objectives)
    if not best:
        raise UsageError(
            f"None of the {len(outcomes)} trials succeeded. Trial {outcomes[0].number:03}: "
            f"{outcomes[0].error}",
            where=f"'{order.space}'",
            fix="Correct it, and choose a new folder with --output.",
        )
    write(folder, space, outcomes, best)
    if as_json:
        from ..sweeping.report import to_json

        near = {} if equal is None else {"equal": equal_json(space, outcomes, equal)}
        say_json(to_json(space, outcomes, best) | near)
    else:
        show(space, outcomes, best)
    if equal is not None:
        show_equal(folder, space, outcomes, equal, quiet=as_json)
    note(f"Wrote {folder.path}.")


def _swept(
    order: Order, space: Space, work: Work, progress: Progress
) -> tuple[Folder, dict[int, Outcome]]:
    """All outcomes of the folder when the sweep is over."""
    folder, total = _opened(order, space, work), order.wanted.total(space)
    work = replace(work, checkpoints=folder.checkpoints.resolve())
    with folder.alone():
        found = folder.outcomes()
        if found:
            note(f"{len(found)} of {total} trials are in '{folder.path}' already.")
        chosen = batches(space, order.wanted, found, folder.journal)
        with order.place.workers(work, total) as workers:
            sweep(space, chosen, found, total, workers, folder, progress)
        folder.clear()
    return folder, found


def _opened(order: Order, space: Space, work: Work) -> Folder:
    """The folder, if it is one of this very sweep."""
    identity = {
        "version of intaglio": __version__,
        "space": space.digest,
        "model": _digest([files.read_bytes(order.model), order.batched, order.semantics]),
        "data": _digest([work.data, work.measure, work.training]),
        "seed": str(order.wanted.seed),
    }
    if not order.wanted.whole(space):
        identity["batch"] = str(order.wanted.batch)
    return Folder.open(order.output, identity)


def _digest(values: Any) -> str:
    """SHA-256 over arrays, options and the tables and dataclasses that hold them."""
    found = hashlib.sha256()
    for part in _bytes_of(values):
        found.update(part)
    return found.hexdigest()


def _bytes_of(value: Any) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Measure):
        yield from _bytes_of(value.test)
    elif isinstance(value, Training):
        yield from _bytes_of([value.train, value.device, value.seed, value.shift, value.mirror])
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from (str(name).encode(), *_bytes_of(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _bytes_of(each)
    else:
        yield value if isinstance(value, bytes) else repr(value).encode()


def _work(order: Order, progress: Progress) -> Work:
    """What every trial needs, read and checked here, so that workers need no files."""
    graph = api.import_model(order.model, batch=order.batched, semantics=order.semantics)
    data = None if order.data is None else files.read_arrays(order.data)
    if order.learning.test is None:
        raise UsageError(
            "Trials are compared by their accuracy.", fix="Give labelled test data with --test."
        )
    labelled = learning.read(order.learning, graph, progress)
    _check_arrays(labelled)
    calibration = calibration_of(order.model, graph, data, labelled)
    if calibration is not None:
        first_samples(graph, calibration)
    return Work(graph, calibration, labelled.without_rows(), Measure(labelled.test, graph))


def _check_arrays(labelled: LabelledData) -> None:
    training = labelled.training
    given: Sequence[Any] = [labelled.test, *([training.train] if training else [])]
    if not all(map(is_arrays, given)):
        raise UsageError(
            "A loader cannot be sent to the processes of a sweep.",
            fix="Return (x, y) from the function of --train or --test, or give an .npz file.",
        )
