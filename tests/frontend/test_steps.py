"""The steps of a rising function, found by bisection on it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intaglio.frontend.steps import steps_of


@given(st.data())
def test_steps_rebuild_the_function(data):
    channels = data.draw(st.integers(1, 4))
    ends = st.integers(-60, 60)
    spans = [sorted((data.draw(ends), data.draw(ends))) for _ in range(channels)]
    lo, hi = np.array(spans).T
    first = data.draw(st.integers(-8, 8))
    last = first + data.draw(st.integers(0, 12))
    scale = np.array([[data.draw(st.floats(0, 3))] for _ in range(channels)], np.float32)

    def f(accumulators):
        inside = (accumulators >= lo[:, None]) & (accumulators <= hi[:, None])
        assert inside.all(), "the function is asked outside of its interval"
        return np.clip(np.rint(accumulators.astype(np.float32) * scale), first, last)

    steps = steps_of(f, channels, lo, hi, first, last)
    assert steps.shape == (channels, last - first)
    for channel in range(channels):
        for accumulator in range(lo[channel], hi[channel] + 1):
            code = first + np.sum(accumulator >= steps[channel])
            here = np.clip(accumulator, lo, hi)[:, None]
            assert code == f(here)[channel, 0]
        assert (steps[channel] >= lo[channel]).all()
        assert (steps[channel] <= hi[channel] + 1).all()


def test_a_code_that_is_not_reached_has_the_step_after_the_last():
    steps = steps_of(lambda a: a // 10, 1, 0, 25, 0, 5)
    assert steps.tolist() == [[10, 20, 26, 26, 26]]


def test_a_function_of_wide_accumulators_is_bisected():
    steps = steps_of(lambda a: a >> 30, 2, -(1 << 31), (1 << 31) - 1, -2, 1)
    assert steps.tolist() == [[-(1 << 30), 0, 1 << 30]] * 2
