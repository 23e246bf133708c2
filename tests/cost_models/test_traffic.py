"""What moves in a tiling equals what the loops move one by one; the search finds the least."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.cost_models.loop_nest import counted
from intaglio.cost_models.loops import Loops
from intaglio.cost_models.masks import largest_tiles
from intaglio.cost_models.search import Room, Widths, search, sizes
from intaglio.cost_models.tiling import ORDERS, Tiling, Words, compulsory, tiles, touched, words


@st.composite
def layers(draw, most=6):
    def number(hi, lo=1):
        return draw(st.integers(lo, hi))

    p, q, r, s = number(most), number(most), number(3), number(3)
    stride, dilation = (number(3), number(3)), (number(2), number(2))
    pad = (number(2, 0), number(2, 0))
    height = max(1, (p - 1) * stride[0] + (r - 1) * dilation[0] + 1 - pad[0] - number(2, 0))
    width = max(1, (q - 1) * stride[1] + (s - 1) * dilation[1] + 1 - pad[1] - number(2, 0))
    groups = number(2)
    sizes = (number(3), number(most), number(most), p, q, r, s, height, width)
    return Loops(*sizes, groups, stride, dilation, pad)


@st.composite
def tilings(draw, loops):
    cut = [draw(st.integers(1, getattr(loops, name))) for name in "npqmc"]
    return Tiling(*cut, draw(st.sampled_from(ORDERS)))


@settings(max_examples=300)
@given(st.data())
def test_what_moves_is_what_the_loops_move(data):
    loops = data.draw(layers())
    tiling = data.draw(tilings(loops))
    assert words(loops, tiling) == counted(loops, tiling)


@settings(max_examples=100)
@given(st.data())
def test_no_tiling_moves_less_than_everything_once(data):
    loops = data.draw(layers())
    found, least = words(loops, data.draw(tilings(loops))), compulsory(loops)
    assert found.inputs >= least.inputs
    assert found.weight_loads >= least.weight_loads == 1
    assert found.outputs == least.outputs == loops.outputs
    assert found.sums_written >= least.sums_written == 0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_search_finds_the_least_of_all_tilings_that_fit(data):
    loops = data.draw(layers(most=4))
    widths = Widths(
        data.draw(st.sampled_from((0, 1, 8))), 4, data.draw(st.sampled_from((0, 8))), 20, 99
    )
    held = [data.draw(st.booleans()) for _ in range(3)]
    rooms = (Room(data.draw(st.integers(1, 3000)), *held), Room(data.draw(st.integers(1, 4000))))
    least = None
    for cut in product(*(range(1, getattr(loops, name) + 1) for name in "npqmc")):
        for order in ORDERS:
            tiling = Tiling(*cut, order)
            if fits(loops, tiling, widths, rooms):
                moved = widths.moved(counted(loops, tiling))
                least = moved if least is None else min(least, moved)
    found = search(loops, widths, rooms)
    assert (found.bits if found else None) == least
    if found:
        assert fits(loops, found.tiling, widths, rooms)
        assert found.words == counted(loops, found.tiling)
        assert found.bits == widths.moved(found.words)


def fits(loops, tiling, widths, rooms):
    held = tiles(loops, tiling)
    wide = widths.sums if tiling.c < loops.c else widths.outputs
    inputs, weights = held.inputs * widths.inputs, held.weights * widths.weights
    return all(
        room.inputs * inputs + room.weights * weights + room.outputs * held.outputs * wide
        <= room.bits
        for room in rooms
    )


def test_an_uneven_cut_reads_less_between_the_places_of_a_dilated_kernel():
    loops = Loops(1, 1, 4, 2, 4, 2, 3, 2, 8, dilation=(1, 2))
    found = search(loops, Widths(8, 4, 0, 20, 99), (Room(256),))
    # 3 columns read 0 to 6 and the last 3, 5, 7: 10, where two by two read 6 each
    assert (found.tiling.p, found.tiling.q) == (2, 3)
    assert found.words.inputs == 4 * 2 * 10


@st.composite
def counts(draw, loops):
    each = st.integers(0, loops.r * loops.s)
    size = loops.groups * loops.m * loops.c
    listed = draw(st.lists(each, min_size=size, max_size=size))
    return np.array(listed).reshape(loops.groups, loops.m, loops.c)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_skipped_weights_take_no_room_in_any_tile(data):
    loops = data.draw(layers(most=4))
    present, room = data.draw(counts(loops)), data.draw(st.integers(1, 2000))
    found = search(loops, Widths(8, 4, 8, 20, 99, largest_tiles(present)), (Room(room),))
    least = None
    for cut in product(*(sizes(getattr(loops, name)) for name in "npqmc")):
        for order in ORDERS:
            tiling = Tiling(*cut, order)
            if fits_present(loops, tiling, present, room):
                moved = Widths(8, 4, 8, 20, 99).moved(words(loops, tiling))
                least = moved if least is None else min(least, moved)
    if found:
        assert fits_present(loops, found.tiling, present, room)
    # cuts of rows and columns that are not even may read less
    assert least is None or found.bits <= least


def fits_present(loops, tiling, present, room):
    """Every tile of weights beside the greatest of inputs and outputs."""
    held = tiles(loops, tiling)
    wide = 20 if tiling.c < loops.c else 8
    left = room - 8 * held.inputs - wide * held.outputs
    return all(
        4 * present[group, m : m + tiling.m, c : c + tiling.c].sum() <= left
        for group in range(loops.groups)
        for m in range(0, loops.m, tiling.m)
        for c in range(0, loops.c, tiling.c)
    )


def test_the_fullest_tile_counts_not_the_mean():
    present = np.array([[[9, 0, 1], [2, 0, 0]], [[0, 3, 3], [0, 3, 4]]])
    # rows: 3, 2, 1 channels; columns: 2, 1 filters
    assert largest_tiles(present) == ((13, 10), (11, 9), (11, 9))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_more_memory_never_moves_more(data):
    loops = data.draw(layers())
    capacity = data.draw(st.integers(1, 5000))
    widths = Widths(8, 8, 8, 32, 8 * loops.weights)
    small, large = (
        search(loops, widths, (Room(capacity),)),
        search(loops, widths, (Room(2 * capacity),)),
    )
    assert small is None or large.bits <= small.bits


def test_a_stride_beyond_the_kernel_leaves_rows_unread():
    loops = Loops(1, 8, 4, 28, 28, 1, 1, 56, 56, stride=(2, 2))
    assert touched(loops, 0, 28).tolist() == [28]
    assert compulsory(loops).inputs == 4 * 28 * 28


def test_the_border_is_not_read():
    loops = Loops(1, 1, 1, 4, 4, 3, 3, 4, 4, pad=(1, 1))
    assert touched(loops, 0, 2).tolist() == [3, 3]
    assert touched(loops, 0, 1).tolist() == [2, 3, 3, 2]


def test_sums_wait_for_the_other_channels_outside():
    loops = Loops(1, 2, 4, 1, 1, 1, 1, 1, 1)
    assert words(loops, Tiling(1, 1, 1, 1, 2, "scm")) == Words(4, 1, 2, 2)
    assert words(loops, Tiling(1, 1, 1, 1, 2, "smc")) == Words(8, 1, 2, 0)


def test_sizes_are_the_smallest_with_their_number_of_trips():
    assert sizes(10) == [10, 5, 4, 3, 2, 1]


ALEXNET = {
    "conv3": (Loops(4, 192, 256, 13, 13, 3, 3, 15, 15), 2_526_720),
    "conv4": (Loops(4, 192, 192, 13, 13, 3, 3, 15, 15), 1_959_936),
    "conv5": (Loops(4, 128, 192, 13, 13, 3, 3, 15, 15), 1_306_624),
}


@pytest.mark.parametrize("name", ALEXNET)
def test_alexnet_moves_the_words_that_nn_dataflow_and_timeloop_find(name):
    """Both halves, 4 samples, words of 16 bits, 108 KiB: nn_dataflow 2.1, Sparseloop table 7."""
    loops, expected = ALEXNET[name]
    found = search(loops, Widths(16, 16, 16, 16, 16 * loops.weights), (Room(54 * 1024 * 16),))
    assert 2 * found.words.total(loops) == expected


RESNET18 = {
    "conv1": (
        Loops(1, 64, 3, 112, 112, 7, 7, 224, 224, 1, (2, 2), (1, 1), (3, 3)),
        (9408, 150_528, 802_816),
    ),
    "layer1": (Loops(1, 64, 64, 56, 56, 3, 3, 56, 56, pad=(1, 1)), (36_864, 200_704, 200_704)),
    "layer3": (Loops(1, 256, 256, 14, 14, 3, 3, 14, 14, pad=(1, 1)), (589_824, 50_176, 50_176)),
    "downsample": (Loops(1, 128, 64, 28, 28, 1, 1, 56, 56, 1, (2, 2)), (8192, 50_176, 100_352)),
}


@pytest.mark.parametrize("name", RESNET18)
def test_resnet18_moves_the_words_that_zigzag_finds(name):
    """One sample, 8 bits, 2 MiB: zigzag-dse 3.9.1, tpu_like.yaml."""
    loops, expected = RESNET18[name]
    found = search(loops, Widths(8, 8, 8, 32, 8 * loops.weights), (Room(8 << 21),))
    moved = (found.words.weight_loads * loops.weights, found.words.inputs, found.words.outputs)
    assert moved == expected
    assert found.words.sums_written == 0
