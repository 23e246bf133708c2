"""``intaglio compare``: networks beside each other on one hardware, as a table and a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from .. import api
from ..backends.break_even import Candidate, break_even
from ..backends.break_even_rows import even_tables
from ..backends.compared import compared, weight_bits
from ..backends.cost import network_cost, packed_constants
from ..backends.cost_rows import Table
from ..backends.summary import weight_counts
from ..cost_models.comparison import Compared, check_comparable, verdicts
from ..cost_models.hardware import load_hardware
from ..cost_models.turning import UNKNOWN_EVEN, Even
from ..datasets import read_test
from ..errors import UsageError
from ..files import write_whole
from ..ir.numeric import Array
from .terminal import Column, facts, note, say, say_json, table

BATCH, REPEATS = 64, 5
MODELS = (".onnx", ".tflite")
"""Endings of what is no blob yet."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What makes networks comparable: accuracies that lie within so many points, and equal bits.

    ``unequal`` compares them anyway.
    """

    data: Path | None
    within: float
    unequal: bool


@dataclass(frozen=True, slots=True)
class Files:
    """Where the report goes; None where it is not wanted."""

    html: Path | None
    markdown: Path | None
    csv: Path | None


def compare(
    paths: Sequence[Path], hardware: str, conditions: Conditions, files: Files, *, as_json: bool
) -> None:
    """Print what the blobs cost, and write reports; raises UsageError when that would be unfair."""
    candidates = candidates_of(paths, hardware, conditions)
    found, even = [each.compared for each in candidates], break_even(candidates)
    write(found, files, even)
    if as_json:
        from ..backends.cost_tables import to_json

        say_json(to_json(found, even))
        return
    show(found, even)
    for path in filter(None, (files.html, files.markdown, files.csv)):
        note(f"Wrote {path}.")


def compare_blobs(
    paths: Sequence[Path], hardware: str, conditions: Conditions
) -> tuple[Compared, ...]:
    """The networks in the order given."""
    return tuple(each.compared for each in candidates_of(paths, hardware, conditions))


def candidates_of(
    paths: Sequence[Path], hardware: str, conditions: Conditions
) -> tuple[Candidate, ...]:
    """The networks in the order given, with what break-even is found from."""
    _check_blobs(paths)
    networks = [api.load(path) for path in paths]
    _check_one_network(paths, networks)
    if not conditions.unequal:
        _check_bits(paths, networks)
    machine, described = load_hardware(hardware).machine(), load_hardware(hardware)
    scores = _accuracies(paths, networks, conditions)
    most = max((weight_counts(each.program).nonzero for each in networks), default=0)
    found = []
    for path, network, accuracy in zip(paths, networks, scores, strict=True):
        cost = network_cost(network.program, network.blob, machine, described.assumptions())
        milliseconds = simulated_ms(network)
        each = compared(
            path.stem, network.program, network.blob, cost, most, accuracy, milliseconds
        )
        constants = packed_constants(network.program, network.blob)
        found.append(Candidate(each, network.program, constants, machine))
    check_comparable([each.compared for each in found])
    return tuple(found)


def _check_blobs(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.suffix.lower() in MODELS:
            raise UsageError(
                "It is a model, and blobs are compared.",
                where=f"'{path}'",
                fix="Compile it, or let 'intaglio sweep MODEL SPACE.toml --equal 1 --family "
                "CHOICE' compile families of recipes and compare them at equal accuracy.",
            )


def _check_one_network(paths: Sequence[Path], networks: Sequence[api.Network]) -> None:
    """All take and give arrays of the same shapes: versions of one network do."""
    first = _shapes(networks[0])
    for path, network in zip(paths, networks, strict=True):
        if _shapes(network) != first:
            raise UsageError(
                f"It is another network than '{paths[0]}': {_shapes(network)}, not {first}.",
                where=f"'{path}'",
                fix="Compare versions of one network.",
            )


def _shapes(network: api.Network) -> str:
    inputs, outputs = (
        ", ".join("x".join(map(str, slot.type.sample_shape)) or "1" for slot in slots)
        for slots in (network.inputs, network.outputs)
    )
    return f"{inputs} to {outputs}"


def _check_bits(paths: Sequence[Path], networks: Sequence[api.Network]) -> None:
    bits = [weight_bits(each.program) for each in networks]
    if len(set(bits)) > 1:
        each = ", ".join(f"'{path}' {count}" for path, count in zip(paths, bits, strict=True))
        raise UsageError(
            f"The bits of their weights differ: {each}.",
            fix="Compare networks of equal bits, or say --unequal.",
        )


def _accuracies(
    paths: Sequence[Path], networks: Sequence[api.Network], conditions: Conditions
) -> list[float | None]:
    if conditions.data is None:
        if not conditions.unequal and len(networks) > 1:
            raise UsageError(
                "Whether they are equally accurate is not known.",
                fix="Give labelled test data with --data, or say --unequal.",
            )
        return [None] * len(networks)
    x, y = read_test(conditions.data)
    scores = [_accuracy(path, network, x, y) for path, network in zip(paths, networks, strict=True)]
    gap = 100 * (max(scores) - min(scores))
    if gap > conditions.within and not conditions.unequal:
        each = ", ".join(f"'{p}' {100 * s:.2f} %" for p, s in zip(paths, scores, strict=True))
        apart = f"{gap:.2f} points apart, at most {conditions.within:g} may be"
        raise UsageError(
            f"Their accuracies are {apart}: {each}.",
            fix="Compare networks that are equally accurate, or say --unequal.",
        )
    return list(scores)


def _accuracy(path: Path, network: api.Network, x: Array, y: Array) -> float:
    output = network.run(x)
    if isinstance(output, dict):
        raise UsageError(
            f"It has {len(output)} outputs, and no accuracy.",
            where=f"'{path}'",
            fix="Say --unequal and leave --data out.",
        )
    codes = np.asarray(output).reshape(len(x), -1)
    return float(np.mean(codes.argmax(axis=1) == y.reshape(-1)))


def simulated_ms(network: api.Network) -> float:
    """[ms] of a sample in the simulator on this machine, the median of a few batches."""
    rng = np.random.default_rng(0)
    inputs = {}
    for slot in network.inputs:
        dtype = slot.type.dtype
        shape = (BATCH, *slot.type.sample_shape)
        codes = rng.integers(dtype.lo, dtype.hi, shape, np.int64, endpoint=True)
        codes[codes == 0] = 1 if dtype.kind == "bipolar" else 0
        inputs[slot.name] = codes.astype(dtype.container)
    network.simulate(inputs)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        network.simulate(inputs)
        seconds.append(time.perf_counter() - began)
    return 1e3 * median(seconds) / BATCH


def write(found: Sequence[Compared], files: Files, even: Even = UNKNOWN_EVEN) -> None:
    """Write the reports that are wanted."""
    from ..backends.cost_page import render
    from ..backends.cost_tables import csv, markdown

    if files.html:
        write_whole(files.html, render(found, even=even).encode())
    if files.markdown:
        write_whole(files.markdown, markdown(found, even).encode())
    if files.csv:
        write_whole(files.csv, csv(found, even).encode())


COLUMNS: tuple[Column, ...] = (
    ("network", "text"),
    ("kind", "left"),
    ("bits", "right"),
    ("accuracy", "right"),
    ("rate", "right"),
    ("file", "right"),
    ("DRAM", "right"),
    ("uJ", "right"),
    ("low..high", "right"),
    ("cycles", "right"),
)


def show(found: Sequence[Compared], even: Even = UNKNOWN_EVEN) -> None:
    """Print a row for each network, the verdict of each pair, and break-even."""
    table(COLUMNS, [_row(each) for each in found])
    rows: list[tuple[str, object]] = [("hardware", found[0].cost.hardware)]
    for each in verdicts(found):
        pair = f"{each.structured.name} against {each.non_structured.name}"
        rows.append((pair, f"{each.storage} is smaller, {each.time} faster"))
        rows.append(("", f"{each.energy} takes less energy: {each.stability} from low to high"))
    facts(rows)
    for each_table in even_tables(even):
        say(f"\n{each_table.title}. {each_table.remark}")
        table(_columns(each_table), each_table.rows)


def _columns(shown: Table) -> list[Column]:
    """Headings with their sides; the first column may be cut to fit."""
    rest = zip(shown.columns[1:], shown.align[1:], strict=True)
    others: list[Column] = [(name, "right" if side == "r" else "left") for name, side in rest]
    return [(shown.columns[0], "text"), *others]


def _row(each: Compared) -> tuple[str, ...]:
    energy = each.cost.energy
    dram = sum(layer.bits("DRAM") for layer in each.cost.layers) / 8
    return (
        each.name,
        each.kind,
        f"{each.bits}",
        "" if each.accuracy is None else f"{100 * each.accuracy:.2f} %",
        f"{each.rate:.1f}x",
        f"{each.cost.file_bytes:,}",
        f"{dram:,.0f}",
        f"{energy.nominal / 1e6:.3g}",
        f"{energy.low / 1e6:.3g}..{energy.high / 1e6:.3g}",
        f"{each.cost.time:,}",
    )
