"""Fixed point of 32 bits: cases by hand, and laws against exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import ShapeError
from intaglio.ir.fixed_point import ONE, divide_by_power, high_product, reciprocal
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops_softmax import MAX_BITS, NEWTON, Softmax
from intaglio.ir.tensor import Tensor, TensorType

int32 = st.integers(-(2**31) + 1, 2**31 - 1)


def wide(*values):
    return np.array(values, np.int64)


@given(x=int32, power=st.integers(0, 31))
def test_division_by_a_power_of_two_rounds_halves_away_from_zero(x, power):
    exact = Fraction(abs(x), 1 << power)
    rounded = int(exact + Fraction(1, 2)) * (1 if x >= 0 else -1)
    assert divide_by_power(wide(x), power).tolist() == [rounded]


@given(x=int32, y=int32)
def test_high_product_is_within_half_of_the_product(x, y):
    (got,) = high_product(wide(x), y).tolist()
    exact = Fraction(x * y, 1 << 31)
    assert abs(got - exact) <= Fraction(1, 2)
    if exact.denominator != 2:
        assert got == round(exact)


def test_high_product_rounds_halves_up():
    halves = wide(1 << 30, -(1 << 30), 3 << 30, -(3 << 30))
    assert high_product(halves, 1).tolist() == [1, 0, 2, -1]


@given(x=st.integers(1, 2**31 - 1))
def test_reciprocal_is_close(x):
    scale, power = reciprocal(wide(x))
    real = float(scale[0]) / 2.0**31 / 2.0 ** float(power[0])
    assert abs(real * (x / 2.0**19) - 1) < 2.0**-27


def test_softmax_by_newton_of_one_element_is_everything():
    table = np.array([ONE, 0], np.int64)
    shares = Softmax(1, 8, NEWTON).reference(np.array([[5], [7]], np.int8), table)
    assert shares.tolist() == [[256], [256]]


def test_a_first_exponential_below_half_is_refused_by_newton():
    x = TensorType(("n", 4), int_type(8))
    op = Softmax(1, 8, NEWTON)
    assert op.sums_fit(x, np.array([1 << 30, 0]))
    assert not op.sums_fit(x, np.array([(1 << 30) - 1, 0]))
    assert op.sums_fit(TensorType(("n", 4095), int_type(8)), np.array([ONE]))
    assert not op.sums_fit(TensorType(("n", 4096), int_type(8)), np.array([ONE]))


@pytest.mark.parametrize(("bits", "division"), [(0, 0), (MAX_BITS + 1, 0), (8, 3)])
def test_bits_and_divisions_that_do_not_exist_are_refused(bits, division):
    x = TensorType(("n", 4), int_type(8))
    with pytest.raises(ShapeError) as caught:
        Softmax(1, bits, division).infer(x, Tensor(np.array([1]), INT32).type)
    assert str(caught.value) == f"There are no {bits} bits by division {division}."
