from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.ir.numeric import short_scale
from intaglio.passes.projections.levels import PowerOfTwoLevels, UniformLevels, binary
from intaglio.passes.projections.sparse import NonStructured
from intaglio.passes.projections.sparse_levels import SparseLevels

sizes = st.lists(st.integers(-24, 24), min_size=6, max_size=6)
weights = sizes.map(lambda row: np.array(row, np.float32).reshape(2, 3) / 8)
kinds = st.sampled_from([UniformLevels(1), UniformLevels(3), PowerOfTwoLevels(2), binary()])
scales = st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0]), min_size=1, max_size=2)


def squared_error(weight, point):
    return ((weight.astype(np.float64) - point) ** 2).sum()


def least_error(weight, keep, levels, scale):
    """Over every choice of at most ``keep`` weights, each on its nearest nonzero level."""
    steps = np.broadcast_to(np.reshape(scale, (-1, 1)), weight.shape).reshape(-1)
    flat = weight.reshape(-1).astype(np.float64)
    level = steps * levels.nonzero(np.abs(flat) / steps)
    apart, there = flat**2, (np.abs(flat) - level) ** 2
    choices = (
        list(chosen) for count in range(keep + 1) for chosen in combinations(range(6), count)
    )
    return min(apart.sum() + (there - apart)[chosen].sum() for chosen in choices)


@given(weights, st.integers(1, 6), kinds, scales)
def test_a_given_scale_gives_the_nearest_point(weight, keep, levels, scale):
    constraint = SparseLevels(keep, levels)
    scale = np.array(scale, np.float32)
    point = constraint.project(weight, scale)
    assert np.count_nonzero(point) <= keep
    assert squared_error(weight, point) == least_error(weight, keep, levels, scale)
    assert constraint.project(point, scale).tolist() == point.tolist()


@given(weights, st.integers(1, 6), kinds)
def test_a_point_of_the_set_stays_where_it_is(weight, keep, levels):
    constraint = SparseLevels(keep, levels)
    point = constraint.project(weight)
    assert constraint.project(point).tolist() == point.tolist()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("levels", [UniformLevels(3), PowerOfTwoLevels(3), binary()])
def test_the_joint_point_is_no_further_than_pruning_then_levels(levels, per_channel):
    levels = replace(levels, per_channel=per_channel)
    for seed in range(8):
        weight = np.random.default_rng(seed).normal(size=(6, 30)).astype(np.float32)
        weight *= np.exp(np.random.default_rng(seed).normal(size=(6, 1))).astype(np.float32)
        pruned = NonStructured(60).project(weight)
        found = SparseLevels(60, levels).project(weight)
        assert np.count_nonzero(found) <= 60
        apart = squared_error(weight, levels.project(pruned))
        assert squared_error(weight, found) <= apart * (1 + 1e-9)


@pytest.mark.parametrize("levels", [UniformLevels(1), UniformLevels(3)])
def test_the_scale_of_a_layer_is_near_the_best_of_a_dense_scan(levels):
    for seed in range(6):
        weight = np.random.default_rng(seed).normal(size=(2, 3)).astype(np.float32)
        constraint = SparseLevels(4, levels)
        scan = short_scale(np.geomspace(0.02, 4, 1000)).reshape(-1, 1)
        best = min(squared_error(weight, constraint.project(weight, each)) for each in scan)
        assert squared_error(weight, constraint.project(weight)) <= best * 1.02 + 1e-4


def test_weights_below_half_a_level_go_though_more_might_stay():
    weight = np.array([[4, -4, 1, 0]], np.float32)
    assert SparseLevels(4, UniformLevels(1)).project(weight).tolist() == [[4, -4, 0, 0]]


def test_gains_decide_between_channels_of_different_scale():
    weight = np.array([[2.0, 0.1], [2.5, 0.1]], np.float32)
    constraint = SparseLevels(1, UniformLevels(1, per_channel=True))
    point = constraint.project(weight, np.array([2, 1], np.float32))
    assert point.tolist() == [[2, 0], [0, 0]]
    point = constraint.project(weight, np.array([0.5, 2.5], np.float32))
    assert point.tolist() == [[0, 0], [2.5, 0]]


def test_more_weights_than_the_layer_has_are_refused():
    with pytest.raises(
        UsageError, match=r"^keep is 7, but the layer has 6 weights\. Choose 1 to 6\.$"
    ):
        SparseLevels(7, binary()).project(np.ones((2, 3), np.float32))
