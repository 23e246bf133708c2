"""Energy of an access to an SRAM, and its leakage: a table of CACTI 7, interpolated."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from importlib.resources import files
from math import log2

from ..errors import UsageError
from .range import Range

SPREAD = 2.5
"""What CACTI's choices of banks and objectives, and other tools, differ by."""
SMALLEST = 1024
"""Bytes at which the table begins; smaller memories are register files."""
Point = tuple[float, float, float]
Table = dict[tuple[int, int], Point]
"""[pJ] of reading and writing a word, leakage [mW], by bits of the word and bytes."""


def access_energy(bytes_: int, word_bits: int, cell: str, node: float) -> tuple[Range, Range]:
    """[pJ] of reading and of writing a word; raises UsageError beyond the table.

    Between its points the logarithm of the energy is linear in those of bytes and word, and of
    nodes. SRAM is taken not to get better below the least node of the table.
    """
    read, write, _ = _between_nodes(bytes_, word_bits, cell, node)
    return _spread(read), _spread(write)


def leakage(bytes_: int, word_bits: int, cell: str, node: float) -> Range:
    """[mW] of the whole memory, found as the energies are."""
    return _spread(_between_nodes(bytes_, word_bits, cell, node)[2])


def _between_nodes(bytes_: int, word_bits: int, cell: str, node: float) -> Point:
    tables = _tables(cell)
    before, after = _nodes(tables, cell, node)
    low, high = (_in(tables[each], bytes_, word_bits, cell, each) for each in (before, after))
    part = _part(before, after, min(max(node, before), after))
    read, write, leak = (_mixed(*ends, part) for ends in zip(low, high, strict=True))
    return read, write, leak


def source_of(cell: str, node: float) -> str:
    """Where an energy is from, and whether its node is one of the table's."""
    before, after = _nodes(_tables(cell), cell, node)
    label = f"{before} nm"
    if before < after:
        label = f"{node:g} nm interpolated between {before} and {after}"
    elif before > node:
        label = f"{before} nm, below which SRAM is taken not to get better"
    return (
        f"CACTI 7 (HewlettPackard/cacti), {cell}, {label}, RAM with one read and write port, "
        "300 K; low and high 2.5 times less and more: its choice of banks and objective, and "
        "other tools, differ by so much"
    )


def _nodes(tables: dict[int, Table], cell: str, node: float) -> tuple[int, int]:
    """The nodes before and after, of which the energy is a mix."""
    known = sorted(tables)
    if node > known[-1] or (node < known[0] and len(known) == 1):
        raise UsageError(
            f"There is no table of {cell} at {node:g} nm.",
            where="node",
            fix=f"Use {', '.join(f'{each} nm' for each in known)}, or state read and write.",
        )
    return _around(known, max(node, known[0]))


def _in(table: Table, bytes_: int, word_bits: int, cell: str, node: int) -> Point:
    """What the table says at one of its nodes."""
    words = sorted({word for word, _ in table})
    if not words[0] <= word_bits <= words[-1]:
        raise UsageError(
            f"Words of {word_bits} bits are not in the table of {cell} at {node} nm: "
            f"{' to '.join(map(str, sorted({words[0], words[-1]})))} bits.",
            fix="State its read and write energies.",
        )
    w0, w1 = _around(words, word_bits)
    sizes = sorted(size for word, size in table if word == w0 and (w1, size) in table)
    if not sizes[0] <= bytes_ <= sizes[-1]:
        raise UsageError(
            f"An SRAM of {bytes_:,} bytes with words of {word_bits} bits is not in the table of "
            f"{cell} at {node} nm: {sizes[0]:,} to {sizes[-1]:,} bytes.",
            fix="State its read and write energies.",
        )
    s0, s1 = _around(sizes, bytes_)
    across, along = _part(w0, w1, word_bits), _part(s0, s1, bytes_)
    read, write, leak = (
        _mixed(
            _mixed(table[w0, s0][index], table[w0, s1][index], along),
            _mixed(table[w1, s0][index], table[w1, s1][index], along),
            across,
        )
        for index in (0, 1, 2)
    )
    return read, write, leak


@cache
def _tables(cell: str) -> dict[int, Table]:
    """The tables of a cell by node [nm]."""
    text = files(__package__).joinpath("data", "sram.csv").read_text(encoding="utf-8")
    found: dict[str, dict[int, Table]] = defaultdict(lambda: defaultdict(dict))
    for row in csv.DictReader(text.splitlines()):
        key = int(row["word_bits"]), int(row["bytes"])
        point = float(row["read_pj"]), float(row["write_pj"]), float(row["leak_mw"])
        found[row["cell"]][int(row["node"])][key] = point
    if cell not in found:
        raise UsageError(
            f"There is no table of SRAM cells '{cell}'.",
            where="sram_cell",
            fix=f"Use {' or '.join(sorted(found))}.",
        )
    return found[cell]


def _spread(energy: float) -> Range:
    return Range(energy / SPREAD, energy, energy * SPREAD)


def _mixed(before: float, after: float, part: float) -> float:
    """The number ``part`` of the way between two, by their logarithms."""
    return before ** (1 - part) * after**part


def _around(points: list[int], value: float) -> tuple[int, int]:
    """The points before and after a value between them."""
    after = next(point for point in points if point >= value)
    before = max(point for point in points if point <= value)
    return before, after


def _part(before: int, after: int, value: float) -> float:
    return log2(value / before) / log2(after / before) if after > before else 0.0
