import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import NumericError
from intaglio.ir.formats.base import Size
from intaglio.ir.formats.dense import Dense
from intaglio.ir.formats.table import FORMATS
from intaglio.ir.numeric import BIPOLAR, TERNARY, NumericType, int_type
from intaglio.ir.tensor import Tensor, TensorType

DENSE = Dense()
INTEGERS = [int_type(bits, signed=signed) for bits in range(1, 65) for signed in (True, False)]
TYPES = [*INTEGERS, BIPOLAR, TERNARY]


@st.composite
def tensors(draw: st.DrawFn, dtype: NumericType) -> Tensor:
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    element = st.integers(dtype.lo, dtype.hi)
    if dtype == BIPOLAR:
        element = st.sampled_from([-1, 1])
    size = int(np.prod(shape))
    flat = draw(st.lists(element, min_size=size, max_size=size))
    return Tensor(np.array(flat, dtype.container).reshape(shape), dtype)


def packed_by_hand(tensor: Tensor) -> bytes:
    """Element after element into one big integer."""
    array, bits = tensor.array, tensor.dtype.bits
    if array.ndim == 4:
        array = array.transpose(0, 2, 3, 1)
    stream = 0
    for index, element in enumerate(array.reshape(-1).tolist()):
        code = int(element == 1) if tensor.dtype == BIPOLAR else element % (1 << bits)
        stream |= code << index * bits
    return stream.to_bytes(-(-array.size * bits // 8), "little")


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@settings(max_examples=20)
@given(data=st.data())
def test_dense_packs_as_by_hand_and_unpacks_to_the_same_elements(
    dtype: NumericType, data: st.DataObject
) -> None:
    tensor = data.draw(tensors(dtype))
    packed = DENSE.pack(tensor)
    assert packed == packed_by_hand(tensor)
    assert len(packed) == DENSE.size(tensor).bytes
    unpacked = DENSE.unpack(packed, tensor.type)
    assert unpacked.type == tensor.type
    assert np.array_equal(unpacked.array, tensor.array)


def test_dense_bits_are_elements_times_bits() -> None:
    for shape, dtype, bits in (
        ((3, 5), int_type(3), 45),
        ((), int_type(7), 7),
        ((9,), TERNARY, 18),
    ):
        assert DENSE.size(Tensor(np.zeros(shape, dtype.container), dtype)) == Size(bits)


@pytest.mark.parametrize(
    ("elements", "dtype", "packed"),
    [
        ([1, -1, 2], int_type(3), b"\xb9\x00"),  # 001, 111, 010 from the least significant bit
        ([1, 15, 8], int_type(4, signed=False), b"\xf1\x08"),
        ([1, -1, -1, 1], BIPOLAR, b"\x09"),
        ([1, 0, -1], TERNARY, b"\x31"),
        ([-2, 0x1234], int_type(16), b"\xfe\xff\x34\x12"),
        ([-1], int_type(64), b"\xff" * 8),
    ],
)
def test_dense_bytes_are_those_of_the_document(
    elements: list[int], dtype: NumericType, packed: bytes
) -> None:
    assert DENSE.pack(Tensor(np.array(elements, dtype.container), dtype)) == packed


def test_a_rank_4_constant_is_packed_with_its_second_axis_innermost() -> None:
    array = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    packed = DENSE.pack(Tensor(array, int_type(8)))
    assert packed == bytes(
        array[o, i, y, x] for o in (0, 1) for y in (0, 1) for x in (0, 1) for i in range(3)
    )


@pytest.mark.parametrize("dtype", [int_type(3), int_type(13, signed=False), BIPOLAR], ids=str)
def test_tensors_of_several_chunks_pack_as_one_stream(dtype: NumericType) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(dtype.lo, dtype.hi, 2 * 65536 + 5, endpoint=True, dtype=np.int64)
    tensor = Tensor(np.where(array == 0, 1, array), dtype)
    assert DENSE.pack(tensor) == packed_by_hand(tensor)
    assert np.array_equal(DENSE.unpack(DENSE.pack(tensor), tensor.type).array, tensor.array)


def test_packing_takes_little_more_memory_than_its_result() -> None:
    tensor = Tensor(np.zeros(1 << 22, np.int8), int_type(7))
    tracemalloc.start()
    packed = DENSE.pack(tensor)
    DENSE.unpack(packed, tensor.type)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * (1 << 22)


@pytest.mark.parametrize(
    ("packed", "type_", "text"),
    [
        (b"\0\0", TensorType((3,), int_type(2)), "int2[3] is packed into 1 bytes, not 2."),
        (
            b"\x40",
            TensorType((3,), int_type(2)),
            "The bits that fill the last byte of a packed int2[3] are not 0.",
        ),
        (
            b"\x02",
            TensorType((1,), TERNARY),
            "A constant has elements that are not values of ternary.",
        ),
    ],
)
def test_unpack_refuses_what_pack_cannot_return(
    packed: bytes, type_: TensorType, text: str
) -> None:
    with pytest.raises(NumericError) as error:
        DENSE.unpack(packed, type_)
    assert str(error.value) == text


def test_formats_are_found_by_their_number() -> None:
    assert {number: format_.name for number, format_ in FORMATS.items()} == NAMES
    assert all(format_.id == number for number, format_ in FORMATS.items())


NAMES = {
    1: "dense",
    2: "codebook",
    3: "structured",
    4: "block",
    5: "n:m",
    6: "bitmap",
    7: "csr",
    8: "relative",
    9: "entropy",
}
