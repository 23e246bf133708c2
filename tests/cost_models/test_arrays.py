"""Passes of an array: cycles and utilisation of known arrays, and counts that can be seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.arrays import Shape, passes
from intaglio.cost_models.machine import Array
from intaglio.cost_models.range import Range
from intaglio.errors import UsageError

GATED = Range.exact(0)
EYERISS = Array(12, 14, "row_stationary", "none", GATED, 1, held_weights=192, held_sums=16)
ALEXNET = {
    # groups, filters, channels, kernel, output, then milliseconds of nn_dataflow 2.1 and active
    # multipliers of the chip (Chen, Krishna, Emer, Sze, JSSC 2017, table V), 4 samples; for conv1
    # it states 154, without the column that the last of four turns leaves idle
    "conv1": (2, 48, 3, 11, 55, 13.9, 151),
    "conv2": (2, 128, 48, 5, 27, 33.2, 135),
    "conv3": (1, 384, 256, 3, 13, 19.2, 156),
    "conv4": (2, 192, 192, 3, 13, 14.4, 156),
    "conv5": (2, 128, 192, 3, 13, 9.6, 156),
}


@pytest.mark.parametrize("name", ALEXNET)
def test_eyeriss_takes_the_time_that_nn_dataflow_finds_with_the_multipliers_of_the_chip(name):
    groups, filters, channels, kernel, out, milliseconds, active = ALEXNET[name]
    square = (kernel, kernel), (out, out)
    shape = Shape(groups, filters, 4 * out * out, channels * kernel * kernel, *square, 1, ())
    found = passes(shape, EYERISS)
    assert round(found.cycles / 200e3, 1) == milliseconds
    assert round(found.utilisation * 168) == active


@pytest.mark.parametrize(
    ("dataflow", "expected"),
    [
        # 40 products in 2 passes of 32 rows, 6 filters in 2 passes of 4 columns, 10 places
        ("weight_stationary", (240 * 3, 10 * 40 * 2, 60, 2 * 2 * 10)),
        # 10 places in 1 pass
        ("output_stationary", (240, 10 * 40 * 2, 0, 2 * 40)),
    ],
)
def test_a_layer_is_done_in_whole_passes(dataflow, expected):
    shape = Shape(1, 6, 10, 40, (1, 1), (10, 1), 3, ())
    found = passes(shape, Array(32, 4, dataflow, "none", GATED, 1))
    assert (found.weights, found.inputs, found.sums, found.cycles) == expected
    assert found.utilisation == 6 * 10 * 40 / (found.cycles * 32 * 4)


@given(
    st.sampled_from(("weight_stationary", "output_stationary", "row_stationary")),
    st.tuples(*[st.integers(1, 40)] * 4),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.tuples(*[st.integers(1, 20)] * 2),
)
def test_no_array_does_more_than_one_product_a_cycle_and_multiplier(dataflow, sizes, kernel, out):
    groups, m, channels, _ = sizes
    shape = Shape(groups, m, out[0] * out[1], channels * kernel[0] * kernel[1], kernel, out, 1, ())
    array = Array(sizes[3], 7, dataflow, "none", GATED, 1, held_weights=12, held_sums=4)
    found = passes(shape, array)
    macs = groups * m * shape.places * shape.reduction
    assert macs <= found.cycles * array.rows * array.columns
    assert 0 < found.utilisation <= 1
    assert found.weights >= groups * m * shape.reduction
    assert found.sums >= 0


def skipping(dataflow, present, groups=1):
    shape = Shape(groups, len(present) // groups, 10, 40, (1, 1), (10, 1), 1, present)
    return passes(shape, Array(8, 4, dataflow, "skip", GATED, 1))


def test_columns_wait_for_the_filter_with_most_weights():
    # filters in turns of 4: the slowest have ceil(17 / 8) = 3 and ceil(9 / 8) = 2 rows of weights
    found = skipping("weight_stationary", (17, 0, 8, 1, 9, 1))
    assert found.cycles == (3 + 2) * 10
    assert found.macs == found.inputs == 36 * 10
    assert found.weights == 36
    assert found.imbalance == (3 + 2) * 4 / (3 + 0 + 1 + 1 + 2 + 1)
    # one weight at a time, 10 places in 2 turns of 8 rows
    assert skipping("output_stationary", (17, 0, 8, 1, 9, 1)).cycles == (17 + 9) * 2


def test_each_group_has_turns_of_its_own():
    assert skipping("weight_stationary", (17, 0, 8, 1, 9, 1), groups=2).cycles == (3 + 2) * 10


@given(st.sampled_from(("weight_stationary", "output_stationary")), st.integers(1, 9))
def test_nothing_is_skipped_where_nothing_is_zero(dataflow, filters):
    shape = Shape(1, filters, 10, 40, (1, 1), (10, 1), 1, (40,) * filters)
    dense = passes(shape, Array(8, 4, dataflow, "none", GATED, 1))
    assert skipping(dataflow, (40,) * filters).cycles == dense.cycles
    assert skipping(dataflow, (40,) * filters).macs == dense.macs


def test_rows_of_kernels_are_not_skipped():
    with pytest.raises(UsageError) as error:
        skipping("row_stationary", (40,))
    assert str(error.value) == (
        "A row-stationary array works on whole rows of kernels and cannot skip zeros. Choose "
        "zero_skip 'gate', or another dataflow."
    )
