import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.interval import Interval
from intaglio.ir.numeric import int_type

bounds = st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**40)), min_size=1)


def interval(pairs):
    lo = np.array([low for low, _ in pairs])
    return Interval.of(lo, lo + [span for _, span in pairs])


@given(bounds)
def test_bounds_and_hull_span_every_channel(pairs):
    reach = interval(pairs)
    lo, hi = reach.bounds
    assert lo == min(low for low, _ in pairs)
    assert hi == max(low + span for low, span in pairs)
    assert reach.hull.bounds == (lo, hi)
    assert reach.hull.lo.shape == ()


@given(bounds)
def test_narrowest_holds_the_bounds(pairs):
    reach = interval(pairs)
    dtype = reach.narrowest
    assert dtype.lo <= reach.bounds[0] <= reach.bounds[1] <= dtype.hi


@given(bounds)
def test_union_with_one_interval_contains_both(pairs):
    reach = interval(pairs)
    other = Interval.of(-5, 7)
    both = reach.union(other)
    assert both.lo.tolist() == [min(-5, low) for low, _ in pairs]
    assert both.hi.tolist() == [max(7, low + span) for low, span in pairs]


def test_a_scalar_spreads_over_channels():
    reach = Interval.of(-1, 2).per_channel(3)
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([-1, -1, -1], [2, 2, 2])


def test_of_type_spans_the_type():
    assert Interval.of_type(int_type(4)).bounds == (-8, 7)


@given(st.sampled_from([(2, 3), (2, 3, 4), (2, 3, 4, 5)]), st.integers(0, 2))
def test_contains_looks_at_each_channel_along_axis_1(shape, channel):
    reach = Interval.of(np.array([0, 10, 20]), np.array([9, 19, 29]))
    values = np.zeros(shape, dtype=np.int64) + np.array([9, 10, 25]).reshape(
        1, 3, *(1,) * (len(shape) - 2)
    )
    assert reach.contains(values)
    wrong = values.copy()
    wrong[1, channel] = [10, 9, 19][channel]
    assert not reach.contains(wrong)
    assert reach.hull.contains(wrong)


def test_contains_of_a_scalar_interval_takes_any_rank():
    assert Interval.of(0, 3).contains(np.array([0, 3]))
    assert not Interval.of(0, 3).contains(np.array([0, 4]))
