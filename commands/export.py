"""``intaglio export``: a blob as files for other tools."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from .. import api, exporting, files
from ..errors import UsageError
from .difference import random_codes
from .terminal import say, say_json


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what the golden vectors are of."""

    format: str
    output: str
    files: tuple[str, ...]
    bytes: int
    vectors: str


def export_blob(
    blob: Path,
    format_: str,
    output: Path,
    data: Path | None,
    samples: int,
    seed: int,
    limit: int | None,
    hardware: str | None = None,
) -> Exported:
    """Write the blob's network; raises an IntaglioError and then leaves ``output`` as it was."""
    exporting.check_format(format_)
    if hardware is not None and format_ not in exporting.MODELS:
        raise UsageError(
            f"The format '{format_}' describes no hardware.",
            where="--hardware",
            fix=f"Leave it out, or choose {', '.join(exporting.MODELS)}.",
        )
    network = api.load(blob, limit)
    vectors = ""
    inputs: api.Inputs | None = None
    if format_ in exporting.VECTORS:
        if data is not None:
            inputs, vectors = files.read_arrays(data), f"golden vectors of {data}"
        elif samples:
            inputs = random_codes(network, samples, seed)
            vectors = f"golden vectors of {samples} samples of random codes, seed {seed}"
    elif data is not None:
        raise UsageError(
            f"The format '{format_}' has no golden vectors.",
            where="--data",
            fix=f"Leave it out, or choose {', '.join(exporting.VECTORS)}.",
        )
    names = exporting.export(network, format_, output, inputs, hardware or exporting.HARDWARE)
    paths = [output / name for name in names] if output.is_dir() else [output]
    size = sum(path.stat().st_size for path in paths)
    return Exported(format_, str(output), names, size, vectors)


def show(exported: Exported, *, as_json: bool) -> None:
    """Print what was written."""
    if as_json:
        say_json(asdict(exported))
        return
    count = len(exported.files)
    what = f"{count} files, " if count > 1 else ""
    say(f"Wrote {exported.output} ({what}{exported.bytes:,} bytes).")
    if exported.vectors:
        say(f"It has {exported.vectors}.")
    if "LAYOUT.md" in exported.files:
        say(f"{Path(exported.output) / 'LAYOUT.md'} says what each file holds.")
