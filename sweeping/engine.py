"""The sweep itself: batches of combinations become tasks, tasks become outcomes, all are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import IntaglioError
from ..passes.base import Progress
from .folder import Folder
from .search import Batches
from .space import Space
from .trial import Outcome, Task, trained_part
from .workers import Died, Workers


def sweep(
    space: Space,
    batches: Batches,
    found: dict[int, Outcome],
    total: int,
    workers: Workers[Task, Outcome],
    folder: Folder,
    progress: Progress,
) -> None:
    """Add to ``found`` and to the folder the outcome of every combination that ``batches`` name.

    Those that are there already are not tried again.
    """
    waves = Waves(space, workers)
    for numbers in batches:
        missing = [number for number in numbers if number not in found]
        for outcome in waves.run(missing, found):
            folder.save(outcome)
            found[outcome.number] = outcome
            failed = sum(each.costs is None for each in found.values())
            progress("Sweep", len(found), total, f"{failed} failed" if failed else "")


@dataclass(frozen=True)
class Waves:
    """Tasks in an order that does no work twice.

    Of those that train alike one goes first, and the others find it trained; of those that differ
    in their hardware alone one compiles the network. ``trained`` has what was trained so far.
    """

    space: Space
    workers: Workers[Task, Outcome]
    trained: set[str] = field(default_factory=lambda: {""})

    def run(self, numbers: Sequence[int], found: Mapping[int, Outcome]) -> Iterator[Outcome]:
        """The outcome of each combination; ``found`` are those of others."""
        planned = [_task(self.space, number) for number in numbers]
        yield from (each for each in planned if isinstance(each, Outcome))
        tasks = [each for each in planned if isinstance(each, Task)]
        compiled = {each.network: each.compiled for each in found.values() if each.compiled}
        failed: dict[Hashable, str] = {}
        fresh = [task for task in tasks if task.network not in compiled]
        waiting = leading = _firsts(fresh, lambda task: task.network)
        while waiting:
            wave = self._wave(waiting)
            for outcome in self._outcomes(wave):
                if outcome.compiled:
                    compiled[outcome.network] = outcome.compiled
                    self.trained.add(trained_part(outcome.recipe))
                else:
                    failed[outcome.network] = outcome.error
                yield outcome
            waiting = _without(waiting, wave)
        again = _without(tasks, leading)
        yield from (_failed(each, failed[each.network]) for each in again if each.network in failed)
        known = [each for each in again if each.network in compiled]
        yield from self._outcomes(
            [replace(each, compiled=compiled[each.network]) for each in known]
        )

    def _wave(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that train nothing new, and one of each new training: two would be in the way."""
        new = [task for task in tasks if trained_part(task.recipe) not in self.trained]
        return [*_without(tasks, new), *_firsts(new, lambda task: trained_part(task.recipe))]

    def _outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task, result in self.workers.run(tasks):
            yield _failed(task, result.message) if isinstance(result, Died) else result


def _failed(task: Task, error: str) -> Outcome:
    return Outcome(task.number, task.choices, task.recipe, task.storage, error)


def _firsts(tasks: Sequence[Task], kind: Callable[[Task], Hashable]) -> list[Task]:
    """The first task of each kind."""
    found: dict[Hashable, Task] = {}
    for task in tasks:
        found.setdefault(kind(task), task)
    return list(found.values())


def _without(tasks: Sequence[Task], others: Sequence[Task]) -> list[Task]:
    numbers = {task.number for task in others}
    return [task for task in tasks if task.number not in numbers]


def _task(space: Space, number: int) -> Task | Outcome:
    """What a worker is told; an outcome where the combination means nothing."""
    labels = space.labels(number)
    try:
        planned = space.planned(number)
    except IntaglioError as error:
        return Outcome(number, labels, error=str(error))
    return Task(number, labels, planned.recipe, planned.storage, planned.hardware)
