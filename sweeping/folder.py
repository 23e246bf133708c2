"""The folder of a sweep: every outcome is in it as soon as it is there, and a run goes on from it.

sweep.json          what is swept: another sweep in the same folder is refused
trials/007.json     an outcome, whole or not at all; beside it 007.intg, its blob
checkpoints         where training is, until the sweep is over
sweep.lock          locked while a process sweeps
optuna.journal      what Optuna drew, where the space is not tried as a whole
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..files import read_bytes, write_whole
from .trial import Outcome


@dataclass(frozen=True)
class Folder:
    """A folder whose files are those of one sweep."""

    path: Path

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, str]) -> Folder:
        """The folder, made if there is none; raises UsageError where it holds another sweep.

        ``identity`` has digests of all that outcomes follow from, by words that an error shows.
        """
        record = path / "sweep.json"
        if record.exists():
            _check(path, _json(record), identity)
        elif path.is_dir() and any(path.iterdir()):
            raise UsageError(
                "There is something else in it.",
                where=f"'{path}'",
                fix="Choose an empty or a new folder with --output.",
            )
        try:
            (path / "trials").mkdir(parents=True, exist_ok=True)
            (path / "checkpoints").mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The folder cannot be made: {error.strerror}.",
                where=f"'{path}'",
                fix="Choose one that you may write to with --output.",
            ) from error
        write_whole(record, json.dumps(dict(identity), indent=2).encode())
        return cls(path)

    @property
    def journal(self) -> Path:
        """Optuna's file."""
        return self.path / "optuna.journal"

    @property
    def checkpoints(self) -> Path:
        """The folder of training that is under way; it is there from the beginning."""
        return self.path / "checkpoints"

    def clear(self) -> None:
        """Remove what only a sweep that is under way needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Raise UsageError while another process sweeps into the folder; a kill ends that."""
        with (self.path / "sweep.lock").open("w") as file:
            if not _locked(file.fileno()):
                raise UsageError(
                    "Another sweep is running in it.",
                    where=f"'{self.path}'",
                    fix="Wait for it, end it, or choose another folder with --output.",
                )
            yield

    def blob(self, number: int) -> Path:
        """Where the network of a trial is."""
        return self.path / "trials" / f"{number:03}.intg"

    def save(self, outcome: Outcome) -> None:
        """Keep an outcome; the blob goes first, so that an outcome that is there has its blob."""
        if outcome.compiled is not None:
            write_whole(self.blob(outcome.number), outcome.compiled.blob)
        text = json.dumps(outcome.to_json(), indent=2)
        write_whole(self._outcome(outcome.number), text.encode())

    def outcomes(self) -> dict[int, Outcome]:
        """What was kept, by number."""
        found = {}
        for path in sorted((self.path / "trials").glob("*.json")):
            data = _json(path)
            blob = read_bytes(path.with_suffix(".intg")) if data.get("samples") else b""
            outcome = Outcome.from_json(data, blob)
            found[outcome.number] = outcome
        return found

    def _outcome(self, number: int) -> Path:
        return self.path / "trials" / f"{number:03}.json"


def _locked(file: int) -> bool:
    """Whether the lock of a file is ours until the file is closed; there are none on Windows."""
    try:
        import fcntl
    except ModuleNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check(path: Path, kept: Mapping[str, str], said: Mapping[str, str]) -> None:
    other = [name for name in said if kept.get(name, said[name]) != said[name]]
    if other:
        raise UsageError(
            f"It holds a sweep with another {' and '.join(other)}.",
            where=f"'{path}'",
            fix="Choose another folder with --output, or remove this one.",
        )


def _json(path: Path) -> dict[str, str]:
    try:
        found = json.loads(read_bytes(path))
    except ValueError as error:
        raise UsageError(
            "It is damaged.", where=f"'{path}'", fix="Remove it: its trial will be run again."
        ) from error
    assert isinstance(found, dict)
    return found
