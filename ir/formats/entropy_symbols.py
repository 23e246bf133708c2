"""Elements to symbols and raw bits, tile by tile, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import NumericError
from ..numeric import Array, NumericType
from .bits import Reader, field, from_codes, joined
from .entropy_head import Gaps, Head
from .rans import Coder, Segment


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Elements are codes as unsigned numbers that ascend as the codes do.

    ``order`` says how many differences they are of: differences are signed, whatever dtype is.
    """

    dtype: NumericType
    order: int

    @property
    def zero(self) -> int:
        """The element that stands for 0; for bipolar, which has none, that of -1."""
        signed = self.order or self.dtype.kind in ("int", "ternary")
        return 1 << (self.dtype.bits - 1) if signed else 0

    def from_codes(self, codes: Array) -> Array:
        """Elements of codes, both uint64."""
        return codes ^ np.uint64(self.zero)

    def values(self, elements: Array) -> Array:
        """Differences as codes again, others as values of dtype; raises NumericError."""
        if self.dtype.bits < 64 and len(elements) and elements.max() >> np.uint64(self.dtype.bits):
            raise _not_in(self.dtype)
        codes = elements ^ np.uint64(self.zero)
        if self.order:
            return codes
        return from_codes(codes, self.dtype)


@dataclass(frozen=True, slots=True)
class Tiles:
    """The tiles of a constant whose rows have ``columns`` elements."""

    alphabet: Alphabet
    head: Head
    columns: int
    coder: Coder
    tables: Array
    """``(t, SYMBOLS)`` frequencies: of the gaps, if there are, and of the head's tables."""

    def bounds(self, count: int) -> list[tuple[int, int]]:
        """First and last of the elements of every tile of ``count`` elements."""
        step = 1 << self.head.tile
        return [(start, min(start + step, count)) for start in range(0, count, step)]

    def encode(self, elements: Array, first: int) -> bytes:
        """The tile of these elements, the first of which is number ``first`` of the constant's."""
        if self.head.gaps:
            return self._encode_gaps(elements, self.head.gaps)
        numbers = self._numbers(elements)
        parts = self._parts(first, first + len(elements))
        numbers = np.concatenate([numbers[part] for table in parts for part in table])
        coded = self._coded(_symbols(numbers, self.head), self._segments(parts))
        return coded + joined(field(numbers, self.head.raw))

    def decode(self, data: Array, first: int, out: Array) -> None:
        """Fill ``out`` with the values of a tile; raises NumericError."""
        if self.head.gaps:
            self._decode_gaps(data, self.head.gaps, out)
            return
        parts = self._parts(first, first + len(out))
        raw_bits = len(out) * self.head.raw
        symbols, raw = self._decoded(data, self._segments(parts), raw_bits)
        if len(self.head.tables) == 1:
            self._name(symbols, raw, out)
        else:
            values = np.empty_like(out)
            self._name(symbols, raw, values)
            at = 0
            for part in (part for table in parts for part in table):
                size = part.stop - part.start
                out[part] = values[at : at + size]
                at += size
        raw.close()

    def _encode_gaps(self, elements: Array, gaps: Gaps) -> bytes:
        present = elements != np.uint64(self.alphabet.zero)
        entries, low = gap_symbols(zeros_before(present), gaps.shift, gaps.escape)
        numbers = self._numbers(elements[present])
        symbols = np.concatenate([entries, _symbols(numbers, self.head)])
        coded = self._coded(symbols, [Segment(len(entries), 0), Segment(len(numbers), 1)])
        counts = np.array([len(entries), len(numbers)], np.uint64)
        raw = joined(field(low, gaps.shift), field(numbers, self.head.raw))
        return joined(field(counts, len(elements).bit_length())) + coded + raw

    def _decode_gaps(self, data: Array, gaps: Gaps, out: Array) -> None:
        count, width = len(out), len(out).bit_length()
        size = -(-2 * width // 8)
        reader = Reader(data[:size])
        entries, present = reader.number(width), reader.number(width)
        reader.close()
        if not present <= entries <= count:
            raise NumericError(f"A tile of {count} elements has {entries} gaps.")
        segments = [Segment(entries, 0), Segment(present, 1)]
        raw_bits = present * (gaps.shift + self.head.raw)
        symbols, raw = self._decoded(data[size:], segments, raw_bits)
        places = _places(symbols[:entries], raw, gaps, present, count)
        values = np.empty(present, out.dtype)
        self._name(symbols[entries:], raw, values)
        raw.close()
        out[:] = 0
        out[places] = values

    def _coded(self, symbols: Array, segments: list[Segment]) -> bytes:
        return self.coder.encode(symbols, segments, self.tables, self.head.lanes)

    def _decoded(self, data: Array, segments: list[Segment], raw_bits: int) -> tuple[Array, Reader]:
        """The symbols, and the raw bits that come after them."""
        coded = max(len(data) - -(-raw_bits // 8), 0)
        symbols = self.coder.decode(data[:coded], segments, self.tables, self.head.lanes)
        return symbols, Reader(data[coded:])

    def _numbers(self, elements: Array) -> Array:
        """Distances from the least element; where gaps say it, zero is left out of the count."""
        if self.head.gaps:
            elements = elements - (elements > np.uint64(self.alphabet.zero))
        return elements - np.uint64(self.head.lo)

    def _name(self, symbols: Array, raw: Reader, out: Array) -> None:
        """Fill ``out`` with the values of symbols and of the raw bits that belong to them."""
        if not self.head.raw:
            most = max(table.symbols for table in self.head.tables)
            names = self._values(np.arange(most, dtype=np.uint64))
            np.take(names, symbols, out=out, mode="clip")
            return
        low, width = raw.take(len(symbols), self.head.raw), np.uint64(self.head.raw)
        high = symbols.astype(np.uint64)
        if (high << width >> width != high).any():
            raise _not_in(self.alphabet.dtype)
        out[:] = self._values(high << width | low)

    def _values(self, numbers: Array) -> Array:
        elements = numbers + np.uint64(self.head.lo)
        if (elements < numbers).any():  # modulo 2^64
            raise _not_in(self.alphabet.dtype)
        if self.head.gaps:
            moved = elements + (elements >= np.uint64(self.alphabet.zero))
            if (moved < elements).any():
                raise _not_in(self.alphabet.dtype)
            elements = moved
        return self.alphabet.values(elements)

    def _parts(self, first: int, last: int) -> list[list[slice]]:
        """For every table, where in the tile the rows lie that take it."""
        if len(self.head.tables) == 1:
            return [[slice(0, last - first)]]
        parts: list[list[slice]] = [[] for _ in self.head.tables]
        for row in range(first // self.columns, -(-last // self.columns)):
            start, stop = row * self.columns - first, (row + 1) * self.columns - first
            table = int(self.head.classes[row])
            parts[table].append(slice(max(start, 0), min(stop, last - first)))
        return parts

    def _segments(self, parts: list[list[slice]]) -> list[Segment]:
        sizes = [sum(part.stop - part.start for part in table) for table in parts]
        return [Segment(size, table) for table, size in enumerate(sizes)]


def tiles_of(alphabet: Alphabet, head: Head, columns: int, coder: Coder) -> Tiles:
    """The tiles that a head describes; raises NumericError when a table has no symbol."""
    tables = (*((head.gaps.table,) if head.gaps else ()), *head.tables)
    frequencies = np.stack([each.frequencies() for each in tables])
    return Tiles(alphabet, head, columns, coder, frequencies)


def _not_in(dtype: NumericType) -> NumericError:
    return NumericError(f"An entropy-coded element is not in {dtype}.")


def _symbols(numbers: Array, head: Head) -> Array:
    return (numbers >> np.uint64(head.raw)).astype(np.uint8)


def zeros_before(present: Array) -> Array:
    """How many zeros lie before each element that is present."""
    return np.diff(np.flatnonzero(present), prepend=-1) - 1


def gap_symbols(zeros: Array, shift: int, escape: int) -> tuple[Array, Array]:
    """Counts of zeros as symbols and lowest bits."""
    high = zeros >> shift
    escapes = high // escape
    entries = np.full(len(zeros) + int(escapes.sum()), escape, np.uint8)
    entries[np.cumsum(escapes + 1) - 1] = high % escape
    return entries, zeros.astype(np.uint64)


def _places(entries: Array, raw: Reader, gaps: Gaps, present: int, count: int) -> Array:
    """Where the elements lie; raises NumericError when beyond the tile."""
    real = entries != gaps.escape
    if int(real.sum()) != present or (len(real) and not real[-1]):
        raise NumericError("The gaps of the entropy code do not end in an element.")
    zeros = entries.astype(np.int64) << gaps.shift
    zeros[real] |= raw.take(present, gaps.shift).astype(np.int64)
    if len(zeros) and zeros.max() > count:
        raise NumericError("A gap of the entropy code leads beyond its tile.")
    ends = np.cumsum(zeros + real)
    if len(ends) and ends[-1] > count:
        raise NumericError("The gaps of the entropy code lead beyond its tile.")
    return ends[real] - 1
