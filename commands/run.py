"""``intaglio run`` and ``intaglio check``: execute a blob, and compare it with the reference."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import api
from ..errors import MismatchError, UsageError
from ..ir.numeric import Array
from .difference import random_codes
from .terminal import Bars, Column, say, say_json, table

COLUMNS: tuple[Column, ...] = (
    ("value", "text"),
    ("shape", "left"),
    ("dtype", "left"),
    ("least", "right"),
    ("greatest", "right"),
    ("scale", "right"),
    ("zero point", "right"),
)


def execute(blob: Path, x: Path, *, trace: bool) -> dict[str, api.Output]:
    """The outputs of a blob file, or every layer, for the arrays of a file."""
    network = api.load(blob)
    arrays = api.read_arrays(x)
    if trace:
        return network.trace(arrays)
    with Bars() as bars:
        found = network.run(arrays, lambda done, total: bars("Run", done, total))
    return {network.outputs[0].name: found} if isinstance(found, api.Output) else found


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a .npz file, or a .npy file of one array, whole or not at all; raises UsageError."""
    kind = path.suffix.lower()
    if kind not in (".npz", ".npy") or (kind == ".npy" and len(arrays) != 1):
        raise UsageError(
            f"{len(arrays)} arrays cannot be written to it.",
            where=f"'{path}'",
            fix="Choose a name that ends in .npz, or in .npy for one array.",
        )
    file = io.BytesIO()
    if kind == ".npy":
        np.save(file, next(iter(arrays.values())))
    else:
        np.savez(file, allow_pickle=False, **arrays)
    api.write_whole(path, file.getvalue())


def show(
    results: Mapping[str, api.Output], written: Path | None, *, real: bool, as_json: bool
) -> None:
    """Print the results; their elements only when they were not written to a file."""
    if as_json:
        whole = written is None
        say_json({name: _to_json(each, real, whole) for name, each in results.items()})
        return
    table(COLUMNS, (_row(name, each) for name, each in results.items()))
    if written is not None:
        say(f"Wrote {written}.")
        return
    for name, each in results.items():
        say(f"{name} =")
        say(np.array2string(each.real if real else each.codes, threshold=100, max_line_width=80))


def _row(name: str, result: api.Output) -> tuple[object, ...]:
    codes, encoding = result.codes, result.encoding
    ends = (codes.min(), codes.max()) if codes.size else ("", "")
    meaning = (f"{encoding.scale:.6g}", encoding.zero_point) if encoding else ("", "")
    return name, "x".join(map(str, codes.shape)), codes.dtype, *ends, *meaning


def _to_json(result: api.Output, real: bool, whole: bool) -> dict[str, Any]:
    encoding = result.encoding
    about = {
        "shape": list(result.codes.shape),
        "dtype": str(result.codes.dtype),
        "scale": encoding.scale if encoding else None,
        "zero_point": encoding.zero_point if encoding else None,
    }
    elements = {"real": result.real} if real else {"codes": result.codes}
    return about | (elements if whole else {})


def check(blob: Path, x: Path | None, samples: int, seed: int, *, as_json: bool) -> None:
    """Print how many codes are equal; raises MismatchError naming the first that is not."""
    network = api.load(blob)
    inputs = random_codes(network, samples, seed) if x is None else api.read_arrays(x)
    source = f"{samples} samples of random codes, seed {seed}" if x is None else str(x)
    layers = len(network.program.steps)
    facts = {"inputs": source, "layers": layers}
    try:
        count = network.check(inputs)
    except MismatchError as error:
        if as_json:
            say_json({"equal": False, **facts, "difference": str(error)})
        raise
    if as_json:
        say_json({"equal": True, **facts, "codes": count})
        return
    say(f"Equal: simulator and reference agree on {count:,} codes in {layers} layers ({source}).")
