"""crop: where it looks and what it sees, for reals and in integers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import ShapeError
from intaglio.ir.numeric import BIPOLAR, FLOAT32, INT32, int_type
from intaglio.ir.ops_crop import ONE, Crop
from intaglio.ir.tensor import BATCH, TensorType

UINT8 = int_type(8, signed=False)
LEAST, MOST = ONE // 5, ONE // 2
SIDES = st.integers(2, 4096)


def seen(op, x, y):
    """The same by torch: affine_grid and grid_sample."""
    share = (op.least + (op.most - op.least) * y[:, 0]) / ONE
    right, down = ((2 * y[:, axis] - 1) * (1 - share) for axis in (1, 2))
    none = np.zeros_like(share)
    turned = np.stack([share, none, right, none, share, down], axis=1).reshape(-1, 2, 3)
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(turned), (len(x), x.shape[1], *op.size), align_corners=True
    )
    found = torch.nn.functional.grid_sample(
        torch.from_numpy(x), grid, padding_mode="border", align_corners=True
    )
    return found.numpy()


@pytest.mark.parametrize(("least", "most"), [(LEAST, MOST), (ONE, ONE), (1, ONE)])
def test_of_reals_it_is_what_torch_samples(least, most):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 2, 12, 17)), rng.random((5, 3))
    op = Crop((5, 8), least, most)
    assert np.allclose(op.reference(x, y), seen(op, x, y), atol=1e-12)


def test_without_a_place_it_sees_the_whole_image():
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 7))
    assert np.allclose(Crop((9, 7)).reference(x), x, atol=1e-12)
    codes = np.arange(63).reshape(1, 1, 9, 7).astype(np.uint8)
    assert np.array_equal(Crop((9, 7)).reference(codes), codes)


def test_a_window_of_the_pixels_own_size_is_a_copy_of_them():
    """Half of 9 pixels is 5 of them, and codes of 0, 1/2 and nearly 1 are 0, 2 and 3.98 on."""
    codes = np.random.default_rng(0).integers(0, 256, (1, 2, 9, 9)).astype(np.uint8)
    op = Crop((5, 5), ONE // 2, ONE // 2)
    for code, first in ((0, 0), (128, 2)):
        found = op.reference(codes, np.array([[0, code, code]], np.uint8))
        assert np.array_equal(found, codes[:, :, first : first + 5, first : first + 5])
    rows, _ = op.positions((9, 9), np.array([0, 255, 255]))
    assert rows.tolist() == [261120 + 65536 * i for i in range(5)]  # 4 * 255 / 256 = 3.984375


@settings(max_examples=300)
@given(st.data(), SIDES, SIDES, st.integers(1, 16))
def test_no_window_leaves_the_image(data, pixels, samples, bits):
    least, most = sorted(data.draw(st.tuples(*(st.integers(1, ONE),) * 2)))
    code = st.integers(0, 2**bits - 1)
    where = np.array(data.draw(st.tuples(code, code, code)))
    op = Crop((samples, samples), least, most, bits)
    for told in (where, None):
        for at in op.positions((pixels, pixels), told):
            assert 0 <= at[0] <= at[-1] <= (pixels - 1) << 16


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_integers_are_as_near_to_the_reals_as_stated(seed):
    """Half a code, and what positions off by less than (m + 1) / 2**16 + 1 / 2**8 see instead."""
    rng = np.random.default_rng(seed)
    codes, where = rng.integers(0, 256, (3, 1, 20, 15)), rng.integers(0, 256, (3, 3))
    op = Crop((6, 7), LEAST, MOST)
    real = op.reference(codes.astype(np.float64), where / 256)
    found = op.reference(codes.astype(np.uint8), where.astype(np.uint8))
    apart = 2 * 255 * (2**-8 + 2**-16 * 30)
    assert np.all(np.abs(found - real) <= 0.5 + apart)


REAL = TensorType((BATCH, 1, 8, 8), FLOAT32)
CODES = REAL.with_dtype(UINT8)
WHERE = TensorType((BATCH, 3), UINT8)


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        (
            Crop((1, 4)),
            (CODES,),
            "A crop of (1, 4) is of (n, c, h, w), all of 2 to 4096; got uint8[n,1,8,8].",
        ),
        (
            Crop((4, 4)),
            (TensorType((BATCH, 8), UINT8),),
            "A crop of (4, 4) is of (n, c, h, w), all of 2 to 4096; got uint8[n,8].",
        ),
        (
            Crop((4, 4), 0, ONE),
            (CODES, WHERE),
            "Windows of 0 to 65536 in units of 2**-16, by codes of 8 bits, cannot be taken.",
        ),
        (
            Crop((4, 4), ONE, ONE, 17),
            (CODES, WHERE),
            "Windows of 65536 to 65536 in units of 2**-16, by codes of 17 bits, cannot be taken.",
        ),
        (
            Crop((4, 4)),
            (CODES, TensorType((BATCH, 2), UINT8)),
            "Where to look are 3 unsigned codes of 8 bits, not uint8[n,2].",
        ),
        (
            Crop((4, 4)),
            (CODES, WHERE.with_dtype(int_type(8))),
            "Where to look are 3 unsigned codes of 8 bits, not int8[n,3].",
        ),
        (
            Crop((4, 4)),
            (CODES, WHERE.with_dtype(FLOAT32)),
            "Where to look are 3 unsigned codes of 8 bits, not float32[n,3].",
        ),
        (
            Crop((4, 4)),
            (CODES.with_dtype(INT32),),
            "A crop blends codes of 16 bits at most, not int32[n,1,8,8].",
        ),
        (
            Crop((4, 4)),
            (CODES.with_dtype(BIPOLAR),),
            "A crop blends codes of 16 bits at most, not bipolar[n,1,8,8].",
        ),
    ],
)
def test_what_is_no_crop_is_refused(op, types, message):
    with pytest.raises(ShapeError) as caught:
        op.infer(*types)
    assert caught.value.what == message


def test_types_and_work_follow():
    op = Crop((4, 6), LEAST, MOST)
    assert op.infer(REAL, WHERE.with_dtype(FLOAT32)) == TensorType((BATCH, 1, 4, 6), FLOAT32)
    assert op.infer(CODES, WHERE).dtype == UINT8
    assert op.work(CODES, WHERE).macs == 4 * 24
