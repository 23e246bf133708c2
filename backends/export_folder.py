"""A folder that appears whole or not at all, and takes the place only of an earlier export."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError

MANIFEST = "export.json"
"""Lists the files of an export, so that the next one knows what it may replace."""


def write_folder(path: Path, files: Mapping[str, bytes], facts: Mapping[str, str]) -> None:
    """Write ``files`` and a manifest with ``facts`` to a new folder at ``path``.

    They are written to a folder beside it, which is renamed. Raises UsageError when ``path`` is
    there already, unless it is empty or an earlier export to which nothing was added.
    """
    check_folder(path)
    path = path.resolve()
    manifest = {**facts, "files": sorted((*files, MANIFEST))}
    try:
        made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            for name, data in files.items():
                (made / name).write_bytes(data)
            (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
            made.chmod(0o777 & ~_umask())
            _replace(made, path)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"The folder cannot be written: {error.strerror}.",
            where=f"'{path}'",
            fix="Choose a place that exists and that you may write to.",
        ) from error


def check_folder(path: Path) -> None:
    """Raise UsageError unless ``path`` is free, an empty folder, or an export as it was written."""
    if not path.parent.is_dir():
        raise UsageError(
            "The folder cannot be written: No such folder to put it in.",
            where=f"'{path}'",
            fix="Choose a place that exists and that you may write to.",
        )
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(
            "This format is a folder, but there is a file of that name.",
            where=f"'{path}'",
            fix="Choose another name.",
        )
    if path.resolve() == Path.cwd():
        raise UsageError(
            "The folder is the current one, which cannot be replaced.",
            where=f"'{path}'",
            fix="Name a folder in it, or go to the one above.",
        )
    foreign = sorted({each.name for each in path.iterdir()} - _listed(path))
    if foreign:
        raise UsageError(
            f"The folder holds '{foreign[0]}', which is not of an earlier export.",
            where=f"'{path}'",
            fix="Choose another name, or move that file away.",
        )


def _listed(path: Path) -> set[str]:
    """Names that the manifest in a folder lists; none without a readable one."""
    try:
        found = json.loads((path / MANIFEST).read_text())["files"]
        return {str(name) for name in found}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _replace(made: Path, path: Path) -> None:
    """Put ``made`` at ``path``; what was there is kept aside until it is."""
    if not path.exists():
        os.rename(made, path)
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as aside:
        old = Path(aside) / path.name
        os.rename(path, old)
        try:
            os.rename(made, path)
        except OSError:
            os.rename(old, path)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
