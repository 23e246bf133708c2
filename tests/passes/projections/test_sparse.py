import re
from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import NumericError, UsageError
from intaglio.passes.projections.sparse import (
    Blocks,
    Channels,
    Columns,
    Filters,
    NOfM,
    NonStructured,
)


@st.composite
def weights(draw, most=12):
    """Small whole numbers, so that ties are many and sums exact."""
    shape = draw(
        st.one_of(st.tuples(*[st.integers(1, 3)] * 4), st.tuples(*[st.integers(1, 6)] * 2)).filter(
            lambda shape: prod(shape) <= most
        )
    )
    numbers = draw(st.lists(st.integers(-4, 4), min_size=prod(shape), max_size=prod(shape)))
    return np.array(numbers, np.float32).reshape(shape)


def nearest(weight, parts, keep):
    """Over every choice of ``keep`` parts (index arrays); the first, so lowest, of the nearest."""
    best, least = weight, np.inf
    for chosen in combinations(parts, keep):
        point = np.zeros(weight.size, np.float32)
        for part in chosen:
            point[part] = weight.reshape(-1)[part]
        distance = ((weight.reshape(-1) - point) ** 2).sum()
        if distance < least:
            best, least = point.reshape(weight.shape), distance
    return best


def places(weight):
    return np.arange(weight.size).reshape(weight.shape)


def blocks_of(weight, rows, columns):
    grid = places(weight).reshape(len(weight), -1)
    height, width = grid.shape
    return [
        grid[y : y + rows, x : x + columns].reshape(-1)
        for y in range(0, height, rows)
        for x in range(0, width, columns)
    ]


PARTS = {
    NonStructured: lambda weight: list(places(weight).reshape(-1, 1)),
    Filters: lambda weight: list(places(weight).reshape(len(weight), -1)),
    Channels: lambda weight: [
        places(weight)[:, channel].reshape(-1) for channel in range(weight.shape[1])
    ],
    Columns: lambda weight: list(places(weight).reshape(len(weight), -1).T),
}
kinds = st.sampled_from(list(PARTS))


@given(kinds, weights(), st.data())
def test_each_set_gives_its_nearest_point_and_keeps_the_lower_index_of_equals(kind, weight, data):
    parts = PARTS[kind](weight)
    keep = data.draw(st.integers(1, len(parts)))
    assert kind(keep).project(weight).tolist() == nearest(weight, parts, keep).tolist()


@given(weights(), st.data())
def test_blocks_give_the_nearest_point_with_smaller_blocks_at_the_edge(weight, data):
    rows = data.draw(st.integers(1, len(weight)))
    columns = data.draw(st.integers(1, weight[0].size))
    parts = blocks_of(weight, rows, columns)
    keep = data.draw(st.integers(1, len(parts)))
    found = Blocks(keep, rows, columns).project(weight)
    assert found.tolist() == nearest(weight, parts, keep).tolist()


@given(weights(), st.data())
def test_n_of_m_gives_the_nearest_point_in_every_group(weight, data):
    m = data.draw(st.integers(1, weight[0].size))
    n = data.draw(st.integers(1, m))
    found = NOfM(n, m).project(weight).reshape(-1)
    for group in blocks_of(weight, 1, m):
        part = weight.reshape(-1)[group]
        point = nearest(part, list(places(part).reshape(-1, 1)), min(n, part.size))
        assert found[group].tolist() == point.tolist()


def sets(weight):
    """One constraint of every kind that keeps about half."""
    columns = weight[0].size
    yield from (kind((len(parts(weight)) + 1) // 2) for kind, parts in PARTS.items())
    yield Blocks((len(blocks_of(weight, 1, 2 if columns > 1 else 1)) + 1) // 2, 1, min(2, columns))
    yield NOfM(1, min(2, columns))


@given(weights(most=40))
def test_a_point_of_the_set_stays_where_it_is(weight):
    for constraint in sets(weight):
        point = constraint.project(weight)
        assert point.dtype == np.float32
        assert constraint.project(point).tolist() == point.tolist()


@given(weights(most=40), st.sampled_from([-8.0, -1.0, 0.25]))
def test_a_scaled_weight_has_the_scaled_point(weight, factor):
    factor = np.float32(factor)
    for constraint in sets(weight):
        scaled = constraint.project(weight * factor)
        assert np.array_equal(scaled, constraint.project(weight) * factor)


def test_counts_are_exact_when_all_weights_are_equal():
    weight = np.ones((6, 4, 3, 3), np.float32)
    kept = [
        np.count_nonzero(constraint.project(weight))
        for constraint in (
            NonStructured(100),
            Filters(2),
            Channels(3),
            Columns(5),
            Blocks(7, 2, 4),
            NOfM(2, 4),
        )
    ]
    assert kept == [100, 2 * 36, 3 * 54, 5 * 6, 7 * 8, 108]


def test_the_lower_index_of_equals_is_kept():
    weight = np.array([[3, -3, 3, 3], [3, 3, 3, 3]], np.float32)
    assert NonStructured(2).project(weight).tolist() == [[3, -3, 0, 0], [0, 0, 0, 0]]
    assert Filters(1).project(weight).tolist() == [[3, -3, 3, 3], [0, 0, 0, 0]]
    assert Channels(1).project(weight).tolist() == [[3, 0, 0, 0], [3, 0, 0, 0]]
    assert Blocks(1, 1, 3).project(weight).tolist() == [[3, -3, 3, 0], [0, 0, 0, 0]]
    assert NOfM(1, 2).project(weight).tolist() == [[3, 0, 3, 0], [3, 0, 3, 0]]


def test_channels_are_slabs_of_the_kernel_and_columns_are_not():
    weight = np.zeros((2, 2, 1, 2), np.float32)
    weight[:, 0, 0, 0], weight[:, 1, 0, :] = 4, 3
    assert Channels(1).project(weight).reshape(2, 4).tolist() == [[0, 0, 3, 3]] * 2
    assert Columns(1).project(weight).reshape(2, 4).tolist() == [[4, 0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (NonStructured(0), "keep is 0, but the layer has 12 weights. Choose 1 to 12."),
        (NonStructured(13), "keep is 13, but the layer has 12 weights. Choose 1 to 12."),
        (Filters(3), "keep is 3, but the layer has 2 filters. Choose 1 to 2."),
        (Channels(4), "keep is 4, but the layer has 3 input channels. Choose 1 to 3."),
        (Columns(7), "keep is 7, but the layer has 6 columns. Choose 1 to 6."),
        (Blocks(1, 3, 1), "rows is 3, but the layer has 2 rows. Choose 1 to 2."),
        (Blocks(1, 1, 0), "columns is 0, but the layer has 6 columns. Choose 1 to 6."),
        (Blocks(5, 1, 4), "keep is 5, but the layer has 4 blocks of 1 by 4. Choose 1 to 4."),
        (NOfM(1, 7), "m is 7, but the layer has 6 columns. Choose 1 to 6."),
        (NOfM(5, 4), "n is 5 of every 4 weights. Choose 1 to 4."),
    ],
)  # fmt: skip
def test_counts_that_the_layer_does_not_have_are_refused(constraint, text):
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        constraint.project(np.ones((2, 3, 1, 2), np.float32))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_of_a_diverged_training_are_refused(wrong):
    weight = np.array([[1, wrong]], np.float32)
    text = "A weight to project is not finite. Training diverged: lower the learning rate or rho."
    with pytest.raises(NumericError, match=f"^{re.escape(text)}$"):
        Filters(1).project(weight)
