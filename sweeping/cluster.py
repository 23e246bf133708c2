"""The same tasks on a Ray cluster; ``local`` as an address is a cluster of this machine alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ..errors import UsageError
from .workers import ATTEMPTS, Died, one_thread

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass
class Cluster(Generic[Job, Result], AbstractContextManager["Cluster[Job, Result]"]):
    """The cluster at an address; ``call`` is put there once. Each node needs intaglio, no files.

    Ray begins a task anew whose worker or node dies, as often as our own workers would.
    """

    call: Callable[[Job], Result]
    address: str
    _ray: Any = field(default=None, repr=False)

    def __enter__(self) -> Self:
        import ray

        try:
            with one_thread():
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"There is no Ray cluster to be reached: {error}",
                where=f"--cluster '{self.address}'",
                fix="Start one with 'ray start --head', or say --cluster local.",
            ) from error
        self._ray = ray
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ray.shutdown()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result | Died]]:
        """Every job with its result, or Died after as many attempts as it has."""
        ray = self._ray
        remote = ray.remote(_called).options(num_cpus=1, max_retries=ATTEMPTS - 1)
        call = ray.put(self.call)
        pending = {remote.remote(call, job): job for job in jobs}
        while pending:
            (ready, *_), _ = ray.wait(list(pending), num_returns=1)
            job = pending.pop(ready)
            yield job, self._result(ready)

    def _result(self, ready: Any) -> Result | Died:
        try:
            return self._ray.get(ready)
        except self._ray.exceptions.RayTaskError as error:
            raise UsageError(
                f"The cluster cannot run a trial: {error.cause}.",
                where=f"--cluster '{self.address}'",
                fix="Install the same version of intaglio on every node.",
            ) from error
        except self._ray.exceptions.RayError as error:
            return Died(type(error).__name__)


def _called(call: Callable[[Job], Result], job: Job) -> Result:
    return call(job)
