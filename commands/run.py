"""``intaglio run`` and ``intaglio check``: execute a blob, and compare it with the reference."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import api, files
from ..errors import DataError, MismatchError, UsageError
from ..ir.numeric import Array
from .difference import random_codes
from .terminal import Bars, Column, elided, note, say, say_json, table

COLUMNS: tuple[Column, ...] = (
    ("value", "text"),
    ("shape", "left"),
    ("dtype", "left"),
    ("least", "right"),
    ("greatest", "right"),
    ("real value", "left"),
)
SHOWN_ELEMENTS = 200


def check_name(path: Path) -> None:
    """Raise UsageError unless the name says how arrays are written."""
    if path.suffix.lower() not in (".npz", ".npy"):
        raise UsageError(
            "Its name does not say how to write arrays.",
            where=f"'{path}'",
            fix="Choose a name that ends in .npz, or in .npy for one array.",
        )


def execute(
    blob: Path, x: Path, limit: int | None, threads: int, *, trace: bool
) -> dict[str, api.Output]:
    """The outputs of a blob file, or every layer, for the arrays of a file."""
    network = api.load(blob, limit)
    arrays = files.read_arrays(x)
    if trace:
        return network.trace(arrays)
    with Bars() as bars:
        found = network.run(arrays, lambda done, total: bars("Run", done, total), threads)
    return {network.outputs[0].name: found} if isinstance(found, api.Output) else found


def execute_early(
    blob: Path, x: Path, limit: int | None, threads: int, target: Path | None, *, as_json: bool
) -> None:
    """Print, or write, the class of each sample and the exit that it took; others are spared it."""
    network, arrays = api.load(blob, limit), files.read_arrays(x)
    with Bars() as bars:
        found = network.run_early(arrays, lambda done, all_: bars("Run", done, all_), threads)
    exits = [found.names[index] for index in found.taken.tolist()]
    if target is not None:
        save_arrays(target, {"class": found.classes, "exit": found.taken})
        note(f"Wrote {target}.")
    if as_json:
        say_json({"class": found.classes, "exit": exits})
        return
    columns: tuple[Column, ...] = (("exit", "text"), ("samples", "right"), ("classes", "left"))
    rows = []
    for index, name in enumerate(found.names):
        own = found.classes[found.taken == index]
        shown = np.array2string(own, threshold=12, edgeitems=6, separator=" ")[1:-1]
        rows.append((name, f"{len(own):,}", shown))
    table(columns, rows)


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a .npz file, or a .npy file of one array, whole or not at all; raises UsageError."""
    single = path.suffix.lower() == ".npy"
    if single and len(arrays) != 1:
        raise UsageError(
            f"A .npy file holds one array, but there are {len(arrays)}.",
            where=f"'{path}'",
            fix="Choose a name that ends in .npz.",
        )
    file = io.BytesIO()
    if single:
        np.save(file, next(iter(arrays.values())))
    else:
        with zipfile.ZipFile(file, "w") as made:  # numpy.savez knows no array named 'file'
            for name, array in arrays.items():
                with made.open(f"{name}.npy", "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)
    files.write_whole(path, file.getvalue())


def show(results: Mapping[str, api.Output], *, real: bool) -> None:
    """Print what the results are, and their elements."""
    show_kinds(results)
    for name, each in results.items():
        array = each.real if real else each.codes
        say(f"{name} =")
        say(np.array2string(array, threshold=SHOWN_ELEMENTS, edgeitems=2, max_line_width=80))


def show_kinds(results: Mapping[str, api.Output]) -> None:
    """Print name, shape, range and meaning of each result."""
    table(COLUMNS, (_row(name, each) for name, each in results.items()))


def show_json(results: Mapping[str, api.Output], *, real: bool) -> None:
    """Print the results with every element as JSON."""
    say_json({name: _to_json(each, real) for name, each in results.items()}, indent=None)


def _row(name: str, result: api.Output) -> tuple[object, ...]:
    codes, encoding = result.codes, result.encoding
    ends = (codes.min(), codes.max()) if codes.size else ("", "")
    meaning = encoding.formula if encoding else ""
    return elided(name), "x".join(map(str, codes.shape)), codes.dtype, *ends, meaning


def _to_json(result: api.Output, real: bool) -> dict[str, Any]:
    encoding = result.encoding
    return {
        "shape": list(result.codes.shape),
        "dtype": str(result.codes.dtype),
        **(encoding.to_json() if encoding else {"scale": None, "zero_point": None}),
        **({"real": result.real} if real else {"codes": result.codes}),
    }


def warm_up(blobs: Sequence[Path], limit: int | None) -> None:
    """Compile the kernels that blobs need, and keep them for later processes."""
    for path in blobs:
        started = time.perf_counter()
        network = api.load(path, limit)
        with Bars() as bars:
            bars("Compile kernels", 0, 1)
            network.simulate(network.encode(random_codes(network, 1, 0)))
            bars("Compile kernels", 1, 1)
        say(f"{path}: kernels '{network.isa}', {time.perf_counter() - started:.1f} s")


def check(
    blob: Path, x: Path | None, samples: int, seed: int, limit: int | None, *, as_json: bool
) -> None:
    """Print how many codes are equal; raises MismatchError naming the first that is not."""
    network = api.load(blob, limit)
    inputs = random_codes(network, samples, seed) if x is None else files.read_arrays(x)
    source = f"{samples} samples of random codes, seed {seed}" if x is None else str(x)
    layers = len(network.program.steps)
    facts = {"inputs": source, "layers": layers}
    try:
        count = network.check(inputs)
    except MismatchError as error:
        if as_json:
            say_json({"equal": False, **facts, "difference": str(error)})
        raise
    if not count:
        raise DataError(
            "There are no samples to compare.", where=f"'{x}'", fix="Give at least one."
        )
    if as_json:
        say_json({"equal": True, **facts, "codes": count})
        return
    say(f"Equal: simulator and reference agree on {count:,} codes in {layers} layers ({source}).")
