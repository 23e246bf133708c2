"""What an entropy code looks like for given elements: the choices of the encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..numeric import Array, NumericType
from .costs import Costs
from .entropy_head import MOST_DIFFERENCES, MOST_TABLES, MOST_TILE, Gaps, Head
from .entropy_symbols import Alphabet, gap_symbols, zeros_before
from .fit import classes, coded_bits, fit, stored_bits
from .rans import SYMBOLS

TILE_BITS = 8 * 40 << 10
"""Tiles are halved while they are at least that large: lanes and directory cost a thousandth."""
LEAST_TILE = 14
FOUR_LANES = 1 << 15
"""Elements from which on four lanes pay: they are three times as fast, and cost 12 bytes."""
LEAST_ZEROS = 0.15
"""Share of zeros below which their places are not looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A head, the elements ``(n,)`` it is for, and what it will take."""

    head: Head
    elements: Array
    alphabet: Alphabet
    bits: float
    index_bits: float = 0.0


def planned(codes: Array, dtype: NumericType) -> Plan:
    """The plan of least bits for the codes ``(rows, columns)`` of a constant."""
    return min(_plans(codes, dtype), key=lambda plan: plan.bits)


def _plans(codes: Array, dtype: NumericType) -> Iterator[Plan]:
    rows, columns = codes.shape
    differ = dtype.bits > 8 and codes.size <= MOST_DIFFERENCES
    for order in range(min(3 if differ else 1, columns)):
        alphabet = Alphabet(dtype, order)
        heads, residual = differences(codes, order, dtype.bits)
        elements = alphabet.from_codes(residual).reshape(-1)
        base = Head(_lanes(elements.size), MOST_TILE, 0, 0, (), heads=heads)
        yield from _by_tables(elements, base, alphabet, rows)
        zeros = np.count_nonzero(elements == np.uint64(alphabet.zero))
        if dtype.kind != "bipolar" and LEAST_ZEROS * elements.size <= zeros < elements.size:
            yield _by_gaps(elements, base, alphabet)


def _lanes(elements: int) -> int:
    return 4 if elements >= FOUR_LANES else 1


def differences(codes: Array, order: int, width: int) -> tuple[Array, Array]:
    """The first ``order`` columns, and the differences of the rest, modulo ``2^width``."""
    found = codes.copy()
    for done in range(1, order + 1):
        found[:, done:] -= found[:, done - 1 : -1].copy()
    found &= np.uint64((1 << width) - 1)
    return found[:, :order], found[:, order:]


def sums(heads: Array, residual: Array, width: int) -> Array:
    """The inverse of ``differences``."""
    found = np.concatenate([heads, residual], axis=1)
    for done in range(heads.shape[1], 0, -1):
        found[:, done - 1 :] = np.cumsum(found[:, done - 1 :], axis=1, dtype=np.uint64)
    return found & np.uint64((1 << width) - 1)


def _ranged(elements: Array) -> tuple[int, int, Array]:
    """The raw bits, the least element and the symbols of elements without a place for zero."""
    lo = int(elements.min()) if len(elements) else 0
    span = int(elements.max()) - lo if len(elements) else 0
    raw = max(span.bit_length() - 8, 0)
    return raw, lo, ((elements - np.uint64(lo)) >> np.uint64(raw)).astype(np.uint8)


def _by_tables(elements: Array, base: Head, alphabet: Alphabet, rows: int) -> Iterator[Plan]:
    """Every element a symbol; rows share one table, two, four or eight."""
    raw, lo, symbols = _ranged(elements)
    number = int(symbols.max()) + 1 if len(symbols) else 1
    counts = _row_counts(symbols, rows, number)
    for tables in (1, 2, 4, MOST_TABLES):
        if tables > 1 and (rows < 4 * tables or elements.size < 4096 * tables or number == 1):
            return
        chosen = classes(counts, tables) if tables > 1 else np.zeros(0, np.int64)
        parts = [counts[chosen == each] if tables > 1 else counts for each in range(tables)]
        totals = [part.sum(axis=0) for part in parts]
        if any(total.sum() == 0 for total in totals) and tables > 1:
            return
        found = tuple(_table(total) for total in totals)
        bits = sum(map(_total_bits, found, totals)) + raw * elements.size
        bits += (tables - 1).bit_length() * rows * (tables > 1) + _head_bits(base, alphabet)
        head = _tiled(base, bits, elements.size, raw, lo, found, None, chosen)
        yield Plan(head, elements, alphabet, bits + _tile_bits(head, elements.size))


def _by_gaps(elements: Array, base: Head, alphabet: Alphabet) -> Plan:
    """Zeros counted: the shift that makes gaps cheapest."""
    zero = np.uint64(alphabet.zero)
    present = elements != zero
    kept = elements[present]
    raw, lo, symbols = _ranged(kept - (kept > zero))
    values = np.bincount(symbols, minlength=1)
    table = _table(values)
    tile = _tile_of(len(elements), _total_bits(table, values) * 2)
    zeros = np.concatenate([zeros_before(part) for part in np.split(present, _cuts(present, tile))])
    choices = [_gap_table(zeros, shift) for shift in _shifts(zeros)]
    gaps, bits = min(choices, key=lambda choice: choice[1])
    index_bits = bits + zeros.size * gaps.shift
    total = index_bits + _total_bits(table, values) + raw * kept.size + _head_bits(base, alphabet)
    lanes = _lanes(2 * kept.size)
    head = Head(lanes, tile, raw, lo, (table,), gaps, heads=base.heads)
    tiles = -(-len(elements) >> tile)
    total += _tile_bits(head, len(elements)) + 2 * tile * tiles
    return Plan(head, elements, alphabet, total, index_bits)


def _shifts(zeros: Array) -> Iterator[int]:
    near = max(int(zeros.mean() + 1).bit_length() - 3, 0)
    return iter({max(near + each, 0) for each in (-2, -1, 0, 1)})


def _gap_table(zeros: Array, shift: int) -> tuple[Gaps, float]:
    escape = min(int(zeros.max() >> shift) + 1, SYMBOLS - 1)
    entries, _ = gap_symbols(zeros, shift, escape)
    counts = np.bincount(entries, minlength=escape + 1)
    table = fit(counts)
    return Gaps(shift, table), _total_bits(table, counts)


def _cuts(elements: Array, tile: int) -> range:
    return range(1 << tile, len(elements), 1 << tile)


def _table(counts: Array) -> Costs:
    """Costs of as many symbols as ``counts`` has."""
    return fit(counts) if counts.sum() else Costs(0, (0,) * len(counts), len(counts))


def _total_bits(table: Costs, counts: Array) -> float:
    return 8 + stored_bits(table) + coded_bits(table, counts)


def _row_counts(symbols: Array, rows: int, number: int) -> Array:
    places = np.repeat(np.arange(rows) * number, len(symbols) // rows) + symbols
    return np.bincount(places, minlength=rows * number).reshape(rows, number)


def _head_bits(base: Head, alphabet: Alphabet) -> int:
    return 24 + alphabet.dtype.bits * (1 + base.heads.size)


def _tile_of(count: int, bits: float) -> int:
    """The exponent of the tile's elements: tiles have about TILE_BITS, or there is one."""
    tile = MOST_TILE
    while tile > LEAST_TILE and bits / max(count, 1) * (1 << (tile - 1)) >= TILE_BITS:
        tile -= 1
    return tile


def _tile_bits(head: Head, count: int) -> float:
    tiles = -(-count >> head.tile)
    return tiles * (32 * head.lanes + 16) + 32 * (tiles - 1)


def _tiled(
    base: Head,
    bits: float,
    count: int,
    raw: int,
    lo: int,
    tables: tuple[Costs, ...],
    gaps: Gaps | None,
    chosen: Array,
) -> Head:
    tile = _tile_of(count, bits)
    return Head(base.lanes, tile, raw, lo, tables, gaps, chosen, base.heads)
