"""The compiled coder of symbols against its reference, byte for byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import NumericError
from intaglio.ir.formats.rans import SYMBOLS, TOTAL, Reference, Segment
from intaglio.kernels.rans import Compiled

LANES = st.sampled_from([1, 4])


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Frequencies of 1 to 256 symbols that sum to TOTAL."""
    weights = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=SYMBOLS))
    spread = TOTAL - len(weights)
    found = np.zeros(SYMBOLS, np.int64)
    found[: len(weights)] = 1 + np.array(weights) * spread // sum(weights)
    found[int(np.argmax(weights))] += TOTAL - found.sum()
    return found


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[Segment], np.ndarray]:
    given_tables = np.stack(draw(st.lists(tables(), min_size=1, max_size=3)))
    segments, symbols = [], []
    for table in draw(st.lists(st.integers(0, len(given_tables) - 1), max_size=4)):
        occurring = np.flatnonzero(given_tables[table])
        part = draw(st.lists(st.sampled_from(occurring.tolist()), max_size=70))
        segments.append(Segment(len(part), table))
        symbols += part
    return np.array(symbols, np.uint8), segments, given_tables


@given(streams(), LANES)
def test_symbols_come_back_and_every_byte_is_the_reference_coders(
    stream: tuple[np.ndarray, list[Segment], np.ndarray], lanes: int
) -> None:
    symbols, segments, frequencies = stream
    coded = Compiled().encode(symbols, segments, frequencies, lanes)
    assert coded == Reference().encode(symbols, segments, frequencies, lanes)
    data = np.frombuffer(coded, np.uint8)
    for coder in (Compiled(), Reference()):
        assert np.array_equal(coder.decode(data, segments, frequencies, lanes), symbols)


@given(streams(), LANES, st.binary(max_size=120))
def test_both_coders_refuse_the_same_bytes(
    stream: tuple[np.ndarray, list[Segment], np.ndarray], lanes: int, given_bytes: bytes
) -> None:
    _, segments, frequencies = stream
    data = np.frombuffer(given_bytes, np.uint8)
    results = []
    for coder in (Compiled(), Reference()):
        try:
            results.append(coder.decode(data, segments, frequencies, lanes).tolist())
        except NumericError as error:
            results.append(error.what)
    assert results[0] == results[1]


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_symbol_takes_as_many_bits_as_its_frequency_says(lanes: int) -> None:
    frequencies = np.zeros((1, SYMBOLS), np.int64)
    frequencies[0, :3] = TOTAL // 2, TOTAL // 4, TOTAL // 4
    symbols = np.random.default_rng(0).choice(3, 40_000, p=[0.5, 0.25, 0.25]).astype(np.uint8)
    coded = Compiled().encode(symbols, [Segment(len(symbols), 0)], frequencies, lanes)
    bits = int(np.where(symbols == 0, 1, 2).sum())
    assert 0 <= 8 * len(coded) - bits <= 32 * lanes + 16


def test_one_symbol_alone_takes_no_bits() -> None:
    frequencies = np.zeros((1, SYMBOLS), np.int64)
    frequencies[0, 7] = TOTAL
    symbols = np.full(1000, 7, np.uint8)
    assert len(Compiled().encode(symbols, [Segment(1000, 0)], frequencies, 1)) == 4
