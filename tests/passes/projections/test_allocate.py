import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.passes.projections.allocate import check_alive, global_magnitude, lamp, uniform
from intaglio.passes.projections.sparse import NonStructured

LENET = {"conv1": 500, "conv2": 25_000, "fc1": 400_000, "fc2": 5_000}
sizes = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@st.composite
def cases(draw):
    """Layers of whole numbers, how many weights they keep together and each at least."""
    shape = draw(sizes)
    weights = {
        f"layer{index}": np.array(
            draw(st.lists(st.integers(-4, 4), min_size=size, max_size=size)), np.float32
        ).reshape(1, size)
        for index, size in enumerate(shape)
    }
    least = draw(st.integers(1, 3))
    keep = draw(st.integers(sum(min(least, size) for size in shape), sum(shape)))
    return weights, keep, least


def ways(weights, keep, least):
    """All counts that are allowed."""
    spans = [range(min(least, each.size), each.size + 1) for each in weights.values()]
    return [counts for counts in product(*spans) if sum(counts) == keep]


@given(cases())
def test_global_counts_give_the_nearest_point_of_the_joint_set(case):
    weights, keep, least = case
    counts = global_magnitude(weights, keep, least)
    assert tuple(counts.values()) in ways(weights, keep, least)

    def distance(counts):
        points = (
            NonStructured(count).project(each)
            for count, each in zip(counts, weights.values(), strict=True)
        )
        return sum(
            ((each - point) ** 2).sum()
            for each, point in zip(weights.values(), points, strict=True)
        )

    best = min(distance(counts) for counts in ways(weights, keep, least))
    assert distance(counts.values()) == best


def test_earlier_layers_keep_theirs_among_equals():
    weights = {name: np.ones((2, 2), np.float32) for name in "abc"}
    assert global_magnitude(weights, 7) == {"a": 4, "b": 2, "c": 1}


@given(cases())
def test_every_rule_keeps_exactly_so_many_and_the_least_of_each(case):
    weights, keep, least = case
    allowed = ways(weights, keep, least)
    for counts in (
        uniform({name: each.size for name, each in weights.items()}, keep, least),
        lamp(weights, keep, least),
    ):
        assert tuple(counts.values()) in allowed


@pytest.mark.parametrize("keep", [4305, 43_050, 430_500, 100_001])
def test_uniform_counts_are_within_one_of_the_same_fraction(keep):
    counts = uniform(LENET, keep)
    assert sum(counts.values()) == keep
    for name, size in LENET.items():
        assert abs(counts[name] - size * keep / sum(LENET.values())) < 1


def test_what_rounding_leaves_goes_to_the_earlier_of_equal_ranks():
    assert uniform({"a": 60, "b": 25, "c": 15}, 10) == {"a": 6, "b": 3, "c": 1}


def test_uniform_counts_leave_no_layer_empty():
    assert uniform(LENET, 40) == {"conv1": 1, "conv2": 2, "fc1": 36, "fc2": 1}
    assert uniform(LENET, 40, least=10) == dict.fromkeys(LENET, 10)


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
    weights, keep, least = case
    first = next(iter(weights))
    scaled = weights | {first: weights[first] * np.float32(factor)}
    assert lamp(scaled, keep, least) == lamp(weights, keep, least)


@pytest.mark.parametrize(
    ("keep", "least", "text"),
    [
        (
            3,
            1,
            "3 weights are to be kept, but 4 layers with 1 or more each keep 4 to 430500. "
            "Choose 4 to 430500.",
        ),
        (
            430_501,
            600,
            "430501 weights are to be kept, but 4 layers with 600 or more each keep 2300 to "
            "430500. Choose 2300 to 430500.",
        ),
        (40, 0, "Each layer keeps at least 0 weights. Choose 1 or more: none goes."),
    ],
)
def test_counts_that_layers_cannot_have_are_refused(keep, least, text):
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        uniform(LENET, keep, least)


def test_a_layer_without_weights_is_refused_by_name():
    alive, dead = np.array([[0, 1]], np.float32), np.zeros((1, 2), np.float32)
    check_alive({"a": alive})
    text = (
        "Layer 'b': All weights are 0, so that nothing passes through the layer. Keep more of it."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        check_alive({"a": alive, "b": dead})
