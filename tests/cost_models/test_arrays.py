"""Passes of an array: cycles and utilisation of known arrays, and counts that can be seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.arrays import Shape, passes
from intaglio.cost_models.machine import Array
from intaglio.cost_models.range import Range

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
    shape = Shape(groups, filters, 4 * out * out, channels * kernel * kernel, *square, 1)
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
    shape = Shape(1, 6, 10, 40, (1, 1), (10, 1), 3)
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
    shape = Shape(groups, m, out[0] * out[1], channels * kernel[0] * kernel[1], kernel, out, 1)
    array = Array(sizes[3], 7, dataflow, "none", GATED, 1, held_weights=12, held_sums=4)
    found = passes(shape, array)
    macs = groups * m * shape.places * shape.reduction
    assert macs <= found.cycles * array.rows * array.columns
    assert 0 < found.utilisation <= 1
    assert found.weights >= groups * m * shape.reduction
    assert found.sums >= 0
