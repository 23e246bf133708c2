"""Thresholds that climb almost evenly, by a guess and one comparison."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops_quant import Threshold
from intaglio.ir.tensor import BATCH, TensorType
from intaglio.kernels.guess import FEWEST, guess
from intaglio.kernels.table import kernel_for
from intaglio.testing import reference

UINT8 = int_type(8, signed=False)


@st.composite
def stairs(draw):
    """Rows of almost equidistant thresholds; some at the ends reached always, or never."""
    rows, levels = draw(st.integers(1, 5)), draw(st.integers(FEWEST, 255))
    made = []
    for _ in range(rows):
        step = draw(st.floats(1.5, 2.0**22))
        begin = draw(st.integers(-(2**27), 2**27))
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        even = begin + step * np.arange(levels)
        row = np.sort(np.floor(even + rng.uniform(-0.4, 0.4, levels) * step).astype(np.int64))
        always, never = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        ends = (INT32.lo, INT32.hi + 1) if draw(st.booleans()) else (row[always], row[-1 - never])
        row[:always], row[levels - never :] = ends
        made.append(row)
    return np.array(made)


@given(stairs(), st.integers(0, 2**32 - 1))
def test_it_counts_thresholds_as_the_reference_does(thresholds, seed):
    rng = np.random.default_rng(seed)
    rows = len(thresholds)
    beside = np.concatenate([thresholds + by for by in (-1, 0, 1)], axis=1)
    ends = np.tile([INT32.lo, -1, 0, INT32.hi], (rows, 1))
    noise = rng.integers(INT32.lo, INT32.hi, (rows, 50), endpoint=True)
    x = np.clip(np.concatenate([beside, ends, noise], axis=1), INT32.lo, INT32.hi)
    x = x.astype(np.int32)[None, :, :, None]
    types = TensorType((BATCH, *x.shape[1:]), INT32), TensorType(thresholds.shape, int_type(64))
    op, out = Threshold(UINT8, 0), np.empty((1, x.shape[2], 1, rows), np.uint8)
    stored = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    kernel_for(op, types)(op, (stored, thresholds), out)
    assert np.array_equal(np.moveaxis(out, -1, 1), reference(op, x, thresholds))


def test_even_steps_are_guessed_and_others_searched():
    even = 100 * np.arange(20)[None] - 700
    assert guess(even) is not None
    assert guess(even[:, : FEWEST - 1]) is None
    assert guess(even**3) is None
    assert guess(np.zeros((1, 20), np.int64)) is not None
    assert guess(np.repeat([0, 5, 9], 7)[None]) is None
    assert guess(np.concatenate([even, even**3])) is None


def test_a_guess_that_would_overflow_is_not_made():
    steps = 2 * np.arange(200, dtype=np.int64)
    assert guess((steps + 2**30)[None]) is None
    assert guess((1000 * steps)[None]) is not None
