"""Energy of an access to an SRAM: a table of CACTI 7, interpolated."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from math import log2

from ..errors import UsageError
from .range import Range

SPREAD = 2.5
"""What CACTI's choices of banks and objectives, and other tools, differ by."""
SOURCE = (
    "CACTI 7 (HewlettPackard/cacti), RAM with one read and write port, 300 K; low and high 2.5 "
    "times less and more: its choice of banks and objective, and other tools, differ by so much"
)
Table = dict[tuple[int, int], tuple[float, float]]


def access_energy(bytes_: int, word_bits: int, cell: str, nanometres: int) -> tuple[Range, Range]:
    """[pJ] of reading and of writing a word; raises UsageError beyond the table.

    Between its points the logarithm of the energy is linear in those of bytes and word.
    """
    table = _table(cell, nanometres)
    words = sorted({word for word, _ in table})
    if words[0] <= word_bits <= words[-1]:
        w0, w1 = _around(words, word_bits)
        sizes = sorted(size for word, size in table if word == w0 and (w1, size) in table)
        if sizes[0] <= bytes_ <= sizes[-1]:
            return _between(table, (w0, w1), _around(sizes, bytes_), word_bits, bytes_)
    sizes = sorted({size for _, size in table})
    raise UsageError(
        f"An SRAM of {bytes_:,} bytes with words of {word_bits} bits is not in the table of "
        f"{cell} at {nanometres} nm: {sizes[0]:,} to {sizes[-1]:,} bytes, {words[0]} to "
        f"{words[-1]} bits.",
        fix="State its read and write energies.",
    )


def _between(
    table: Table, words: tuple[int, int], sizes: tuple[int, int], word_bits: int, bytes_: int
) -> tuple[Range, Range]:
    (w0, w1), (s0, s1) = words, sizes
    across, along = _part(w0, w1, word_bits), _part(s0, s1, bytes_)
    found = []
    for index in (0, 1):
        low, high = (
            (1 - along) * log2(table[word, s0][index]) + along * log2(table[word, s1][index])
            for word in (w0, w1)
        )
        energy = 2 ** ((1 - across) * low + across * high)
        found.append(Range(energy / SPREAD, energy, energy * SPREAD))
    return found[0], found[1]


@cache
def _table(cell: str, nanometres: int) -> Table:
    text = files(__package__).joinpath("data", "sram.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    found = {
        (int(row["word_bits"]), int(row["bytes"])): (float(row["read_pj"]), float(row["write_pj"]))
        for row in rows
        if row["cell"] == cell and int(row["nanometres"]) == nanometres
    }
    if not found:
        known = sorted({f"{row['cell']} at {row['nanometres']} nm" for row in rows})
        raise UsageError(
            f"There is no table of {cell} at {nanometres} nm.", fix=f"Use {', '.join(known)}."
        )
    return found


def _around(points: list[int], value: int) -> tuple[int, int]:
    """The points before and after a value between them."""
    after = next(point for point in points if point >= value)
    before = max(point for point in points if point <= value)
    return before, after


def _part(before: int, after: int, value: int) -> float:
    return log2(value / before) / log2(after / before) if after > before else 0.0
