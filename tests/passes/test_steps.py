from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.interval import Interval
from intaglio.passes.certify import find_parameters, prove, thresholds
from intaglio.passes.rescale import Rescale
from intaglio.passes.steps import Steps


def steps_of(f, lo, hi):
    """Every step of an exact rescaling over lo..hi, as an importer would find them."""
    levels = range(f.lo + 1, f.hi + 1)
    rows = [
        [next((a for a in range(lo, hi + 1) if f.code(a, c) >= k), hi + 1) for k in levels]
        for c in range(f.channels)
    ]
    return Steps(np.array(rows, dtype=np.int64), f.lo)


@st.composite
def rescalings(draw):
    channels = draw(st.integers(1, 3))
    ratios = st.fractions(Fraction(1, 40), 3, max_denominator=1000)
    scale = tuple(draw(ratios) for _ in range(channels))
    offset = tuple(draw(st.fractions(-5, 5, max_denominator=100)) for _ in range(channels))
    rounding = draw(st.sampled_from(("half_up", "half_even", "floor")))
    lo = draw(st.integers(-8, 0))
    return Rescale(scale, offset, rounding, lo, lo + draw(st.integers(0, 15)))


@given(rescalings())
def test_steps_are_the_function_that_they_were_taken_from(f):
    steps = steps_of(f, -60, 60)
    for channel in range(f.channels):
        everywhere = range(-60, 61)
        expected = [f.code(a, channel) for a in everywhere]
        assert steps.codes(everywhere, channel).tolist() == expected
        assert [steps.code(a, channel) for a in everywhere] == expected


@given(rescalings(), st.integers(-60, 0), st.integers(0, 60))
def test_integers_found_for_steps_climb_them_exactly(f, lo, hi):
    steps = steps_of(f, -60, 60)
    reach = Interval.of(lo, hi)
    found = find_parameters(steps, reach)
    if found is None:  # half_even has ties that no addend expresses
        assert f.rounding == "half_even"
        return
    assert prove(steps, found, reach).proved
    for channel in range(f.channels):
        for a in range(lo, hi + 1):
            assert found.code(a, channel) == f.code(a, channel)


def test_channels_of_one_slope_share_one_multiplier():
    f = Rescale(
        (Fraction(3, 64),) * 3, (Fraction(0), Fraction(1, 3), Fraction(-2)), "half_up", -8, 7
    )
    found = find_parameters(steps_of(f, -200, 200), Interval.of(-200, 200))
    assert found is not None
    assert len(set(found.multiplier.tolist())) == 1


def test_steps_that_no_line_climbs_stay_thresholds():
    steps = Steps(np.array([[0, 1, 50]]), 0)
    reach = Interval.of(-100, 100)
    assert find_parameters(steps, reach) is None
    found = thresholds(steps, reach)
    assert found is not None
    assert found[0].tolist() == [[0, 1, 50]]
    assert found[1] == 0


def test_steps_beyond_reach_are_dropped():
    steps = Steps(np.array([[-50, 0, 1, 70]]), 0)
    found = thresholds(steps, Interval.of(-10, 10))
    assert found is not None
    assert found[0].tolist() == [[0, 1]]
    assert found[1] == 1


@pytest.mark.parametrize("rows", [[[5, 5]], [[5, 5, 5, 9]]])
def test_a_step_may_climb_several_codes(rows):
    steps = Steps(np.array(rows), -1)
    assert steps.code(4, 0) == -1
    assert steps.code(5, 0) == -1 + rows[0].count(5)
