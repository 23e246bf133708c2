"""The sweep itself: batches of combinations become tasks, tasks become outcomes, all are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..errors import IntaglioError
from ..passes.base import Progress
from .folder import Folder
from .search import Batches
from .space import Space
from .trial import Compiled, Outcome, Task
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
    for numbers in batches:
        missing = [number for number in numbers if number not in found]
        for outcome in _outcomes(space, missing, found, workers):
            folder.save(outcome)
            found[outcome.number] = outcome
            failed = sum(each.costs is None for each in found.values())
            progress("Sweep", len(found), total, f"{failed} failed" if failed else "")


def _outcomes(
    space: Space,
    numbers: Sequence[int],
    found: Mapping[int, Outcome],
    workers: Workers[Task, Outcome],
) -> Iterator[Outcome]:
    """A network that differs from another in its hardware alone is compiled once."""
    tasks = []
    for number in numbers:
        task = _task(space, number)
        if isinstance(task, Outcome):
            yield task
        else:
            tasks.append(task)
    first = {task.network: task for task in reversed(tasks)}
    compiled = {each.network: each.compiled for each in found.values() if each.compiled}
    fresh = [task for task in tasks if task is first[task.network] and task.network not in compiled]
    for outcome in _run(workers, fresh):
        compiled |= {outcome.network: outcome.compiled} if outcome.compiled else {}
        yield outcome
    begun = {task.number for task in fresh}
    again = [task for task in tasks if task.number not in begun]
    yield from _run(workers, [_known(task, compiled.get(task.network)) for task in again])


def _known(task: Task, compiled: Compiled | None) -> Task:
    said = (task.number, task.choices, task.recipe, task.storage, task.hardware)
    return Task(*said, compiled)


def _task(space: Space, number: int) -> Task | Outcome:
    """What a worker is told; an outcome where the combination means nothing."""
    labels = space.labels(number)
    try:
        planned = space.planned(number)
    except IntaglioError as error:
        return Outcome(number, labels, error=str(error))
    return Task(number, labels, planned.recipe, planned.storage, planned.hardware)


def _run(workers: Workers[Task, Outcome], tasks: Sequence[Task]) -> Iterator[Outcome]:
    for task, result in workers.run(tasks):
        if isinstance(result, Died):
            said = (task.number, task.choices, task.recipe, task.storage)
            yield Outcome(*said, error=result.message)
        else:
            yield result
