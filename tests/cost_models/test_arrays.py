"""Passes of an array: cycles and utilisation of known arrays, and counts that can be seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.arrays import Hops, Shape, passes, strip_rows
from intaglio.cost_models.loops import Loops
from intaglio.cost_models.machine import Array
from intaglio.cost_models.range import Range
from intaglio.cost_models.tiling import touched
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


MAPPED = {
    # The same, mapped as in table III there: samples and rows of the output at a time, filters and
    # channels of a tile. Then weights, inputs and unfinished sums of the buffer.
    "conv1": (1, 7, 96, 1, 34_848 * 32, (7 * 35 + 31) * 227 * 4 * 3 * 3, 12_100 * 96 * 2),
    "conv2": (1, 27, 64, 2, 307_200 * 4, 31 * 31 * 4 * 96 * 8, 2916 * 256 * 23),
    "conv3": (4, 13, 64, 4, 884_736, 15 * 15 * 4 * 256 * 6, 676 * 384 * 63),
    "conv4": (4, 13, 64, 6, 663_552, 15 * 15 * 4 * 384 * 6, 676 * 384 * 31),
    "conv5": (4, 13, 64, 6, 442_368, 15 * 15 * 4 * 384 * 4, 676 * 256 * 31),
}


@pytest.mark.parametrize("name", MAPPED)
def test_what_the_buffer_of_eyeriss_moves_counted_by_hand(name):
    samples, tall, most, deep, *expected = MAPPED[name]
    groups, filters, channels, kernel, out, milliseconds, _ = ALEXNET[name]
    if name == "conv1":  # the chip does not part it
        groups, filters = 1, 96
    strides = 4 if name == "conv1" else 1
    size = (out - 1) * strides + kernel
    loops = Loops(4, filters, channels, out, out, kernel, kernel, size, size, 1, (strides, strides))
    strip = strip_rows(EYERISS, kernel, tall)
    assert strip == tall
    plane = 4 * int(touched(loops, 0, strip).sum()) * size
    square = (kernel, kernel), (out, out)
    visits = 4 // samples * -(-out // tall)
    sizes = (groups, filters, 4 * out * out, channels * kernel * kernel, *square, visits, ())
    found = passes(Shape(*sizes, (tall, most, deep), plane), EYERISS)
    assert [found.weights, found.inputs, found.sums] == expected
    assert round(found.cycles / 200e3, 1) == milliseconds


def test_with_the_weights_of_its_passes_eyeriss_takes_the_chips_order_of_time():
    # 4 weights a cycle come before a pass; milliseconds of the chip, table V
    chip = {"conv1": 16.5, "conv2": 39.2, "conv3": 21.8, "conv4": 16.0, "conv5": 10.0}
    found = {}
    for name, (*_, weights, _, _) in MAPPED.items():
        groups, filters, channels, kernel, out, *_ = ALEXNET[name]
        square = (kernel, kernel), (out, out)
        shape = Shape(groups, filters, 4 * out * out, channels * kernel * kernel, *square, 1, ())
        found[name] = (passes(shape, EYERISS).cycles + weights // 4) / 200e3
    assert {name: round(time, 1) for name, time in found.items()} == {
        "conv1": 15.3, "conv2": 34.7, "conv3": 20.3, "conv4": 15.2, "conv5": 10.1
    }  # fmt: skip
    assert sorted(found, key=found.get) == sorted(chip, key=chip.get)


@pytest.mark.parametrize(
    ("dataflow", "expected"),
    [
        # 240 weights three times, each for one multiplier. A sum passes 32 multipliers, leaves,
        # comes back, passes 8 and leaves: 31 + 1 + 1 + 7 + 1 hops of 60 sums
        ("weight_stationary", Hops(720, 2400, 60 * 41)),
        # a weight and an input for each product; sums leave
        ("output_stationary", Hops(2400, 2400, 60)),
    ],
)
def test_hops_are_what_reaches_multipliers(dataflow, expected):
    shape = Shape(1, 6, 10, 40, (1, 1), (10, 1), 3, ())
    assert passes(shape, Array(32, 4, dataflow, "none", GATED, 1)).hops == expected


def test_hops_of_rows_of_kernels():
    # 2 filters of 3 x 3, 4 rows of outputs; a multiplier for each row of the kernel and the output
    shape = Shape(2, 2, 16, 9, (3, 3), (4, 4), 1, (), plane=36, width=6)
    array = Array(3, 4, "row_stationary", "none", GATED, 1, held_weights=6, held_sums=2)
    # 18 weights for 4 multipliers each, 6 inputs for each of 12; 32 sums pass twice and leave
    assert passes(shape, array).hops == Hops(18 * 4, 12 * 6, 32 * 3) * 2


def test_hops_of_sums_through_sets_of_other_channels():
    # 4 channels, two sets of them below each other: sums come twice, past 6 multipliers each time
    shape = Shape(1, 2, 16, 36, (3, 3), (4, 4), 1, (), plane=36, width=6)
    array = Array(6, 4, "row_stationary", "none", GATED, 1, held_weights=6, held_sums=2)
    found = passes(shape, array)
    assert found.sums == 32
    # of 32 sums: 5 past others, out, back in, 5 past others and out
    assert found.hops == Hops(72 * 4, 4 * 12 * 6, 32 * (5 + 1 + 1 + 5 + 1))


def test_wide_sets_are_cut_and_lie_below_each_other():
    assert strip_rows(EYERISS, 5, 27) == 27
    assert strip_rows(EYERISS, 5, 100) == 28
    assert strip_rows(EYERISS, 11, 55) == strip_rows(EYERISS, 20, 55) == 14


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
    assert found.weights == found.hops.weights == 36
    assert found.hops.inputs == 36 * 10
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
