"""``intaglio export``: a blob as files for other tools."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from .. import api
from ..errors import UsageError
from ..ir.numeric import Array
from .difference import random_codes
from .terminal import note

Codes = Mapping[str, Array]
FILES = ("npz", "onnx")
FOLDERS = ("c", "hex", "mem", "coe")


def export(
    blob: Path, kind: str, target: Path | None, x: Path | None, samples: int, seed: int
) -> None:
    """Write the export of a blob file; raises UsageError for a target that is in the way."""
    if kind not in FILES + FOLDERS:
        raise UsageError(
            f"There is no export '{kind}'.", fix=f"Choose {', '.join(FILES + FOLDERS)}."
        )
    network = api.load(blob)
    suffix = f".{kind}" if kind in FILES else f"-{kind}"
    target = target or blob.with_name(blob.stem + suffix)
    if kind == "onnx":
        from ..backends.export_onnx.model import onnx_model

        api.write_whole(target, onnx_model(network.program).SerializeToString())
    elif kind == "c":
        from ..backends.export_c.sources import c_sources

        sources = c_sources(network.program)
        write_folder(target, {name: text.encode("ascii") for name, text in sources.items()})
    else:
        _write_plain(network, kind, target, _golden(network, x, samples, seed))
    note(f"Wrote {target}.")


def _golden(network: api.Network, x: Path | None, samples: int, seed: int) -> Codes:
    """The codes of every layer for the inputs of a file or for random ones."""
    inputs = random_codes(network, samples, seed) if x is None else api.read_arrays(x)
    traced = network.trace(inputs)
    given = network.encode(inputs)
    return {**given, **{name: output.codes for name, output in traced.items()}}


def _write_plain(network: api.Network, kind: str, target: Path, trace: Codes) -> None:
    from ..backends.export_plain import npz_bytes, plain_files

    if kind == "npz":
        api.write_whole(target, npz_bytes(network.program, trace))
    else:
        write_folder(target, plain_files(network.program, trace, kind))


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """A new folder of files, whole or not at all; raises UsageError when ``target`` is there."""
    if target.exists():
        raise UsageError(
            "It exists already.", where=f"'{target}'", fix="Choose another folder, or remove it."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise UsageError(f"It cannot be written: {error.strerror}.", where=f"'{target}'") from error
    _or_nothing(made, lambda: _fill(made, target, files))


def _fill(made: Path, target: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = made / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    made.chmod(0o755)
    made.rename(target)


def _or_nothing(made: Path, fill: Callable[[], None]) -> None:
    try:
        fill()
    except OSError as error:
        raise UsageError(f"It cannot be written: {error.strerror}.", where=f"'{made}'") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)  # gone already when all went well
