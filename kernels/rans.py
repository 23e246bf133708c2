"""The coder of ``ir/formats/rans.py``, compiled: equal to its reference byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..ir.formats.rans import LOW, PRECISION, SYMBOLS, Segment, damaged, first_state
from ..ir.numeric import Array
from .compiled import compiled, inlined

AHEAD = 8
"""Zeros after the last word, which decoding may reach before it looks whether to stop."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The coder for every use; 4 lanes are decoded at once."""

    def encode(
        self, symbols: Array, segments: Sequence[Segment], tables: Array, lanes: int
    ) -> bytes:
        """The bytes; the last symbol goes in first."""
        frequencies = tables.astype(np.uint64)
        starts = np.cumsum(frequencies, axis=1) - frequencies
        states = np.full(lanes, first_state(lanes), np.uint64)
        words = np.empty(len(symbols), np.uint16)
        count, end = np.zeros(1, np.int64), len(symbols)
        for segment in reversed(segments):
            part, table = symbols[end - segment.length : end], segment.table
            _encode(part, frequencies[table], starts[table], states, words, count)
            end -= segment.length
        stored = words[: count[0]][::-1].astype("<u2")
        return states.astype("<u4").tobytes() + stored.tobytes()

    def decode(self, data: Array, segments: Sequence[Segment], tables: Array, lanes: int) -> Array:
        """The symbols; raises NumericError."""
        head = 4 * lanes
        if len(data) < head or len(data) % 2:
            raise damaged()
        states = np.frombuffer(data[:head].tobytes(), "<u4").astype(np.uint64)
        words = np.zeros((len(data) - head) // 2 + AHEAD, np.uint16)
        words[:-AHEAD] = np.frombuffer(data[head:].tobytes(), "<u2", len(words) - AHEAD)
        symbols = np.empty(sum(segment.length for segment in segments), np.uint8)
        at, begin = np.zeros(1, np.int64), 0
        loop = _decode_4 if lanes == 4 else _decode
        for segment in segments:
            part = symbols[begin : begin + segment.length]
            loop(words, at, states, *_lookup(tables[segment.table].tobytes()), part)
            begin += segment.length
        if at[0] != len(words) - AHEAD or (states != first_state(lanes)).any():
            raise damaged()
        return symbols


@lru_cache(maxsize=64)  # Tiles share tables; a table takes 17 KiB.
def _lookup(table: bytes) -> tuple[Array, Array]:
    """The symbol of each slot, and of each symbol its frequency and start as one number."""
    frequencies = np.frombuffer(table, np.int64)
    owners = np.repeat(np.arange(SYMBOLS, dtype=np.uint8), frequencies)
    starts = np.cumsum(frequencies) - frequencies
    return owners, (frequencies << 16 | starts).astype(np.uint32)


@compiled
def _encode(
    symbols: Array, frequencies: Array, starts: Array, states: Array, words: Array, count: Array
) -> None:
    lanes, done = len(states), count[0]
    for index in range(len(symbols) - 1, -1, -1):
        lane = index % lanes
        frequency, state = frequencies[symbols[index]], states[lane]
        if state >= frequency << np.uint64(32 - PRECISION):
            words[done] = state & np.uint64(0xFFFF)
            done += 1
            state >>= np.uint64(16)
        scaled = (state // frequency) << np.uint64(PRECISION)
        states[lane] = scaled + state % frequency + starts[symbols[index]]
    count[0] = done


@compiled
def _decode(
    words: Array, at: Array, states: Array, owners: Array, pairs: Array, out: Array
) -> None:
    lanes, place, end = len(states), at[0], len(words) - AHEAD
    for index in range(len(out)):
        state = states[index % lanes]
        slot = state & np.uint64((1 << PRECISION) - 1)
        symbol = owners[slot]
        pair = np.uint64(pairs[symbol])
        state = (pair >> np.uint64(16)) * (state >> np.uint64(PRECISION)) + slot
        state -= pair & np.uint64(0xFFFF)
        if state < np.uint64(LOW) and place < end:
            state = state << np.uint64(16) | np.uint64(words[place])
            place += 1
        states[index % lanes] = state
        out[index] = symbol
    at[0] = place


@compiled
def _decode_4(
    words: Array, at: Array, states: Array, owners: Array, pairs: Array, out: Array
) -> None:
    place, whole = at[0], len(out) - len(out) % 4
    a, b, c, d = states[0], states[1], states[2], states[3]
    for index in range(0, whole, 4):
        if place > len(words) - 4:  # Hostile words: no more than 4 are read below.
            break
        a, place, out[index] = _step(words, place, a, owners, pairs)
        b, place, out[index + 1] = _step(words, place, b, owners, pairs)
        c, place, out[index + 2] = _step(words, place, c, owners, pairs)
        d, place, out[index + 3] = _step(words, place, d, owners, pairs)
    states[0], states[1], states[2], states[3] = a, b, c, d
    at[0] = place
    _decode(words, at, states, owners, pairs, out[whole:])


@inlined
def _step(words: Array, place: Any, state: Any, owners: Array, pairs: Array) -> Any:
    """The state after one symbol, the place of the next word, and the symbol; without a branch."""
    slot = state & np.uint64((1 << PRECISION) - 1)
    symbol = owners[slot]
    pair = np.uint64(pairs[symbol])
    state = (pair >> np.uint64(16)) * (state >> np.uint64(PRECISION)) + slot
    state -= pair & np.uint64(0xFFFF)
    low = state < np.uint64(LOW)
    state = state << np.uint64(16) | np.uint64(words[place]) if low else state
    return state, place + np.int64(low), symbol
