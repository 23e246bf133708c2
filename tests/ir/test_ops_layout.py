import re
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import ShapeError
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from intaglio.ir.tensor import BATCH, TensorType

INT8 = int_type(8)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def numbered(shape, start=0):
    """Two samples whose elements are all different."""
    return np.arange(start, start + 2 * prod(shape), dtype=np.int64).reshape(2, *shape)


def type_of(array, dtype=INT32):
    return TensorType((BATCH, *array.shape[1:]), dtype)


def fact_of(array):
    """A Fact with the exact interval of each channel."""
    others = tuple(axis for axis in range(array.ndim) if axis != 1)
    return Fact(type_of(array), Interval.of(array.min(axis=others), array.max(axis=others)))


def check(op, *arrays):
    """The inferred type and the interval agree with the result, which is returned."""
    result = op.reference(*arrays)
    assert op.infer(*map(type_of, arrays)) == type_of(result)
    assert op.interval(*map(fact_of, arrays)).contains(result)
    return result


@given(shapes, st.data())
def test_reshape_keeps_row_major_order_of_each_sample(shape, data):
    x = numbered(shape)
    target = data.draw(st.permutations([*shape, 1]).map(tuple))
    assert check(Reshape(target), x).tolist() == [s.reshape(target).tolist() for s in x]


@given(shapes, st.data())
def test_transpose_moves_every_element_to_its_place(shape, data):
    x = numbered(shape)
    axes = (0, *data.draw(st.permutations(range(1, x.ndim))))
    y = check(Transpose(axes), x)
    assert all(y[tuple(i[axis] for axis in axes)] == x[i] for i in np.ndindex(*x.shape))


@given(shapes, st.data())
def test_slice_picks_start_stop_step_of_each_axis(shape, data):
    x = numbered(shape)
    starts = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    stops = tuple(
        data.draw(st.integers(start + 1, size)) for start, size in zip(starts, shape, strict=True)
    )
    steps = tuple(data.draw(st.integers(1, 3)) for _ in shape)
    expected = x
    for axis, bounds in enumerate(zip(starts, stops, steps, strict=True), 1):
        expected = np.take(expected, list(range(*bounds)), axis)
    assert np.array_equal(check(Slice(starts, stops, steps), x), expected)


def test_slice_of_one_interval_for_all_channels_keeps_it():
    fact = Fact(TensorType((BATCH, 4), INT8), Interval.of(np.array([-3]), np.array([5])))
    assert Slice((2,), (4,), (1,)).interval(fact).bounds == (-3, 5)


@given(shapes, st.integers(-9, 9), st.data())
def test_pad_surrounds_x_with_the_value(shape, value, data):
    x = numbered(shape)
    before, after = (tuple(data.draw(st.integers(0, 2)) for _ in shape) for _ in range(2))
    y = check(Pad(before, after, value), x)
    inner = tuple(slice(b, b + size) for b, size in zip(before, shape, strict=True))
    assert np.array_equal(y[(slice(None), *inner)], x)
    border = np.ones(y.shape, dtype=bool)
    border[(slice(None), *inner)] = False
    assert (y[border] == value).all()


@given(shapes, st.lists(st.integers(1, 3), min_size=1, max_size=3), st.data())
def test_concat_lays_operands_one_after_the_other(shape, sizes, data):
    axis = data.draw(st.integers(1, len(shape)))
    parts = [
        numbered((*shape[: axis - 1], size, *shape[axis:]), 1000 * i)
        for i, size in enumerate(sizes)
    ]
    y = check(Concat(axis), *parts)
    assert np.array_equal(y, np.concatenate(parts, axis))
    assert y.shape[axis] == sum(sizes)


def test_concat_keeps_the_interval_of_each_channel():
    left = Fact(TensorType((BATCH, 2), INT8), Interval.of(0, 1))
    right = Fact(TensorType((BATCH, 1), INT8), Interval.of(5, 9))
    reach = Concat(1).interval(left, right)
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([0, 0, 5], [1, 1, 9])


X = (BATCH, 2, 3)


@pytest.mark.parametrize(
    ("op", "shapes", "text"),
    [
        (Reshape((5,)), [X], "int8[n,2,3] cannot take the shape (5,) per sample."),
        (
            Transpose((1, 0, 2)),
            [X],
            "Axes (1, 0, 2) do not permute int8[n,2,3] with the batch first.",
        ),
        (Transpose((0, 1)), [X], "Axes (0, 1) do not permute int8[n,2,3] with the batch first."),
        (Slice((0,), (1,), (1,)), [X], "slice needs 2 starts, stops and steps for int8[n,2,3]."),
        (Slice((0, 0), (2, 4), (1, 1)), [X], "0:4:1 is not within 3."),
        (Slice((1, 0), (1, 3), (1, 1)), [X], "1:1:1 is not within 2."),
        (Slice((0, 0), (2, 3), (1, 0)), [X], "0:3:0 is not within 3."),
        (Pad((1,), (1,)), [X], "pad needs 2 sizes >= 0 before and after for int8[n,2,3]."),
        (Pad((0, -1), (0, 0)), [X], "pad needs 2 sizes >= 0 before and after for int8[n,2,3]."),
        (Concat(0), [X], "Axis 0 is not an axis of int8[n,2,3] after the batch."),
        (Concat(3), [X], "Axis 3 is not an axis of int8[n,2,3] after the batch."),
        (Concat(1), [X, (BATCH, 2, 4)], "int8[n,2,4] does not fit int8[n,2,3] along axis 1."),
    ],
)
def test_operands_that_do_not_fit_are_refused(op, shapes, text):
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        op.infer(*(TensorType(shape, INT8) for shape in shapes))


def test_concat_refuses_operands_of_different_types():
    text = "int4[n,2] does not fit int8[n,2] along axis 1."
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        Concat(1).infer(TensorType((BATCH, 2), INT8), TensorType((BATCH, 2), int_type(4)))


def test_take_lists_channels_in_any_order_and_more_than_once():
    x, listed = numbered((3, 2)), np.array([2, 0, 2])
    channels = Fact(TensorType((3,), INT8), Interval.of(0, 2), listed)
    y = Take().reference(x, listed)
    assert y.tolist() == [[s[2].tolist(), s[0].tolist(), s[2].tolist()] for s in x]
    assert Take().infer(type_of(x), channels.type) == type_of(y)
    reach = Take().interval(fact_of(x), channels)
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([4, 0, 4], [11, 7, 11])


@pytest.mark.parametrize(
    ("x", "channels", "message"),
    [
        ((BATCH,), (1,), "Expected (n, c, ...) and channels (k,), got int32[n] and int8[1]."),
        (
            (BATCH, 3),
            (1, 1),
            "Expected (n, c, ...) and channels (k,), got int32[n,3] and int8[1,1].",
        ),
    ],
)
def test_take_needs_a_list_and_an_axis(x, channels, message):
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        Take().infer(TensorType(x, INT32), TensorType(channels, INT8))
