"""float32 sums in integers against the machine's own adder."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.float_sum import (
    LARGEST,
    ONE_PATTERN,
    added,
    float_shares,
    reciprocal_shares,
    split,
)
from intaglio.ir.ops_softmax import FLOAT, RECIPROCAL, Softmax
from intaglio.ir.tensor import TensorType

PATTERNS = st.one_of(
    st.integers(0, 0x7EFFFFFF),
    st.integers(0x3F800000, 0x40000000),
    st.sampled_from([0, 1, 0x007FFFFF, 0x00800000, 0x33800000, 0x34000000, 0x3F800001]),
)


@given(PATTERNS, PATTERNS)
def test_sums_are_rounded_as_the_machine_rounds(left, right):
    (m, e), (n, f) = (split(np.asarray(each)) for each in (left, right))
    whole, exponent = added(m, e, n, f)
    expected = np.add(*(np.asarray(each, np.int32).view(np.float32) for each in (left, right)))
    assert np.ldexp(float(whole), int(exponent)) == float(expected)


@given(st.lists(st.integers(0, 0x7D000000), min_size=1, max_size=12), st.integers(1, 16))
def test_shares_are_quotients_of_the_sum_in_order(patterns, bits):
    patterns[0] = max(1, patterns[0])
    reals = np.array(patterns, np.int32).view(np.float32)
    total = np.float32(0)
    for real in reals:
        total = np.float32(total + real)
    found = float_shares(np.array([patterns]), 1, bits)[0]
    assert found.tolist() == np.rint(reals.astype(float) * 2.0**bits / float(total)).tolist()


def test_sums_must_stay_finite():
    op, x = Softmax(1, 8, FLOAT), TensorType(("n", 4))
    finite = np.array([0x7D000000, 0])
    assert op.sums_fit(x, finite)
    assert not op.sums_fit(x, np.array([LARGEST, 0]))
    assert not op.sums_fit(x, np.array([LARGEST + 1, 0]))
    assert not op.sums_fit(x, np.array([0, 5]))


@given(st.lists(st.integers(0, ONE_PATTERN), max_size=12), st.integers(1, 16))
def test_shares_by_a_reciprocal_are_those_of_the_machine(patterns, bits):
    reals = np.array([ONE_PATTERN, *patterns], np.int32).view(np.float32)
    total = np.float32(0)
    for real in reals:
        total = np.float32(total + real)
    products = reals * (np.float32(1) / (total * np.float32(2.0**-bits)))
    found = reciprocal_shares(np.array([[ONE_PATTERN, *patterns]]), 1, bits)[0]
    assert found.tolist() == np.floor(products.astype(float) + 0.5).tolist()


def test_a_reciprocal_needs_a_first_exponential_of_one():
    op, x = Softmax(1, 8, RECIPROCAL), TensorType(("n", 4))
    assert op.sums_fit(x, np.array([ONE_PATTERN, 0]))
    assert not op.sums_fit(x, np.array([ONE_PATTERN - 1, 0]))
    assert not op.sums_fit(x, np.array([ONE_PATTERN, ONE_PATTERN + 1]))
