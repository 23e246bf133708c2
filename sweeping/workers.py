"""Tasks on processes of this machine: one that dies takes nothing with it but its own attempt."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Generic, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
Given = TypeVar("Given", covariant=True)
ATTEMPTS = 3
"""How often a task is begun whose worker dies."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Died:
    """A task is given up: its worker died each time, the last time as ``how`` says."""

    how: str

    @property
    def message(self) -> str:
        """For the outcome."""
        return (
            f"Its worker died {ATTEMPTS} times, at last with {self.how}. Perhaps memory ran out: "
            "try fewer --jobs."
        )


class Workers(Protocol[Job, Given]):
    """What runs tasks: processes here or on a cluster."""

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Given | Died]]:
        """Every job with its result as soon as it is there, in any order."""
        ...


@dataclass
class _Worker(Generic[Job]):
    """A process, the pipe to it, and the job that it is at."""

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None


@dataclass
class Local(Generic[Job, Result], AbstractContextManager["Local[Job, Result]"]):
    """So many processes of this machine; ``call`` is sent to each of them once.

    Each has one thread, unless OMP_NUM_THREADS and the like say otherwise: sums of floats depend on
    how many share them, and outcomes shall not depend on ``count``.
    """

    call: Callable[[Job], Result]
    count: int
    workers: list[_Worker[Job]] = field(default_factory=list)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self.workers:
            each.process.terminate()
        for each in self.workers:
            each.process.join()
            each.pipe.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result | Died]]:
        """Every job with its result, or Died after as many attempts as it has."""
        waiting = deque((job, ATTEMPTS) for job in jobs)
        left: dict[int, int] = {}
        while waiting or any(each.job is not None for each in self.workers):
            self._hand_out(waiting, left)
            busy = {each.pipe: each for each in self.workers if each.job is not None}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                job, attempts = worker.job, left[worker.process.pid or 0]
                assert job is not None
                worker.job = None
                try:
                    result: Result | Died = worker.pipe.recv()
                except (EOFError, OSError):
                    died = self._bury(worker)
                    if attempts > 1:
                        waiting.appendleft((job, attempts - 1))
                        continue
                    result = died
                self._hand_out(waiting, left)
                yield job, result

    def _hand_out(self, waiting: deque[tuple[Job, int]], left: dict[int, int]) -> None:
        """Give every worker that rests a job, and start workers while there are too few."""
        for _ in range(len(waiting)):
            worker = next((each for each in self.workers if each.job is None), None)
            if worker is None and len(self.workers) == self.count:
                return
            worker = worker or self._start()
            worker.job, left[worker.process.pid or 0] = waiting.popleft()
            with suppress(OSError):  # It died at rest: reading from it will say so.
                worker.pipe.send(worker.job)

    def _start(self) -> _Worker[Job]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.call), daemon=True)
        with one_thread():
            process.start()
        theirs.close()
        self.workers.append(_Worker(process, ours))
        return self.workers[-1]

    def _bury(self, worker: _Worker[Job]) -> Died:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Died(how)


def _serve(pipe: Connection, call: Callable[[Job], Result]) -> None:
    """What a worker does until the other end of its pipe is gone; Ctrl-C is its parent's matter."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send(call(pipe.recv()))


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes that start within have one thread, unless the environment says it already."""
    ours = {name: "1" for name in THREADS if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
