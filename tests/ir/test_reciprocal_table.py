"""The division of TFLite's 16-bit softmax: its table by floats, and shares at the ends."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.numeric import int_type
from intaglio.ir.ops_softmax import TABLE, Softmax
from intaglio.ir.reciprocal_table import LARGEST, RECIPROCALS, table_shares
from intaglio.ir.tensor import TensorType


def away(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def test_the_table_is_that_of_the_source_in_float64():
    """LUTPopulateInt16 of 1 / (1 + x) from 0 to 1, to 32768 steps."""
    place = np.arange(512) / 512
    here, middle, after = (32768 / (1 + x) for x in (place, place + 1 / 1024, place + 1 / 512))
    error = away((after + away(here)) / 2) - away(middle)
    wanted = np.append(np.minimum(away(here) - away(error / 2), LARGEST), 16384)
    assert RECIPROCALS.tolist() == wanted.tolist()


@given(
    powers=st.lists(st.integers(0, LARGEST), min_size=1, max_size=20),
    first=st.integers(1 << 14, LARGEST),
)
def test_shares_are_within_four_of_the_quotient(powers, first):
    given_ = np.array([[first, *powers]], np.int64)
    total = int(given_.sum())
    for power, share in zip(given_[0].tolist(), table_shares(given_, 1)[0].tolist(), strict=True):
        assert 0 <= share <= LARGEST
        assert abs(share - min(Fraction(power << 15, total), LARGEST)) <= 4


def test_one_element_is_everything():
    shares = Softmax(1, 15, TABLE).reference(np.array([[5], [7]], np.int16), np.array([LARGEST, 0]))
    assert shares.tolist() == [[LARGEST], [LARGEST]]


def test_sums_are_those_that_the_table_takes():
    op = Softmax(1, 15, TABLE)
    x = TensorType(("n", 4), int_type(16))
    assert op.sums_fit(x, np.array([1 << 14, 0]))
    assert not op.sums_fit(x, np.array([(1 << 14) - 1, 0]))
    assert not op.sums_fit(x, np.array([1 << 15]))
    assert op.sums_fit(TensorType(("n", 65538), int_type(16)), np.array([LARGEST]))
    assert not op.sums_fit(TensorType(("n", 65539), int_type(16)), np.array([LARGEST]))
