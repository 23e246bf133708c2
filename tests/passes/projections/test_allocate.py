import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.passes.projections.allocate import global_magnitude, lamp
from intaglio.passes.projections.sparse import NonStructured

sizes = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@st.composite
def cases(draw):
    """Layers of whole numbers, how many weights they keep together."""
    shape = draw(sizes)
    weights = {
        f"layer{index}": np.array(
            draw(st.lists(st.integers(-4, 4), min_size=size, max_size=size)), np.float32
        ).reshape(1, size)
        for index, size in enumerate(shape)
    }
    return weights, draw(st.integers(len(shape), sum(shape)))


def ways(weights, keep):
    """All counts that are allowed."""
    spans = [range(1, each.size + 1) for each in weights.values()]
    return [counts for counts in product(*spans) if sum(counts) == keep]


@given(cases())
def test_global_counts_give_the_nearest_point_of_the_joint_set(case):
    weights, keep = case
    counts = global_magnitude(weights, keep)
    assert tuple(counts.values()) in ways(weights, keep)

    def distance(counts):
        points = (
            NonStructured(count).project(each)
            for count, each in zip(counts, weights.values(), strict=True)
        )
        return sum(
            ((each - point) ** 2).sum()
            for each, point in zip(weights.values(), points, strict=True)
        )

    best = min(distance(counts) for counts in ways(weights, keep))
    assert distance(counts.values()) == best


def test_earlier_layers_keep_theirs_among_equals():
    weights = {name: np.ones((2, 2), np.float32) for name in "abc"}
    assert global_magnitude(weights, 7) == {"a": 4, "b": 2, "c": 1}


@given(cases())
def test_lamp_keeps_exactly_so_many_and_one_of_each_at_least(case):
    weights, keep = case
    assert tuple(lamp(weights, keep).values()) in ways(weights, keep)


def test_lamp_compares_shares_of_what_is_left_of_each_layer():
    weights = {"large": [[8, 4, 4, 2]], "small": [[0.3, 0.3, 0.2, 0.1]]}
    weights = {name: np.array(each, np.float32) for name, each in weights.items()}
    assert global_magnitude(weights, 5) == {"large": 4, "small": 1}
    # Scores: 1, .2, .167, .04 of the large layer, 1, .5, .18, .043 of the small one.
    assert lamp(weights, 3) == {"large": 1, "small": 2}
    assert lamp(weights, 5) == {"large": 2, "small": 3}
    assert lamp(weights, 7) == {"large": 3, "small": 4}


def test_lamp_compares_with_the_greater_weights_only():
    weights = {"even": [[2, 2, 2, 2, 2]], "steep": [[5, 4, 1]]}
    weights = {name: np.array(each, np.float32) for name, each in weights.items()}
    # Scores: 1, .5, .33 .. and 1, .39, .02; relative to the whole layer .2, .2 .. and .6, .38.
    assert lamp(weights, 3) == {"even": 2, "steep": 1}


@given(cases(), st.sampled_from([0.5, 4.0]))
def test_lamp_does_not_see_the_scale_of_a_layer(case, factor):
    weights, keep = case
    first = next(iter(weights))
    scaled = weights | {first: weights[first] * np.float32(factor)}
    assert lamp(scaled, keep) == lamp(weights, keep)


@pytest.mark.parametrize("rule", [global_magnitude, lamp])
@pytest.mark.parametrize("keep", [1, 10])
def test_counts_that_layers_cannot_have_are_refused(rule, keep):
    weights = {"a": np.ones((2, 3), np.float32), "b": np.ones((1, 3), np.float32)}
    text = (
        f"{keep} weights are to be kept, but 2 layers with 1 or more each keep 2 to 9. "
        "Choose 2 to 9."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        rule(weights, keep)


@pytest.mark.parametrize("rule", [global_magnitude, lamp])
def test_no_layer_is_empty_however_small_its_weights(rule):
    weights = {"a": np.ones((2, 3), np.float32), "b": np.zeros((1, 3), np.float32)}
    assert rule(weights, 4) == {"a": 3, "b": 1}
