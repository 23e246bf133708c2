"""Every format but the entropy code: what goes in comes out, hostile bytes do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import NumericError
from intaglio.ir.formats.base import Size
from intaglio.ir.formats.table import FORMATS
from intaglio.ir.numeric import BIPOLAR, TERNARY, NumericType, int_type
from intaglio.ir.tensor import Tensor

from .cases import TYPES, tensors

SIMPLE = {each.name: each for each in FORMATS.values() if each.name != "entropy"}
INT8, INT4 = int_type(8), int_type(4)


@pytest.mark.parametrize("name", SIMPLE)
@settings(max_examples=50)
@given(data=st.data())
def test_a_constant_comes_back_and_takes_what_size_says(name: str, data: st.DataObject) -> None:
    format_ = SIMPLE[name]
    tensor = data.draw(tensors(data.draw(st.sampled_from(TYPES)), 6))
    size = format_.size(tensor)
    if size is None:
        with pytest.raises(NumericError, match=f"The format '{name}' cannot hold this"):
            format_.pack(tensor)
        return
    packed = format_.pack(tensor)
    assert len(packed) == size.bytes
    assert format_.unpack(packed, tensor.type) == tensor


@pytest.mark.parametrize("name", SIMPLE)
@settings(max_examples=40)
@given(data=st.data())
def test_hostile_bytes_are_refused_or_a_constant_of_the_type(
    name: str, data: st.DataObject
) -> None:
    format_ = SIMPLE[name]
    dtype: NumericType = data.draw(st.sampled_from([INT4, INT8, int_type(13), TERNARY]))
    tensor, other = data.draw(tensors(dtype, 5)), data.draw(tensors(dtype, 5))
    packed = bytearray(format_.pack(other) if format_.size(other) else b"")
    for _ in range(data.draw(st.integers(0, 3)) if packed else 0):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = format_.unpack(bytes(packed), tensor.type)
    except NumericError:
        return
    assert found.type == tensor.type
    assert dtype.contains(found.array)


def tensor_of(rows: list[list[int]], dtype: NumericType = INT4) -> Tensor:
    return Tensor(np.array(rows, dtype.container), dtype)


SPARSE = tensor_of([[0, 0, 3, 0], [0, 0, 0, 0], [0, 0, -1, 2]])


@pytest.mark.parametrize(
    ("name", "tensor", "size", "packed"),
    [
        # K - 1 = 2; codes 0, 1, 7 of 4 bits; indices of 2 bits: 0, 2, 1, 1
        ("codebook", tensor_of([[0, 7, 1, 1]]), Size(8, 0, 20), "02 10 87 05"),
        # rows 101, columns 0011, then 3, 0, -1, 2
        ("structured", SPARSE, Size(16, 7), "e5 81 17"),
        # mask 0010 0000 0011, then 3, -1, 2
        ("bitmap", SPARSE, Size(12, 12), "04 3c 2f"),
        # 3 elements; ends 1, 1, 3 of 2 bits; columns 2, 2, 3; values
        ("csr", SPARSE, Size(12, 12, 32), "03 00 00 00 b5 3e 2f"),
        # blocks of 1 by 4, mask 1000, then 1, 2, 3, -1
        ("block", tensor_of([[1, 2, 3, -1], *[[0] * 4] * 3]), Size(16, 4, 16), "01 04 11 32 0f"),
        # n = 1 in 5 bits, m - 1 = 1 in 4; places 0, 0 of 1 bit; 1, 2
        ("n:m", tensor_of([[1, 0, 2, 0]]), Size(8, 2, 9), "21 08 01"),
        # k - 1 = 2 in 4 bits, 2 entries in 32; 2 and 5 zeros of 3 bits; 3, -1
        (
            *("relative", tensor_of([[0, 0, 3, 0, 0, 0, 0, 0, -1]])),
            *(Size(8, 6, 36), "22 00 00 00 a0 ce 03"),
        ),
    ],
)
def test_bytes_are_those_of_the_document(
    name: str, tensor: Tensor, size: Size, packed: str
) -> None:
    assert SIMPLE[name].size(tensor) == size
    assert SIMPLE[name].pack(tensor).hex(" ") == packed


def test_fillers_of_relative_indices_are_counted() -> None:
    far = np.zeros(200, np.int8)
    far[[0, 1, 199]] = 1
    # k = 1: a filler for each two of 197 zeros; k = 8 none; the least of all is taken.
    entries = {k: 3 + (197 >> k) for k in range(1, 17)}
    least = min(entries, key=lambda k: entries[k] * (k + 8))
    size = SIMPLE["relative"].size(Tensor(far, INT8))
    assert size == Size(entries[least] * 8, entries[least] * least, 36)


def test_two_of_four_take_a_place_and_a_value_each() -> None:
    weights = tensor_of([[1, 0, 2, 0, 0, 3, 0, 4], [0, 0, 5, 6, 7, 0, 0, 0]])
    size = SIMPLE["n:m"].size(weights)
    assert size == Size(8 * 4, 8 * 2, 9)


def test_blocks_of_zeros_take_a_bit() -> None:
    weights = np.zeros((16, 16), np.int8)
    weights[4:8, 8:12] = 1
    assert SIMPLE["block"].size(Tensor(weights, INT8)) == Size(16 * 8, 16, 16)


@pytest.mark.parametrize("name", ["structured", "block", "n:m", "bitmap", "csr", "relative"])
def test_what_has_no_zero_cannot_leave_it_out(name: str) -> None:
    assert SIMPLE[name].size(Tensor(np.ones((2, 2), np.int8), BIPOLAR)) is None


def test_a_codebook_of_more_than_256_values_is_none() -> None:
    assert SIMPLE["codebook"].size(Tensor(np.arange(257, dtype=np.int16), int_type(16))) is None
