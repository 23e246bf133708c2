"""Packed bytes that nobody packed: refused, or the only bytes of a constant; little memory."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import NumericError
from intaglio.ir.formats.base import Format
from intaglio.ir.formats.table import FORMATS
from intaglio.ir.numeric import BIPOLAR, TERNARY, NumericType, int_type
from intaglio.ir.tensor import Tensor, TensorType

from .cases import tensors

BY_NAME = {each.name: each for each in FORMATS.values()}
SIMPLE = [name for name in BY_NAME if name != "entropy"]
UNIQUE = ["dense", "codebook", "structured", "bitmap", "csr"]
"""Formats with nothing to choose: a constant has one packing."""
SEARCHED = ["n:m", "relative"]
"""Formats whose packing is the least of all that the head can name."""
INT1, INT4, INT8 = int_type(1), int_type(4), int_type(8)
MOST = (1 << 31) - 1


@st.composite
def altered(draw: st.DrawFn, format_: Format) -> tuple[bytes, TensorType]:
    """A packed constant with a few bits flipped, cut or longer."""
    dtype: NumericType = draw(st.sampled_from([INT1, INT4, INT8, int_type(13), TERNARY]))
    tensor: Tensor = draw(tensors(dtype, 5))
    packed = bytearray(format_.pack(tensor) if format_.size(tensor) else b"\0")
    for _ in range(draw(st.integers(0, 3)) if packed else 0):
        bit = draw(st.integers(0, 8 * len(packed) - 1))
        packed[bit // 8] ^= 1 << bit % 8
    end = draw(st.integers(0, len(packed))) if draw(st.integers(0, 5)) == 0 else len(packed)
    return bytes(packed[:end]) + draw(st.sampled_from([b"", b"", b"\0", b"\1"])), tensor.type


@pytest.mark.parametrize("name", SIMPLE)
@settings(max_examples=80)
@given(data=st.data())
def test_what_is_not_refused_is_what_pack_gives(name: str, data: st.DataObject) -> None:
    format_ = BY_NAME[name]
    hostile, type_ = data.draw(altered(format_))
    try:
        found = format_.unpack(hostile, type_)
    except NumericError:
        return
    assert found.type == type_
    if name in UNIQUE:
        assert format_.pack(found) == hostile
    if name in SEARCHED:
        assert len(format_.pack(found)) <= len(hostile)


@pytest.mark.parametrize("name", BY_NAME)
@given(data=st.binary(max_size=40), type_=st.sampled_from([INT8, TERNARY, int_type(64)]))
def test_bytes_at_random_raise_nothing_else(name: str, data: bytes, type_: NumericType) -> None:
    for shape in ((), (0,), (3, 0), (0, 3), (5,), (3, 7), (2, 3, 2, 2)):
        try:
            found = BY_NAME[name].unpack(data, TensorType(shape, type_))
        except NumericError:
            continue
        assert found.type == TensorType(shape, type_)


def peak(name: str, data: bytes, type_: TensorType) -> int:
    """Bytes reserved at most while unpacking, whatever comes of it."""
    tracemalloc.start()
    try:
        BY_NAME[name].unpack(data, type_)
    except NumericError:
        pass
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("shape", [(MOST, 0), (0, MOST), (MOST, 0, 1, 1), (1, MOST, 0, 1)], ids=str)
def test_rows_of_nothing_take_no_memory(name: str, shape: tuple[int, ...]) -> None:
    for data in (b"", bytes(1), bytes(2), bytes(4), bytes(5), b"\1\1", b"\x08" * 9, b"\xff" * 9):
        assert peak(name, data, TensorType(shape, INT8)) < 1 << 16


COUNT = 1 << 22


@pytest.mark.parametrize(
    ("name", "data", "shape"),
    [
        # Blocks of 255 by 255 in a matrix of one row: each holds 255 elements, not 65025.
        ("block", b"\xff\xff" + b"\xff" * (COUNT // 255 // 8 + 1), (1, COUNT)),
        ("block", b"\xff\x01" + b"\xff" * (COUNT // 8), (1, COUNT)),
        # Every element is named in no bits; none has a value.
        ("csr", COUNT.to_bytes(4, "little") + b"\xff" * (23 * COUNT // 8), (COUNT, 1)),
        ("csr", bytes(4), (COUNT, 1)),
        # None of 16 in rows of one.
        ("n:m", b"\xe0\1", (COUNT, 1)),
        ("n:m", b"\xff\1", (COUNT, 1)),
        ("relative", b"\x00" + COUNT.to_bytes(4, "little") + b"\xff" * (COUNT // 8), (COUNT,)),
        ("codebook", b"\0\0", (COUNT,)),
        ("structured", bytes(COUNT // 8 + 1), (COUNT, 1)),
        ("bitmap", bytes(COUNT // 8), (COUNT,)),
    ],
)
def test_memory_is_that_of_elements_and_a_small_multiple_of_the_data(
    name: str, data: bytes, shape: tuple[int, ...]
) -> None:
    # Twice the elements: a constant copies what it is given. 1 MiB: what is unpacked at a time.
    assert peak(name, data, TensorType(shape, INT8)) < 9 * COUNT + 40 * len(data) + (8 << 20)


def packed(text: str) -> bytes:
    """Fields ``number:width``, one after the other."""
    stream, at = 0, 0
    for each in text.split():
        value, width = map(int, each.split(":"))
        stream |= value << at
        at += width
    return stream.to_bytes(-(-at // 8), "little")


@pytest.mark.parametrize(
    ("name", "fields", "shape", "text"),
    [
        ("bitmap", "1:4 0:4", (4,), "A bitmap names an element that is 0."),
        (
            *("codebook", "2:8 0:4 1:4 7:4 0:2 1:2 2:2 3:2", (4,)),
            "An index is not among the 3 values of the codebook.",
        ),
        ("codebook", "1:8 1:4 1:4 0:1 1:1", (2,), "The values of a codebook do not ascend."),
        ("codebook", "1:8 0:4 1:4 0:1 0:1", (2,), "A codebook has a value that no element takes."),
        ("structured", "1:2 3:2 0:4 5:4", (2, 2), "A row or column that is kept has only zeros."),
        ("csr", "5:32 0:6", (2, 2), "5 of 4 elements are not 0."),
        (
            *("csr", "1:32 1:1 0:1 0:1 1:4", (2, 2)),
            "The rows and columns of a sparse matrix are not within it.",
        ),
        (
            *("csr", "1:32 1:1 1:1 3:2 1:4", (2, 3)),
            "The rows and columns of a sparse matrix are not within it.",
        ),
        (
            *("csr", "2:32 2:2 2:2 1:1 0:1 1:4 1:4", (2, 2)),
            "The places of a sparse matrix do not ascend.",
        ),
        ("csr", "1:32 0:1 1:1 0:1 0:4", (2, 2), "A sparse matrix names an element that is 0."),
        ("block", "0:8 4:8", (2, 2), "A block of 0 by 4 elements."),
        ("block", "1:8 2:8 1:1 0:4 0:4", (1, 2), "A block that is kept has only zeros."),
        ("n:m", "0:5 2:4", (2, 2), "A group has 0 of 3 elements."),
        ("n:m", "3:5 1:4", (2, 2), "A group has 3 of 2 elements."),
        (
            "n:m",
            "2:5 1:4 1:1 1:1 1:4 1:4",
            (1, 2),
            "The places of a group do not ascend within it.",
        ),
        ("n:m", "1:5 1:4 1:1 0:4", (1, 2), "A group names a zero that is not the first one left."),
        ("n:m", "1:5 1:4 0:1 0:4", (1, 2), "No group has as many elements as are stored for each."),
        ("n:m", "1:5 1:4 1:1 1:4", (1, 1), "A group has an element beyond its row."),
        ("relative", "0:4 5:32", (4,), "5 entries are more than 4 elements."),
        ("relative", "0:4 1:32 1:1 7:4", (1,), "A relative index leads beyond the elements."),
        (
            *("relative", "0:4 1:32 0:1 0:4", (4,)),
            "A relative index leads to a zero that is no filler.",
        ),
        (
            *("relative", "0:4 1:32 1:1 0:4", (4,)),
            "A relative index leads to a zero that is no filler.",
        ),
    ],
)
def test_refusals_say_what_is_wrong(
    name: str, fields: str, shape: tuple[int, ...], text: str
) -> None:
    with pytest.raises(NumericError) as error:
        BY_NAME[name].unpack(packed(fields), TensorType(shape, INT4))
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("structured", "63:6 255:8"),
        ("block", "2:8 4:8 1:1 255:8"),
        ("n:m", "2:5 1:4 170:8 255:8"),
        ("bitmap", "255:8 255:8"),
        ("csr", "8:32 4:4 8:4 58596:16 255:8"),
        ("relative", "0:4 8:32 0:8 255:8"),
    ],
)
def test_formats_that_leave_out_zeros_hold_none_of_a_type_without_zero(
    name: str, fields: str
) -> None:
    type_ = TensorType((2, 4), BIPOLAR)
    with pytest.raises(NumericError) as error:
        BY_NAME[name].unpack(packed(fields), type_)
    assert str(error.value) == f"The format '{name}' holds no bipolar[2,4]."
    assert BY_NAME[name].unpack(packed(fields), TensorType((2, 4), INT1)).array.all()
