"""What ``intaglio compile`` does with labelled data: read it, measure the blob on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..api import Network, Output
from ..datasets import Preparation, is_function, read_labelled
from ..errors import DataError, UsageError
from ..ir.graph import Graph
from ..passes.base import Progress, Training
from ..passes.labelled import batches, checked, is_arrays
from .terminal import note

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Learning:
    """What the user asked for of labelled data; None and False are not said."""

    train: str | None = None
    test: str | None = None
    scale: str | None = None
    mean: str | None = None
    std: str | None = None
    device: str | None = None
    seed: int | None = None
    shift: int | None = None
    mirror: bool = False
    checkpoints: Path | None = None
    resume: bool = False
    baselines: bool = False

    def check(self) -> None:
        """Raise UsageError for options without what they are for."""
        if self.train is None:
            self._refuse(
                "device seed shift mirror checkpoints resume baselines", "training", "--train"
            )
        if self.train is None and self.test is None:
            self._refuse("scale mean std", "labelled data", "--train or --test")
        if self.resume and self.checkpoints is None:
            raise UsageError("There is nothing to resume from.", fix="Give the --checkpoints.")
        if self.baselines and self.test is None:
            raise UsageError("Baselines are compared on test data.", fix="Give it with --test.")
        for name, value in (("seed", self.seed), ("shift", self.shift)):
            if value is not None and value < 0:
                raise UsageError(f"{name} is {value}.", fix="Choose 0 or more.")

    def _refuse(self, names: str, purpose: str, option: str) -> None:
        for name in names.split():
            if getattr(self, name) not in (None, False):
                raise UsageError(
                    f"--{name} is for {purpose}, but there is none.", fix=f"Give it with {option}."
                )

    @property
    def preparation(self) -> Preparation:
        """How stored numbers become inputs; raises UsageError for what is no number."""
        scale = None if self.scale is None else _numbers("scale", self.scale)[0]
        mean, std = (
            _numbers(name, text) if text else ()
            for name, text in (("mean", self.mean), ("std", self.std))
        )
        return Preparation(scale, mean, std)


@dataclass(frozen=True)
class LabelledData:
    """The data that was read, and the figures of every epoch that trained on it."""

    training: Training | None = None
    test: Any = None
    rows: list[Row] = field(default_factory=list)

    def without_rows(self) -> Training | None:
        """The training for another run, whose epochs are not kept and of which nothing is said."""
        return None if self.training is None else replace(self.training, log=None, note=None)


def read(learning: Learning, graph: Graph, progress: Progress) -> LabelledData:
    """The data that the user named, checked against each other; raises an IntaglioError."""
    preparation = learning.preparation
    given = [source for source in (learning.train, learning.test) if source is not None]
    if preparation and all(map(is_function, given)):
        raise UsageError(
            "A function prepares its data itself.", fix="Leave out --scale, --mean and --std."
        )
    rows: list[Row] = []
    train, test = (
        None if source is None else read_labelled(source, graph, preparation, progress)
        for source in (learning.train, learning.test)
    )
    if train and test and train.classes and test.classes and train.classes != test.classes:
        pairs = zip(train.classes, test.classes, strict=True)
        one, other = next((one, other) for one, other in pairs if one != other)
        raise DataError(
            f"The first class folder that differs is '{one}' in --train and '{other}' in --test.",
            fix="Name the class folders alike: they are numbered in order of name.",
        )
    for what, found in (("Training", train), ("Test", test)):
        if found is not None and is_arrays(found.data):
            checked(found.data, graph, what)
    if train is None:
        return LabelledData(None, test and test.data)
    training = Training(
        train.data,
        test and test.data,
        device=learning.device or "cpu",
        seed=learning.seed or 0,
        shift=learning.shift or 0,
        mirror=learning.mirror,
        folder=learning.checkpoints,
        resume=learning.resume,
        log=rows.append,
        note=note,
    )
    return LabelledData(training, training.test, rows)


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"--{name} is '{text}'.",
            fix="Give a number such as 0.5 or 1/255; for channels, numbers with commas.",
        ) from error


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the test samples a network classifies right."""

    samples: int
    correct: int

    @property
    def percent(self) -> float:
        """Of all samples."""
        return 100 * self.correct / self.samples

    def to_json(self) -> dict[str, Any]:
        """Counts and percent."""
        return {"samples": self.samples, "correct": self.correct, "percent": self.percent}


def score(network: Network, test: Any, graph: Graph, progress: Progress) -> Score:
    """What the integers of the blob get right: of several outputs, the last.

    Raises DataError for data that does not fit.
    """
    samples = correct = 0
    for x, y in batches(test, graph, "Test"):
        found = network.run(x)
        answer = found if isinstance(found, Output) else list(found.values())[-1]
        codes = np.asarray(answer)
        correct += int((codes.argmax(axis=1) == y).sum())
        samples += len(y)
        progress("Measure", samples, _count(test))
    if not samples:
        raise DataError("The test data is empty.", fix="Give at least one sample.")
    return Score(samples, correct)


def _count(test: Any) -> int:
    """How many samples there are, 0 when that is not known."""
    return len(test[1]) if is_arrays(test) else 0
