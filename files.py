"""Files: read with one clear error, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from .errors import UsageError
from .ir.numeric import Array


def read_bytes(path: Path) -> bytes:
    """All bytes of a file; raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"It cannot be read: {error.strerror}.", where=f"'{path}'") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to a temporary name beside ``path`` and rename it; raises UsageError."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(
            f"The file cannot be written: {error.strerror}.",
            where=f"'{path}'",
            fix="Choose a folder that exists and that you may write to.",
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """The array of a .npy file or the arrays of a .npz file; raises UsageError.

    A .npz file whose one array was saved without a name counts as a .npy file.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UsageError(
            "It is not a readable .npy or .npz file.",
            where=f"'{path}'",
            fix="Write numbers to it with numpy.save or numpy.savez.",
        ) from error
    except OSError as error:
        raise UsageError(f"It cannot be read: {error.strerror}.", where=f"'{path}'") from error
    return arrays["arr_0"] if list(arrays) == ["arr_0"] else arrays
