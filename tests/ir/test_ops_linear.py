import re
from dataclasses import replace
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
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.ops_pointwise import Affine
from intaglio.ir.tensor import BATCH, Tensor, TensorType

INT8, UINT8 = int_type(8), int_type(8, signed=False)


@st.composite
def convolutions(draw):
    """(op, x, weight, bias): integers of small random geometry."""
    small = st.integers(1, 2)
    groups, kernel, dilations = draw(small), (draw(small), draw(small)), (draw(small), draw(small))
    op = Conv(
        (draw(small), draw(small)),
        tuple(draw(st.integers(0, 2)) for _ in range(4)),
        dilations,
        groups,
        draw(st.integers(-3, 3)),
    )
    least = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    size = [draw(st.integers(low, low + 3)) for low in least]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    per_group, filters = draw(small), draw(small)
    x = rng.integers(-128, 128, (2, groups * per_group, *size)).astype(np.int8)
    weight = rng.integers(-128, 128, (groups * filters, per_group, *kernel)).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, groups * filters) if draw(st.booleans()) else None
    return op, x, weight, bias


def by_hand(op, x, weight, bias):
    """Every product of every output, in Python integers."""
    top, left, bottom, right = op.pads
    n, _, h, w = x.shape
    co, per_group, kh, kw = weight.shape
    rows = (h + top + bottom - op.dilations[0] * (kh - 1) - 1) // op.strides[0] + 1
    columns = (w + left + right - op.dilations[1] * (kw - 1) - 1) // op.strides[1] + 1
    out = np.zeros((n, co, rows, columns), dtype=np.int64)
    for i, o, r, c in product(range(n), range(co), range(rows), range(columns)):
        total = 0 if bias is None else int(bias[o])
        first = o // (co // op.groups) * per_group
        for p, a, b in product(range(per_group), range(kh), range(kw)):
            y = r * op.strides[0] + a * op.dilations[0] - top
            z = c * op.strides[1] + b * op.dilations[1] - left
            inside = 0 <= y < h and 0 <= z < w
            total += int(weight[o, p, a, b]) * (
                int(x[i, first + p, y, z]) if inside else op.pad_value
            )
        out[i, o, r, c] = total
    return out


def type_of(array):
    return TensorType((BATCH, *array.shape[1:]), INT8)


def fact_of(array):
    return Fact(Tensor(array, INT32).type, Interval.of(array.min(), array.max()), array)


def operands(weight, bias):
    return (weight,) if bias is None else (weight, bias)


@given(convolutions())
def test_conv_of_integers_equals_loops_by_hand(case):
    op, x, weight, bias = case
    got = op.reference(x, *operands(weight, bias))
    assert got.dtype == np.int64
    assert np.array_equal(got, by_hand(op, x, weight, bias))
    inferred = op.infer(type_of(x), *(fact_of(each).type for each in operands(weight, bias)))
    assert inferred == TensorType((BATCH, *got.shape[1:]), INT32)


@given(convolutions())
def test_conv_of_reals_equals_torch(case):
    op, x, weight, bias = case
    reals = [each.astype(np.float32) / 16 for each in (x, *operands(weight, bias))]
    op = Conv(op.strides, op.pads, op.dilations, op.groups)
    top, left, bottom, right = op.pads
    padded = torch.nn.functional.pad(torch.tensor(reals[0]), (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(
        padded,
        *map(torch.tensor, reals[1:]),
        stride=op.strides,
        dilation=op.dilations,
        groups=op.groups,
    )
    got = op.reference(*reals)
    assert got.dtype == np.float32
    assert np.allclose(got, expected.numpy(), rtol=1e-5, atol=1e-2)


@given(convolutions())
def test_conv_interval_contains_the_result_of_any_input_within_its_interval(case):
    op, x, weight, bias = case
    ends = x.min(axis=(0, 2, 3)), x.max(axis=(0, 2, 3))
    fact = Fact(type_of(x), Interval.of(*ends))
    reach = op.interval(fact, *map(fact_of, operands(weight, bias)))
    assert reach.contains(op.reference(x, *operands(weight, bias)))


@given(convolutions())
def test_conv_interval_is_attained_when_nothing_is_padded(case):
    op, x, weight, bias = case
    op = Conv(op.strides, (0, 0, 0, 0), op.dilations, op.groups)
    reach = op.interval(Fact(type_of(x), Interval.of(-7, 9)), *map(fact_of, operands(weight, bias)))
    for channel, row in enumerate(weight):
        offset = 0 if bias is None else int(bias[channel])
        products = [sorted((w * -7, w * 9)) for w in row.ravel().tolist()]
        assert int(reach.lo[channel]) == sum(least for least, _ in products) + offset
        assert int(reach.hi[channel]) == sum(most for _, most in products) + offset


@given(convolutions())
def test_conv_work_counts_the_products_of_one_sample(case):
    op, x, weight, bias = case
    products = Conv(op.strides, op.pads, op.dilations, op.groups, 1).reference(
        np.ones_like(x), np.ones_like(weight)
    )
    work = op.work(type_of(x), *(fact_of(each).type for each in operands(weight, bias)))
    outputs = products[0].size
    assert work == Work(macs=int(products[0].sum()), adds=0 if bias is None else outputs)


matrices = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32))


@given(matrices, st.lists(st.integers(1, 3), max_size=2), st.booleans())
def test_dense_sums_over_the_last_axis(size, between, has_bias):
    co, k, seed = size
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (2, *between, k)).astype(np.int8)
    weight = rng.integers(-128, 128, (co, k)).astype(np.int8)
    bias = rng.integers(-1000, 1000, co)
    given_ = operands(weight, bias if has_bias else None)
    got = Dense().reference(x, *given_)
    for index in np.ndindex(*got.shape):
        row = x[index[:-1]].tolist()
        total = sum(a * b for a, b in zip(row, weight[index[-1]].tolist(), strict=True))
        assert got[index] == total + (int(bias[index[-1]]) if has_bias else 0)
    types = [type_of(x), *(fact_of(each).type for each in given_)]
    assert Dense().infer(*types) == TensorType((BATCH, *between, co), INT32)
    assert Dense().work(*types).macs == got[0].size * k


@given(matrices, st.lists(st.integers(1, 3), max_size=2))
def test_dense_interval_contains_the_result(size, between):
    co, k, seed = size
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (2, *between, k)).astype(np.int8)
    weight = rng.integers(-128, 128, (co, k)).astype(np.int8)
    bias = rng.integers(-1000, 1000, co)
    others = tuple(i for i in range(x.ndim) if i != 1)
    reach = Interval.of(x.min(axis=others), x.max(axis=others))
    found = Dense().interval(Fact(type_of(x), reach), fact_of(weight), fact_of(bias))
    assert found.contains(Dense().reference(x, weight, bias))


@pytest.mark.parametrize(
    ("op", "shapes", "text"),
    [
        (Conv(), [(BATCH, 2, 4, 4), (3, 2, 3)], "Weight must be (co, c / groups, kh, kw), got int8[3,2,3]."),
        (Conv(), [(BATCH, 2, 4), (3, 2, 3, 3)], "Expected (n, c, h, w), got int8[n,2,4]."),
        (
            Conv(groups=2),
            [(BATCH, 2, 4, 4), (3, 1, 3, 3)],
            "2 input channels in 2 groups do not fit weight int8[3,1,3,3].",
        ),
        (
            Conv(),
            [(BATCH, 3, 4, 4), (3, 2, 3, 3)],
            "3 input channels in 1 groups do not fit weight int8[3,2,3,3].",
        ),
        (Conv(pads=(1, 0, 0, 0)), [(BATCH, 1, 1, 3), (1, 1, 3, 3)], "A window of 3 does not fit into 1 + 1 + 0."),
        (Conv(), [(BATCH, 2, 4, 4), (3, 2, 3, 3), (2,)], "Bias must be (3,), got int8[2]."),
        (Dense(), [(BATCH, 4), (3, 5)], "Input int8[n,4] does not fit weight int8[3,5], expected (co, k)."),
        (Dense(), [(BATCH,), (3, 5)], "Input int8[n] does not fit weight int8[3,5], expected (co, k)."),
        (Dense(), [(BATCH, 5), (3, 5), (3, 1)], "Bias must be (3,), got int8[3,1]."),
    ],
)  # fmt: skip
def test_operands_that_do_not_fit_are_refused(op, shapes, text):
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        op.infer(*(TensorType(shape, INT8) for shape in shapes))


def test_reals_and_integers_do_not_mix():
    text = "Input is float32 but weight is int8."
    for op, shapes in ((Dense(), [(BATCH, 2), (1, 2)]), (Conv(), [(BATCH, 1, 1, 1), (1, 1, 1, 1)])):
        with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
            op.infer(TensorType(shapes[0]), TensorType(shapes[1], INT8))


def test_interval_needs_a_constant_weight():
    fact = Fact(TensorType((BATCH, 2), INT8), Interval.of(0, 1))
    with pytest.raises(ShapeError, match=r"^The weight of an integer op must be a constant\.$"):
        Dense().interval(fact, Fact(TensorType((1, 2), INT8), Interval.of(0, 1)))


def test_arity_is_checked_and_named():
    with pytest.raises(
        ShapeError, match=r"^Operator 'conv' takes x, weight, bias\?, border\?; got 1 operands\.$"
    ):
        Conv().check_arity(1)
    with pytest.raises(
        ShapeError, match=r"^Operator 'conv' takes x, weight, bias\?, border\?; got 5 operands\.$"
    ):
        Conv().check_arity(5)
    Conv().check_arity(2)
    Conv().check_arity(3)


def test_ops_that_compute_reals_have_no_interval():
    text = "Operator 'affine' does not compute integers."
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        Affine().interval()


def test_work_adds_up():
    assert Work(macs=2, lookups=1) + Work(macs=3, adds=4) == Work(macs=5, adds=4, lookups=1)


@given(convolutions(), st.integers(0, 2**32 - 1))
def test_a_border_is_the_weights_of_a_channel_that_is_1_there_and_0_inside(case, seed):
    op, x, weight, _ = case
    op = replace(op, groups=1, pad_value=1)
    weight = np.random.default_rng(seed).integers(-9, 9, (3, x.shape[1], *weight.shape[2:]))
    border, extended = weight[:, :1], np.concatenate([weight[:, :1], weight], axis=1)
    around = np.concatenate([np.zeros_like(x[:, :1]), x], axis=1)
    none = np.zeros(3, np.int64)
    expected = op.reference(around, extended)
    assert np.array_equal(op.reference(x, weight, none, border[:, 0]), expected)


@given(convolutions(), st.integers(0, 2**32 - 1))
def test_the_interval_of_a_border_is_attained_where_x_is_constant(case, seed):
    op, x, weight, bias = case
    x = np.full_like(x, op.pad_value)
    border = np.random.default_rng(seed).integers(-9, 9, (len(weight), *weight.shape[2:]))
    bias = np.zeros(len(weight), np.int64) if bias is None else bias
    arrays = (weight, bias, border)
    known = [Fact(TensorType(a.shape, INT32), Interval.of(a.min(), a.max()), a) for a in arrays]
    reach = op.interval(Fact(type_of(x), Interval.of(op.pad_value, op.pad_value)), *known)
    result = op.reference(x, *arrays)
    assert reach.lo.tolist() == result.min(axis=(0, 2, 3)).tolist()
    assert reach.hi.tolist() == result.max(axis=(0, 2, 3)).tolist()


@given(convolutions(), st.data())
def test_a_gather_conv_is_a_conv_whose_other_columns_are_zero(case, data):
    op, x, _, bias = case
    kernel, channels = case[2].shape[2:], x.shape[1]
    filters = 3 if bias is None else len(bias)
    places = channels * kernel[0] * kernel[1]
    some = st.lists(st.integers(0, places - 1), min_size=1, unique=True).map(np.array)
    columns = data.draw(some)
    weight = np.arange(filters * len(columns)).reshape(filters, -1) - 5
    full = np.zeros((filters, places), np.int64)
    full[:, columns] = weight
    full = np.moveaxis(full.reshape(filters, *kernel, channels), -1, 1)
    gather = GatherConv(kernel, op.strides, op.pads, op.dilations, op.pad_value)
    rest = () if bias is None else (bias,)
    expected = replace(op, groups=1).reference(x, full, *rest)
    assert np.array_equal(gather.reference(x, weight, columns, *rest), expected)


def test_additions_of_a_border_are_those_of_the_places_that_overhang():
    x, weight = TensorType((BATCH, 1, 4, 4), INT8), TensorType((2, 1, 3, 3), INT8)
    bias, border = TensorType((2,), INT8), TensorType((2, 3, 3), INT8)
    op = Conv(pads=(1, 0, 0, 0))  # (2, 3, 2); three places overhang at each of the upper two
    assert op.work(x, weight, bias, border) == Work(macs=12 * 9, adds=12 + 2 * 2 * 3)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (((1, 3), (2,)), "Weight must be (co, k) and columns (k,), got int8[1,3], int8[2]."),
        (((1, 3, 1), (3,)), "Weight must be (co, k) and columns (k,), got int8[1,3,1], int8[3]."),
        (((1, 3), (3,), (2,)), "Bias must be (1,), got int8[2]."),
        (((1, 3), (3,), (1,), (1, 2, 1)), "Border must be (1, 2, 2), got int8[1,2,1]."),
    ],
)
def test_operands_of_a_gather_conv_fit_each_other(types, message):
    others = (TensorType(shape, INT8) for shape in types)
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        GatherConv((2, 2)).infer(TensorType((BATCH, 2, 4, 4), INT8), *others)
