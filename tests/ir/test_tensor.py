import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from intaglio.errors import NumericError
from intaglio.ir.layout import from_storage, storage_shape, to_storage
from intaglio.ir.numeric import BIPOLAR, FLOAT32, INT32, int_type
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real


def test_type_of_activation_knows_batch_sample_and_text():
    type_ = TensorType((BATCH, 3, 8, 8), int_type(4))
    assert type_.batched
    assert type_.sample_shape == (3, 8, 8)
    assert type_.elements == 192
    assert str(type_) == "int4[n,3,8,8]"
    assert type_.with_dtype(FLOAT32) == TensorType((BATCH, 3, 8, 8))


def test_type_of_constant_has_no_batch():
    type_ = real(np.zeros((2, 3))).type
    assert not type_.batched
    assert (type_.sample_shape, type_.elements, str(type_)) == ((2, 3), 6, "float32[2,3]")
    assert not TensorType(()).batched
    assert TensorType(()).elements == 1


def test_tensor_is_a_read_only_copy_in_the_container():
    source = np.array([1, 2, 3], dtype=np.int64)
    tensor = Tensor(source, int_type(3, signed=False))
    source[0] = 7
    assert tensor.array.tolist() == [1, 2, 3]
    assert tensor.array.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        tensor.array[0] = 0


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([8]), int_type(4)),
        (np.array([300]), int_type(8)),
        (np.array([-1]), int_type(8, signed=False)),
        (np.array([0]), BIPOLAR),
        (np.array([1.5]), INT32),
        (np.array([np.nan]), INT32),
        (np.array([1]), FLOAT32),
    ],
)
def test_tensor_refuses_elements_outside_its_type(array, dtype):
    expected = f"A constant has elements that are not values of {dtype}."
    with pytest.raises(NumericError, match=f"^{re.escape(expected)}$"):
        Tensor(array, dtype)


@given(arrays(np.int8, array_shapes(max_dims=3, max_side=3)))
def test_equal_tensors_have_equal_digests_and_hashes(array):
    tensor, again = Tensor(array, int_type(8)), Tensor(array.copy(), int_type(8))
    assert (tensor, hash(tensor), tensor.digest) == (again, hash(again), again.digest)
    assert re.fullmatch("[0-9a-f]{16}", tensor.digest)


def test_tensors_differ_by_type_shape_or_element():
    first = Tensor(np.array([0, 1]), int_type(8))
    others = [
        Tensor(np.array([0, 1]), int_type(7)),
        Tensor(np.array([0, 1]), int_type(8, signed=False)),
        Tensor(np.array([[0, 1]]), int_type(8)),
        Tensor(np.array([0, 2]), int_type(8)),
    ]
    assert all(first != other for other in others)
    assert first != "tensor"


@given(st.integers(1, 5).flatmap(lambda rank: arrays(np.int16, array_shapes(
    min_dims=rank, max_dims=rank, max_side=4))))  # fmt: skip
def test_storage_order_round_trips_and_has_the_stated_shape(array):
    stored = to_storage(array)
    assert stored.shape == storage_shape(array.shape)
    assert stored.flags.c_contiguous
    assert np.array_equal(from_storage(stored), array)


def test_rank_4_stores_channels_innermost():
    array = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    flat = to_storage(array).reshape(-1)
    assert flat[:6].tolist() == [*array[0, :, 0, 0], *array[0, :, 0, 1]]
    assert storage_shape((BATCH, 3, 8, 9)) == (BATCH, 8, 9, 3)
