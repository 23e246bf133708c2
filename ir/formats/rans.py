"""Asymmetric numeral systems: symbols to bytes, in as many bits as their frequencies say.

A lane is a number ``x`` in ``[LOW, LOW * 2^16)``. To decode, ``slot = x mod 2^PRECISION`` lies in
the range of one symbol, and ``x = f * (x >> PRECISION) + slot - start``; below LOW it takes in 16
bits, if there are any left. Several lanes begin at LOW, so that they agree on whose bits come next;
a lane alone begins at 0 and saves them.
Symbols of a segment are dealt to the lanes in turn, beginning with the first.
Source: Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013, the variant with ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ...errors import NumericError
from ..numeric import Array

PRECISION = 14
TOTAL = 1 << PRECISION
"""Sum of the frequencies of a table's symbols."""
LOW = 1 << 16
SYMBOLS = 256


class Segment(NamedTuple):
    """``length`` symbols in a row whose frequencies are those of table ``table``."""

    length: int
    table: int


class Coder(Protocol):
    """How symbols become bytes; ``tables`` (t, SYMBOLS) holds frequencies that sum to TOTAL."""

    def encode(
        self, symbols: Array, segments: Sequence[Segment], tables: Array, lanes: int
    ) -> bytes:
        """The states of the lanes, 4 bytes each, then 16-bit words. No symbol has frequency 0."""

    def decode(self, data: Array, segments: Sequence[Segment], tables: Array, lanes: int) -> Array:
        """The symbols, uint8, that took all bytes of ``data``; raises NumericError."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Symbol after symbol, in Python."""

    def encode(
        self, symbols: Array, segments: Sequence[Segment], tables: Array, lanes: int
    ) -> bytes:
        """The bytes; the last symbol goes in first."""
        starts = np.cumsum(tables, axis=1) - tables
        states, words, end = [first_state(lanes)] * lanes, [], len(symbols)
        for count, table in reversed(segments):
            for index in reversed(range(count)):
                symbol, lane = int(symbols[end - count + index]), index % lanes
                frequency, start = int(tables[table, symbol]), int(starts[table, symbol])
                if states[lane] >= frequency << (32 - PRECISION):
                    words.append(states[lane] & 0xFFFF)
                    states[lane] >>= 16
                quotient, rest = divmod(states[lane], frequency)
                states[lane] = (quotient << PRECISION) + start + rest
            end -= count
        return np.array(states, "<u4").tobytes() + np.array(words[::-1], "<u2").tobytes()

    def decode(self, data: Array, segments: Sequence[Segment], tables: Array, lanes: int) -> Array:
        """The symbols; raises NumericError."""
        starts = np.cumsum(tables, axis=1) - tables
        raw, at = data.tobytes(), 4 * lanes
        states = [int.from_bytes(raw[4 * lane : 4 * lane + 4], "little") for lane in range(lanes)]
        symbols = []
        for count, table in segments:
            owners = np.repeat(np.arange(SYMBOLS), tables[table])
            for index in range(count):
                lane = index % lanes
                slot = states[lane] % TOTAL
                symbol = int(owners[slot])
                frequency, start = int(tables[table, symbol]), int(starts[table, symbol])
                states[lane] = frequency * (states[lane] >> PRECISION) + slot - start
                if states[lane] < LOW and at < len(raw):
                    states[lane] = states[lane] << 16 | int.from_bytes(raw[at : at + 2], "little")
                    at += 2
                symbols.append(symbol)
        if at != len(raw) or any(state != first_state(lanes) for state in states):
            raise damaged()
        return np.array(symbols, np.uint8)


def first_state(lanes: int) -> int:
    """Where encoding begins and decoding ends."""
    return LOW if lanes > 1 else 0


def damaged() -> NumericError:
    """The error for bytes that no encoder writes."""
    return NumericError("The entropy-coded symbols do not end where they began.")


REFERENCE = Reference()
