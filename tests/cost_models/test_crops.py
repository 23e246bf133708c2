"""What a crop reads of an image, counted pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.cost_models.crops import Window, widest, window
from intaglio.cost_models.layers import layers_of
from intaglio.cost_models.rows import Blocks, Pages
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_crop import ONE, Crop
from intaglio.ir.tensor import BATCH, TensorType
from intaglio.passes.schedule import schedule

UINT8 = int_type(8, signed=False)
LEAST, MOST = ONE // 5, ONE // 2
CODES = st.tuples(*(st.integers(0, 255),) * 3)


def wanted(op, image, where):
    """Rows and columns whose pixels change what is seen: found by changing them."""
    rng = np.random.default_rng(0)
    x = rng.integers(100, 150, (1, 1, *image)).astype(np.uint8)
    seen = op.reference(x, where[None])
    found = []
    for axis, pixels in enumerate(image):
        changed = []
        for place in range(pixels):
            other = x.copy()
            np.moveaxis(other, axis + 2, 0)[place] = 255
            changed += [place] if (op.reference(other, where[None]) != seen).any() else []
        found.append(changed)
    return found


@given(CODES)
def test_every_pixel_that_matters_is_read_and_no_row_more(where):
    op, image, told = Crop((4, 5), LEAST, MOST), (17, 23), np.array(where, np.uint8)
    rows, columns = wanted(op, image, told)
    found = window(op, image, told)
    assert found.first <= columns[0] <= columns[-1] < found.first + found.run
    assert len(rows) <= found.rows <= len(rows) + 2  # a weight below 1/2 may change nothing
    assert found.run <= columns[-1] - columns[0] + 3


@given(CODES)
def test_no_window_reads_more_than_the_widest(where):
    op, image = Crop((6, 6), LEAST, MOST), (40, 31)
    found, most = window(op, image, np.array(where, np.uint8)), widest(op, image)
    assert found.rows <= most.rows
    assert found.run <= most.run


def test_the_whole_image_is_read_by_a_look_at_all_its_pixels():
    assert window(Crop((8, 9)), (8, 9), None) == Window(8, 9, 0)
    assert widest(Crop((8, 9)), (8, 9)).pixels == 72


def test_runs_move_in_whole_bursts():
    """Rows of 96 bits: runs of 32 bits from bit 24, 120 and 216 on."""
    pages = Pages(burst=64, row=1024)
    assert Window(3, 4, 3).blocks(8, pages, 12) == Blocks(
        *(sum((a + 31) // size - a // size + 1 for a in (24, 120, 216)) for size in (64, 1024))
    )
    assert Window(3, 4).blocks(8, pages, 12) == Blocks(6, 6)


@pytest.mark.parametrize("told", [True, False])
def test_the_cost_of_a_crop_is_that_of_its_window(told):
    b = Builder("g")
    x = b.input(Value("x", TensorType((BATCH, 3, 64, 48), UINT8)))
    where = [b.input(Value("y", TensorType((BATCH, 3), UINT8)))] if told else []
    op = Crop((8, 8), LEAST, MOST)
    program = schedule(b.build((b.node("seen", op, x, *where),)))
    (layer,) = layers_of(program)
    assert layer.window == widest(op, (64, 48))
    assert layer.window.pixels == 16 * 25  # 8 samples want 16 rows at most, of 47 / 2 + 2 pixels
