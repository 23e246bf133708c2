import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.passes.projections.grid import FEW, FiltersAndColumns, climbed
from intaglio.passes.projections.sparse import Columns, Filters


def greatest(squares, rows, columns):
    """The most energy that any crossing keeps."""
    return max(
        squares[np.ix_(down, across)].sum()
        for down in combinations(range(squares.shape[0]), rows)
        for across in combinations(range(squares.shape[1]), columns)
    )


@st.composite
def cases(draw):
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    line = st.lists(st.integers(-4, 4), min_size=width, max_size=width)
    weight = draw(st.lists(line, min_size=height, max_size=height))
    keep = draw(st.integers(1, height)), draw(st.integers(1, width))
    return np.array(weight, np.float32), keep


@given(cases())
def test_a_small_matrix_keeps_the_greatest_energy_of_any_crossing(case):
    weight, keep = case
    point = FiltersAndColumns(*keep).project(weight)
    assert np.isin(point[point != 0], weight).all()
    assert np.count_nonzero(point.any(axis=1)) <= keep[0]
    assert np.count_nonzero(point.any(axis=0)) <= keep[1]
    assert (point**2).sum() == greatest(weight**2, *keep)
    assert FiltersAndColumns(*keep).project(point).tolist() == point.tolist()


def random_squares(rng, kind, shape):
    if kind == "heavy tails":
        return rng.normal(size=shape) ** 6
    lines = np.outer(rng.normal(size=shape[0]), rng.normal(size=shape[1]))
    return (rng.normal(size=shape) + (3 * lines if kind == "strong lines" else 0)) ** 2


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "strong lines"])
def test_climbing_alone_is_near_the_greatest_energy(kind):
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        squares = random_squares(rng, kind, rng.integers(2, 8, 2))
        keep = [int(rng.integers(1, size + 1)) for size in squares.shape]
        rows, columns = climbed(squares, *keep)
        assert [rows.sum(), columns.sum()] == keep
        shares.append(rows @ squares @ columns / greatest(squares, *keep))
    assert min(shares) > 0.95
    assert np.mean(shares) > 0.999
    assert max(shares) < 1 + 1e-9


def test_a_crossing_is_found_behind_heavier_rows_and_columns():
    """Every kept row and column has less energy than any other one."""
    squares = np.zeros((40, 100))
    squares[:10, :20], squares[10:, 20:] = 1.0, 0.4
    rows, columns = climbed(squares, 10, 20)
    assert rows.nonzero()[0].tolist() == list(range(10))
    assert columns.nonzero()[0].tolist() == list(range(20))


@pytest.mark.parametrize(
    ("squares", "keep", "energy"),
    [
        ([[0, 1, 0, 8, 2], [1, 3, 0, 3, 8], [2, 8, 3, 9, 5], [3, 2, 6, 5, 1]], (2, 2), 26),
        ([[0, 5, 7, 1], [7, 4, 1, 1], [1, 7, 2, 0], [6, 3, 5, 2]], (3, 2), 29),
        ([[5, 6, 4, 5, 9], [2, 4, 1, 9, 5], [3, 2, 8, 9, 2], [8, 9, 2, 0, 5]], (1, 2), 17),
        ([[8, 8, 4, 3], [0, 1, 2, 3], [4, 9, 4, 0], [0, 7, 6, 8]], (2, 2), 29),
        ([[3, 3, 9, 3], [7, 1, 4, 5], [6, 7, 5, 6], [1, 5, 4, 7]], (3, 3), 49),
        ([[7, 0, 0, 4], [8, 3, 1, 6], [9, 4, 0, 0], [6, 8, 9, 0], [7, 0, 0, 5]], (4, 2), 46),
    ],
)
def test_each_start_reaches_what_the_others_miss(squares, keep, energy):
    squares = np.array(squares, float)
    rows, columns = climbed(squares, *keep)
    assert rows @ squares @ columns == energy == greatest(squares, *keep)


@pytest.mark.parametrize("keep", [(20, 30), (3, 90), (38, 5)])
def test_a_large_matrix_is_no_further_than_one_side_after_the_other(keep):
    for seed in range(5):
        weight = np.random.default_rng(seed).normal(size=(40, 25, 2, 2)).astype(np.float32)
        rows, columns = Filters(keep[0]), Columns(keep[1])
        point = FiltersAndColumns(*keep).project(weight)
        for turn in (
            columns.project(rows.project(weight)),
            rows.project(columns.project(weight)),
        ):
            assert (point.astype(np.float64) ** 2).sum() >= (turn.astype(np.float64) ** 2).sum()
        assert FiltersAndColumns(*keep).project(point).tolist() == point.tolist()
        assert point.any(axis=(1, 2, 3)).sum() == keep[0]
        assert point.any(axis=0).sum() == keep[1]


@given(cases())
def test_climbing_is_no_further_than_one_side_after_the_other(case):
    weight, keep = case
    rows, columns = climbed(weight.astype(np.float64) ** 2, *keep)
    kept = (weight[rows][:, columns] ** 2).sum()
    filters, across = Filters(keep[0]), Columns(keep[1])
    assert kept >= (across.project(filters.project(weight)) ** 2).sum()
    assert kept >= (filters.project(across.project(weight)) ** 2).sum()


def test_few_columns_are_searched_whole_as_few_rows_are():
    squares = np.random.default_rng(3).integers(0, 9, (30, 4)).astype(np.float32)
    wide = FiltersAndColumns(2, 15).project(squares.T)
    assert FiltersAndColumns(15, 2).project(squares).tolist() == wide.T.tolist()
    assert FEW >= 6 * 30


@pytest.mark.parametrize(
    ("keep", "text"),
    [
        ((0, 1), "filters is 0, but the layer has 2 filters. Choose 1 to 2."),
        ((1, 7), "columns is 7, but the layer has 6 columns. Choose 1 to 6."),
    ],
)
def test_counts_that_the_layer_does_not_have_are_refused(keep, text):
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        FiltersAndColumns(*keep).project(np.ones((2, 3, 1, 2), np.float32))
