import re
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import ShapeError
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.op import Work
from intaglio.ir.ops_pool import AveragePool, MaxPool, SumPool
from intaglio.ir.tensor import BATCH, TensorType

INT8 = int_type(8)


@st.composite
def poolings(draw, dilated=False):
    """(kernel, strides, pads, dilations, x): every window meets the image."""
    small = st.integers(1, 3)
    kernel, strides = (draw(small), draw(small)), (draw(small), draw(small))
    dilations = (draw(st.integers(1, 2)), draw(st.integers(1, 2))) if dilated else (1, 1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    pads = tuple(draw(st.integers(0, (k - 1) // 2)) for k in (*kernel, *kernel))
    size = [draw(st.integers(span, span + 3)) for span in spans]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return kernel, strides, pads, dilations, rng.integers(-128, 128, (2, 2, *size)).astype(np.int8)


def windows_by_hand(kernel, strides, pads, dilations, x):
    """For each output ``(i, c, r, s)`` the elements of its window that lie inside x."""
    top, left, bottom, right = pads
    n, channels, h, w = x.shape
    rows = (h + top + bottom - dilations[0] * (kernel[0] - 1) - 1) // strides[0] + 1
    columns = (w + left + right - dilations[1] * (kernel[1] - 1) - 1) // strides[1] + 1
    for index in product(range(n), range(channels), range(rows), range(columns)):
        i, c, r, s = index
        places = [
            (r * strides[0] + a * dilations[0] - top, s * strides[1] + b * dilations[1] - left)
            for a, b in product(range(kernel[0]), range(kernel[1]))
        ]
        yield index, [int(x[i, c, y, z]) for y, z in places if 0 <= y < h and 0 <= z < w]


def type_of(array, dtype=INT8):
    return TensorType((BATCH, *array.shape[1:]), dtype)


@given(poolings(dilated=True))
def test_max_pool_takes_the_greatest_inside_the_image(case):
    kernel, strides, pads, dilations, x = case
    op = MaxPool(kernel, strides, pads, dilations)
    got, real = op.reference(x), op.reference(x.astype(np.float32))
    count = 0
    for index, inside in windows_by_hand(*case):
        assert got[index] == real[index] == max(inside)
        count += 1
    assert got.size == count
    assert op.infer(type_of(x)) == TensorType((BATCH, *got.shape[1:]), INT8)
    assert op.work(type_of(x)) == Work(compares=got[0].size * (kernel[0] * kernel[1] - 1))


@given(poolings(), st.booleans())
def test_average_pool_divides_by_the_window_or_by_what_lies_inside(case, count_border):
    kernel, strides, pads, _, x = case
    op = AveragePool(kernel, strides, pads, int(count_border))
    got = op.reference(x.astype(np.float32))
    for index, inside in windows_by_hand(*case):
        area = kernel[0] * kernel[1] if count_border else len(inside)
        assert got[index] == np.float32(sum(inside) / area)
    assert op.infer(type_of(x)) == TensorType((BATCH, *got.shape[1:]))


@given(poolings(), st.booleans())
def test_average_pool_equals_torch(case, count_border):
    kernel, strides, pads, _, x = case
    pads = (pads[0], pads[1], pads[0], pads[1])
    reals = x.astype(np.float32)
    expected = torch.nn.functional.avg_pool2d(
        torch.tensor(reals), kernel, strides, pads[:2], count_include_pad=count_border
    )
    got = AveragePool(kernel, strides, pads, int(count_border)).reference(reals)
    assert np.allclose(got, expected.numpy(), rtol=1e-5, atol=1e-4)


@given(poolings(), st.integers(-200, 200))
def test_sum_pool_adds_the_window_with_its_border(case, pad_value):
    kernel, strides, pads, _, x = case
    op = SumPool(kernel, strides, pads, pad_value)
    got = op.reference(x)
    assert got.dtype == np.int64
    for index, inside in windows_by_hand(*case):
        assert got[index] == sum(inside) + (kernel[0] * kernel[1] - len(inside)) * pad_value
    assert op.infer(type_of(x)) == TensorType((BATCH, *got.shape[1:]), INT32)


@given(poolings(), st.integers(-200, 200))
def test_pool_intervals_contain_the_results(case, pad_value):
    kernel, strides, pads, _, x = case
    x = x // 64  # the border often lies outside
    reach = Interval.of(x.min(axis=(0, 2, 3)), x.max(axis=(0, 2, 3)))
    for op in (SumPool(kernel, strides, pads, pad_value), MaxPool(kernel, strides, pads)):
        assert op.interval(Fact(type_of(x), reach)).contains(op.reference(x))


@pytest.mark.parametrize("bits", [3, 8])
def test_max_pool_of_all_least_values_stays_in_its_type_at_the_border(bits):
    dtype = int_type(bits)
    x = np.full((1, 1, 2, 2), dtype.lo, dtype=np.int8)
    assert (MaxPool((2, 2), pads=(1, 1, 1, 1)).reference(x) == dtype.lo).all()


@pytest.mark.parametrize(
    ("op", "size"),
    [
        (MaxPool((2, 2), pads=(2, 0, 0, 0)), (3, 3)),
        (MaxPool((2, 2), pads=(0, 0, 0, 2)), (3, 3)),
        (MaxPool((2, 1), pads=(1, 0, 1, 0), dilations=(2, 1)), (1, 1)),
        (AveragePool((2, 2), pads=(0, 2, 0, 0), count_border=0), (3, 3)),
    ],
)
def test_a_window_that_lies_in_the_border_entirely_is_refused(op, size):
    text = f"A window of {op.kernel} lies entirely in the border {op.pads} of float32[n,1,"
    text += f"{size[0]},{size[1]}]."
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        op.infer(TensorType((BATCH, 1, *size)))


def test_windows_that_each_meet_the_image_are_accepted():
    op = MaxPool((2, 2), (3, 3), (1, 1, 1, 1))
    assert op.infer(TensorType((BATCH, 1, 3, 3))).sample_shape == (1, 2, 2)


def test_sum_pool_refuses_reals():
    with pytest.raises(ShapeError, match=r"^sum_pool adds integers, got float32\[n,1,2,2\]\.$"):
        SumPool((2, 2)).infer(TensorType((BATCH, 1, 2, 2)))


def test_pools_refuse_other_ranks():
    with pytest.raises(ShapeError, match=r"^Expected \(n, c, h, w\), got float32\[n,4\]\.$"):
        MaxPool((2, 2)).infer(TensorType((BATCH, 4)))
