"""Which combinations are tried: all of them, or those that Optuna chooses, batch by batch.

What a batch holds follows from the space, the seed and the outcomes of the batches before it. It
does not follow from the number of workers, from who is done first, or from kills in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .extras import needed
from .objectives import score
from .space import Space
from .trial import Outcome

Batches = Iterator[Sequence[int]]
"""Numbers of combinations; their outcomes are there when the next batch is asked for."""
PATIENCE = 20
"""Draws for each trial, many of which are combinations that were tried before."""
STUDY = "sweep"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of a space is tried: ``trials`` combinations, ``batch`` of them chosen at a time."""

    trials: int
    batch: int
    seed: int

    def total(self, space: Space) -> int:
        """How many trials there will be at most."""
        return min(self.trials, space.count)

    def whole(self, space: Space) -> bool:
        """Whether every combination is tried."""
        return space.count <= self.trials

    def check(self, space: Space) -> None:
        """Raise UsageError where Optuna has to choose and is not installed."""
        if not self.whole(space):
            needed(
                "optuna",
                "sweep",
                f"The space has {space.count:,} combinations, more than --trials {self.trials}: "
                "Optuna chooses among them",
                f", or try them all with --trials {space.count}",
            )


def tpe(seed: int) -> Any:
    """Optuna's tree-structured Parzen estimator."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed)


Sampler = Callable[[int], Any]
"""One of Optuna's samplers with a seed."""


def batches(
    space: Space,
    wanted: Wanted,
    found: Mapping[int, Outcome],
    journal: Path,
    sampler: Sampler = tpe,
) -> Batches:
    """What is tried, batch by batch; raises UsageError without Optuna where it is needed.

    ``found`` has the outcomes so far whenever a batch is asked for. ``journal`` is Optuna's file.
    """
    wanted.check(space)
    if wanted.whole(space):
        return iter([range(space.count)])
    return _chosen(_Study.open(space, wanted, journal, sampler), found)


def _chosen(study: _Study, found: Mapping[int, Outcome]) -> Iterator[Sequence[int]]:
    while not study.is_over:
        study.fill()
        yield study.waiting()
        study.tell(found)
    if left := study.waiting():  # of a run that was killed while it told its last batch
        yield left
        study.tell(found)


@dataclass(frozen=True)
class _Study:
    """Optuna's study; each draw has a sampler of its own, so that a resumed one draws the same."""

    space: Space
    wanted: Wanted
    sampler: Sampler
    study: Any

    @classmethod
    def open(cls, space: Space, wanted: Wanted, journal: Path, sampler: Sampler) -> _Study:
        """The study in a file, or a new one."""
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _drop_half_line(journal)
        lock: Any = _OnlyWriter()
        backend = JournalFileBackend(str(journal), lock_obj=lock)
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=STUDY,
            directions=["minimize"] * len(space.objectives),
            load_if_exists=True,
        )
        opened = cls(space, wanted, sampler, study)
        for each in opened._open_trials():  # One that a kill cut short gets the rest of its values.
            study.sampler = opened._sampler(each.number)
            opened._suggest(optuna.trial.Trial(study, each._trial_id))
        return opened

    @property
    def is_over(self) -> bool:
        """Whether there are enough different combinations, or hardly any new ones are drawn."""
        drawn = self._drawn()
        enough = len(set(drawn)) >= self.wanted.trials
        return enough or len(drawn) >= PATIENCE * self.wanted.trials

    def fill(self) -> None:
        """Draw until the batch is full or there are enough combinations."""
        drawn = self._drawn()
        end = len(drawn) - len(drawn) % self.wanted.batch + self.wanted.batch
        if len(drawn) % self.wanted.batch == 0 and self.waiting():
            return
        while len(drawn) < end and len(set(drawn)) < self.wanted.trials:
            self.study.sampler = self._sampler(len(drawn))
            drawn.append(self._suggest(self.study.ask()))

    def _suggest(self, trial: Any) -> int:
        """Values for every choice: those that the trial has already, others from the sampler."""
        labels = {
            name: trial.suggest_categorical(name, list(values))
            for name, values in self.space.choices.items()
        }
        return self.space.number(labels)

    def waiting(self) -> list[int]:
        """The combinations that were drawn and have not been told, each once."""
        return list(dict.fromkeys(self._number(each) for each in self._open_trials()))

    def tell(self, found: Mapping[int, Outcome]) -> None:
        """Tell Optuna the scores of all that wait, in the order in which they were drawn."""
        from optuna.trial import TrialState

        for each in self._open_trials():
            outcome = found[self._number(each)]
            if outcome.costs is None:
                self.study.tell(each.number, state=TrialState.FAIL)
            else:
                self.study.tell(each.number, list(score(outcome, self.space.objectives)))

    def _sampler(self, number: int) -> Any:
        return self.sampler(self.wanted.seed * 1_000_003 + number)

    def _open_trials(self) -> list[Any]:
        from optuna.trial import TrialState

        trials = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return sorted(trials, key=lambda each: each.number)

    def _drawn(self) -> list[int]:
        return [self._number(each) for each in self.study.get_trials(deepcopy=False)]

    def _number(self, trial: Any) -> int:
        return self.space.number(trial.params)


class _OnlyWriter:
    """No lock: one process writes the journal, and a lock would outlive it when it is killed."""

    def acquire(self) -> bool:
        """Always free."""
        return True

    def release(self) -> None:
        """Nothing was taken."""


def _drop_half_line(journal: Path) -> None:
    """What a kill left of the last line would spoil the next one."""
    if not journal.exists():
        return
    data = journal.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with journal.open("r+b") as file:
            file.truncate(whole)
