"""Bursts and rows of DRAM that tiles touch, beside the addresses of every element."""

from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.cost_models.bursts import in_rows, tiled_blocks
from intaglio.cost_models.cost import INDICES, SUMS, WEIGHTS, Transfer
from intaglio.cost_models.loops import Loops
from intaglio.cost_models.machine import Memory
from intaglio.cost_models.range import Range
from intaglio.cost_models.rows import Blocks, Pages, input_blocks, output_blocks, run_blocks
from intaglio.cost_models.search import Found
from intaglio.cost_models.tiling import ORDERS, Tiling, words

PAGES = Pages(8 * 32, 8 * 2048)


@st.composite
def layers(draw):
    def number(hi, lo=1):
        return draw(st.integers(lo, hi))

    stride, dilation = (number(3), number(3)), (number(2), number(2))
    sizes = (number(2), number(3), number(3), number(4), number(4), number(3), number(3))
    return Loops(
        *sizes, number(9), number(9), number(2), stride, dilation, (number(2, 0), number(2, 0))
    )


@st.composite
def tilings(draw, loops):
    cut = [draw(st.integers(1, getattr(loops, name))) for name in "npqmc"]
    return Tiling(*cut, draw(st.sampled_from(ORDERS)))


def tiles_of(extent, size):
    return [range(start, min(start + size, extent)) for start in range(0, extent, size)]


def read(loops, axis, places):
    """Rows or columns of x that the outputs at ``places`` read."""
    kernel, extent = ((loops.r, loops.height), (loops.s, loops.width))[axis]
    found = {
        place * loops.stride[axis] + tap * loops.dilation[axis] - loops.pad[axis]
        for place in places
        for tap in range(kernel)
    }
    return [place for place in sorted(found) if 0 <= place < extent]


def counted(loops, tiling, bits, pages, *, inputs):
    """Every bit of every tile, by the burst and the row that it is in."""
    every, some = (loops.c, tiling.c) if inputs else (loops.m, tiling.m)
    height, width = (loops.height, loops.width) if inputs else (loops.p, loops.q)
    found = Blocks(0, 0)
    for group in range(loops.groups):
        for n in tiles_of(loops.n, tiling.n):
            for channels in tiles_of(every, some):
                for p in tiles_of(loops.p, tiling.p):
                    for q in tiles_of(loops.q, tiling.q):
                        rows = read(loops, 0, p) if inputs else p
                        columns = read(loops, 1, q) if inputs else q
                        touched = {
                            (((a * loops.groups + group) * every + b) * height + c) * width + d
                            for a in n for b in channels for c in rows for d in columns
                        }  # fmt: skip
                        each = {bits * place + bit for place in touched for bit in range(bits)}
                        found += Blocks(
                            *(
                                len({bit // size for bit in each})
                                for size in (pages.burst, pages.row)
                            )
                        )
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_blocks_are_those_of_every_address(data):
    loops = data.draw(layers())
    tiling = data.draw(tilings(loops))
    bits = data.draw(st.sampled_from((1, 3, 8)))
    burst = data.draw(st.sampled_from((8, 24, 64)))
    pages = Pages(burst, burst * data.draw(st.integers(1, 4)))
    for blocks, inputs in ((input_blocks, True), (output_blocks, False)):
        found = blocks(loops, tiling, bits, pages)
        assert found == counted(loops, tiling, bits, pages, inputs=inputs)


def test_a_whole_tensor_is_one_run():
    loops = Loops(1, 4, 3, 32, 32, 3, 3, 32, 32, pad=(1, 1))
    whole = Tiling(1, 32, 32, 4, 3, ORDERS[0])
    assert input_blocks(loops, whole, 8, PAGES) == Blocks(3072 // 32, 2) == run_blocks(24576, PAGES)
    assert output_blocks(loops, whole, 8, PAGES) == Blocks(4096 // 32, 2)


def test_a_tile_of_columns_is_a_run_a_row():
    # 4 columns of 32 in each of 32 rows and 3 channels, one burst each; the kernel is 1 x 1
    loops = Loops(1, 4, 3, 32, 32, 1, 1, 32, 32)
    cut = Tiling(1, 32, 4, 4, 3, ORDERS[0])
    assert input_blocks(loops, cut, 8, PAGES) == Blocks(8 * 96, 8 * 2)


def test_tiles_of_weights_lie_one_after_another():
    assert run_blocks(0, PAGES) == Blocks(0, 0)
    assert run_blocks(1, PAGES) == Blocks(1, 1)
    assert run_blocks(16384, PAGES) == Blocks(64, 1)
    assert run_blocks(16385, PAGES) == Blocks(65, 2)
    # 3 tiles of 100 bits: 0 to 99, 100 to 199, 200 to 299, the last in two bursts
    assert run_blocks(300, PAGES, 3) == Blocks(4, 3)
    # more tiles than bits
    assert run_blocks(2, PAGES, 5) == Blocks(2, 2)


GIVEN = Range.exact
DRAM = Memory("DRAM", GIVEN(10), GIVEN(20), 64, 64, pages=PAGES, activation=GIVEN(1000))


def test_what_a_tiling_repeats_is_touched_again():
    # 3 tiles of channels outside of 2 of places and 2 of filters: sums leave and come back twice
    loops = Loops(1, 4, 3, 4, 4, 1, 1, 4, 4)
    tiling = Tiling(1, 2, 4, 2, 1, "csm")
    moved = words(loops, tiling)
    assert (moved.weight_loads, moved.sums_written) == (2, 2 * loops.outputs)
    bits = {"weights": [12 * 8], "inputs": [8], "outputs": [8], "sums": [32]}
    assert tiled_blocks(loops, Found(tiling, moved, 0), bits, PAGES) == {
        # 6 tiles of 16 bits
        "weights": Blocks(6, 6) * 2,
        # 6 tiles of 8 bytes
        "inputs": Blocks(6, 6),
        # 2 filters of 8 bytes in each of 4 tiles: 16 bytes apart
        "outputs": Blocks(4, 4),
        # the same of 32 bytes, 64 bytes apart
        "sums": Blocks(8, 4) * 2,
    }


def test_bursts_and_rows_are_charged_each_way_that_moves():
    moved = [
        Transfer("DRAM", WEIGHTS, 100, 0, GIVEN(0)),
        Transfer("DRAM", INDICES, 50, 0, GIVEN(0)),
        Transfer("DRAM", SUMS, 500, 500, GIVEN(0)),
    ]
    assert in_rows(DRAM, moved, {WEIGHTS: Blocks(1, 1), SUMS: Blocks(2, 1), "inputs": Blocks(0, 0)}) == [
        Transfer("DRAM rows", WEIGHTS, 106, 0, GIVEN(1060 + 1000)),
        Transfer("DRAM rows", SUMS, 12, 12, GIVEN(120 + 240 + 2000)),
        Transfer("DRAM rows", "inputs", 0, 0, GIVEN(0)),
    ]  # fmt: skip
