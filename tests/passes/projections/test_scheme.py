import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.passes.projections.grid import FiltersAndColumns
from intaglio.passes.projections.patterns import Patterns
from intaglio.passes.projections.scheme import SCHEMES, Shapes, constraint_for
from intaglio.passes.projections.sparse import (
    Blocks,
    Channels,
    Columns,
    Filters,
    NOfM,
    NonStructured,
)

CONV = (16, 8, 3, 3)


@pytest.mark.parametrize(
    ("scheme", "keep", "expected"),
    [
        ("non-structured", 0.25, NonStructured(288)),
        ("filter", 0.25, Filters(4)),
        ("channel", 0.25, Channels(2)),
        ("column", 0.25, Columns(18)),
        ("filter+column", 0.25, FiltersAndColumns(8, 36)),
        ("block", 0.25, Blocks(18, 4, 4)),
        ("n:m", 0.25, NOfM(1, 4)),
        ("pattern", 0.25, Patterns(4, 8, 72)),
        ("pattern", 4 / 9, Patterns(4, 8, 128)),
        ("pattern", 0.5, Patterns(5, 8, 115)),
        ("pattern", 1.0, Patterns(9, 1, 128)),
    ],
)
def test_each_scheme_keeps_the_fraction(scheme, keep, expected):
    assert constraint_for(scheme, CONV, keep) == expected


@pytest.mark.parametrize(
    ("scheme", "sizes", "expected"),
    [
        ("filter+column", Shapes(rows=0.5), FiltersAndColumns(8, 18)),
        ("filter+column", Shapes(columns=0.5), FiltersAndColumns(4, 36)),
        ("filter+column", Shapes(rows=0.25, columns=0.75), FiltersAndColumns(4, 54)),
        ("filter+column", Shapes(rows=0.0625), FiltersAndColumns(1, 72)),
        ("block", Shapes(block=(32, 5)), Blocks(2, 16, 5)),
        ("n:m", Shapes(group=16), NOfM(2, 16)),
        ("pattern", Shapes(entries=3, patterns=6), Patterns(3, 6, 48)),
    ],
)
def test_sizes_shape_what_is_kept(scheme, sizes, expected):
    keep = 0.125
    assert constraint_for(scheme, CONV, keep, sizes) == expected


shapes = st.one_of(st.tuples(*[st.integers(1, 6)] * 4), st.tuples(*[st.integers(1, 20)] * 2))


@given(st.sampled_from(SCHEMES), shapes, st.floats(1e-3, 1.0))
def test_every_scheme_fits_every_layer_and_leaves_none_empty(scheme, shape, keep):
    if scheme == "pattern" and len(shape) == 2:
        return
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    point = constraint_for(scheme, shape, keep).project(weight)
    assert point.shape == shape
    assert np.count_nonzero(point) >= 1
    if keep == 1.0:
        assert point.tolist() == weight.tolist()


def test_dense_layers_have_no_patterns():
    text = "Only kernels of convolutions have patterns. Use another scheme for dense layers."
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        constraint_for("pattern", (4, 4), 0.5)


@pytest.mark.parametrize(
    ("scheme", "keep", "sizes", "text"),
    [
        (
            "random",
            0.5,
            None,
            "There is no scheme 'random'. Use non-structured, filter, channel, column, "
            "filter+column, block, n:m, pattern.",
        ),
        ("filter", 0.0, None, "keep is 0.0. Choose a fraction above 0, to 1."),
        ("filter", 1.5, None, "keep is 1.5. Choose a fraction above 0, to 1."),
        (
            "filter+column",
            0.5,
            Shapes(rows=1.5),
            "rows is 1.5. Choose a fraction above 0, to 1.",
        ),
        (
            "filter+column",
            0.5,
            Shapes(columns=-1.0),
            "columns is -1.0. Choose a fraction above 0, to 1.",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(scheme, keep, sizes, text):
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        constraint_for(scheme, CONV, keep, sizes)
