from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.numeric import ROUNDINGS, round_real
from intaglio.passes.rescale import (
    Parameters,
    Rescale,
    floor_divide,
    round_divide,
    round_fraction,
    rounding_edges,
)

roundings = st.sampled_from(ROUNDINGS)
rationals = st.fractions(-50, 50, max_denominator=64)


def by_distance(value: Fraction, rounding: str) -> int:
    """The rounding from its words: which of the two neighbors."""
    below, above = value.numerator // value.denominator, -(-value.numerator // value.denominator)
    if rounding in ("floor", "ceil"):
        return below if rounding == "floor" else above
    if rounding in ("toward_zero", "away_from_zero"):
        return (min if rounding == "toward_zero" else max)((below, above), key=abs)
    if value - below != above - value:
        return min((below, above), key=lambda whole: abs(value - whole))
    if rounding == "half_even" or (rounding == "half_dpu" and value > 0):
        return below if below % 2 == 0 else above
    if rounding == "half_toward_zero":
        return min((below, above), key=abs)
    return above if rounding in ("half_up", "half_dpu") else max((below, above), key=abs)


@given(rationals, roundings)
def test_rationals_round_to_the_neighbor_that_the_mode_names(value, rounding):
    assert round_fraction(value, rounding) == by_distance(value, rounding)


@given(st.integers(-(2**40), 2**40), st.integers(0, 20), roundings)
def test_rationals_round_as_float64_does(numerator, shift, rounding):
    value = Fraction(numerator, 2**shift)
    assert round_fraction(value, rounding) == round_real(np.array([float(value)]), rounding)[0]


@given(st.integers(-9, 9), roundings)
def test_rounding_edge_is_the_least_real_that_reaches_the_code(code, rounding):
    (twice,), (reached,) = (each.tolist() for each in rounding_edges(np.array([code]), rounding))
    edge, little = Fraction(twice, 2), Fraction(1, 10**9)
    assert round_fraction(edge - little, rounding) < code
    assert round_fraction(edge + little, rounding) >= code
    assert (round_fraction(edge, rounding) >= code) == reached


wide = st.integers(-(2**90), 2**90)


@given(wide, st.lists(st.integers(-(2**31), 2**31), min_size=1), wide, st.integers(1, 2**80))
def test_floor_divide_is_exact_and_saturates(a, x, b, below):
    expected = [min(max((a * each + b) // below, -(2**62)), 2**62) for each in x]
    assert floor_divide(a, np.array(x), b, below).tolist() == expected


@given(
    wide,
    st.integers(1, 2**80),
    st.lists(st.integers(-(2**32), 2**32), min_size=1, max_size=5),
    st.integers(-(2**20), 2**20),
    st.sampled_from([-1, 0, 1]),
    roundings,
)
def test_division_is_exact_on_a_half_and_the_least_bit_beside_it(
    a, below, x, twice, beside, rounding
):
    b = (twice * below) // 2 - a * x[0] + beside
    exact = [Fraction(a * each + b, below) for each in x]
    if all(abs(value) < 2**60 for value in exact):
        expected = [by_distance(value, rounding) for value in exact]
        assert round_divide(a, np.array(x), b, below, rounding).tolist() == expected


@given(st.integers(-9, 9), st.integers(-99, 99), st.integers(1, 12), st.integers(0, 60), roundings)
def test_round_divide_is_exact_in_ties_however_long_the_integers(a, b, below, shift, rounding):
    x = np.arange(-40, 41)
    expected = [round_fraction(Fraction(a * each + b, below), rounding) for each in x.tolist()]
    scaled = (a << shift, x, b << shift, below << shift, rounding)
    assert round_divide(*scaled).tolist() == expected


definitions = st.builds(
    lambda scale, offset, rounding, lo, span, zero: Rescale(
        (scale,), (offset,), rounding, lo, lo + span, zero
    ),
    rationals,
    rationals,
    roundings,
    st.integers(-9, 9),
    st.integers(0, 9),
    st.integers(-9, 9),
)


@given(definitions, st.lists(st.integers(-99, 99), min_size=1))
def test_codes_are_the_definition_one_by_one(f, accumulators):
    exact = [f.scale[0] * acc + f.offset[0] for acc in accumulators]
    rounded = [by_distance(value, f.rounding) + f.zero_point for value in exact]
    expected = [min(max(code, f.lo), f.hi) for code in rounded]
    assert f.codes(accumulators, 0).tolist() == expected
    assert [f.code(acc, 0) for acc in accumulators] == expected


@given(definitions.filter(lambda f: f.scale[0] > 0), st.integers(-9, 9), st.integers(0, 9))
def test_steps_are_the_least_accumulators_that_reach_each_code(f, first, count):
    steps = f.steps(0, first, first + count).tolist()
    for code, step in enumerate(steps, first):
        reached, before = (f.scale[0] * acc + f.offset[0] for acc in (step, step - 1))
        assert by_distance(reached, f.rounding) + f.zero_point >= code
        assert by_distance(before, f.rounding) + f.zero_point < code


def test_each_channel_has_its_own_scale_and_offset():
    f = Rescale((Fraction(1), Fraction(-1, 2)), (Fraction(0), Fraction(7)), "floor", -100, 100)
    assert f.channels == 2
    assert f.codes([4], 0).tolist() == [4]
    assert f.codes([4], 1).tolist() == [5]


@pytest.mark.parametrize("channel", [0, 1])
def test_parameters_multiply_add_shift_and_clip(channel):
    columns = (np.array([3, -5]), np.array([7, 2**40]), np.array([1, 30]))
    parameters = Parameters(*columns, -20, 1000)
    m, r, s = (int(column[channel]) for column in columns)
    accumulators = np.array([-(2**31), -9, 0, 9, 2**31 - 1])
    expected = [min(max(acc * m + r >> s, -20), 1000) for acc in accumulators.tolist()]
    assert parameters.codes(accumulators, channel).tolist() == expected
    assert [parameters.code(acc, channel) for acc in accumulators.tolist()] == expected
