"""The decoders that docs/blob_format.md prints read what the formats pack."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.choose_formats import ENTROPY
from intaglio.errors import NumericError
from intaglio.ir.formats.base import Format
from intaglio.ir.formats.bits import flat, joined, matrix_shape, number, to_codes
from intaglio.ir.formats.costs import Costs
from intaglio.ir.formats.entropy_head import Head
from intaglio.ir.formats.entropy_symbols import Alphabet, tiles_of
from intaglio.ir.formats.table import FORMATS
from intaglio.ir.numeric import NumericType, int_type
from intaglio.ir.tensor import Tensor, TensorType

from .cases import TYPES, tensors

PAGE = Path(__file__).parents[3] / "docs" / "blob_format.md"
SECTION = re.search(r"^## Formats.*?(?=^## )", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
SIMPLE = {each.name: each for each in FORMATS.values() if each.name != "entropy"}
HEADINGS = re.findall(
    r"^\*\*(\d+) ([\w:]+)\.\*\*.*?^def (\w+)", SECTION[0], re.DOTALL | re.MULTILINE
)


def decoder(name: str) -> tuple[Any, Callable[..., list[int]]]:
    """The page's reader of bits, and its decoder of a format."""
    scope: dict[str, Any] = {}
    for source in re.findall(r"```python\n(.*?)```", SECTION[0], re.DOTALL):
        exec(source, scope)
    return scope["Bits"], scope[name]


def test_the_page_has_every_format_by_its_number() -> None:
    found = {(int(number), name.lower()) for number, name, _ in HEADINGS}
    assert found == {(each.id, each.name) for each in FORMATS.values()}


@pytest.mark.parametrize("format_", SIMPLE.values(), ids=SIMPLE)
@settings(max_examples=30)
@given(data=st.data())
def test_decoders_of_the_page_read_what_is_packed(format_: Format, data: st.DataObject) -> None:
    function = next(each for number, _, each in HEADINGS if int(number) == format_.id)
    reader, decode = decoder(function)
    tensor: Tensor = data.draw(tensors(data.draw(st.sampled_from(TYPES)), 6))
    if format_.size(tensor) is None:
        return
    bits = reader(format_.pack(tensor))
    codes = decode(bits, *matrix_shape(tensor.type), tensor.dtype.bits)
    assert codes == to_codes(flat(tensor), tensor.dtype).tolist()
    assert bits.stream == 0


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@settings(max_examples=3)
@given(data=st.data())
def test_the_decoder_of_the_entropy_code_reads_what_is_packed(
    dtype: NumericType, data: st.DataObject
) -> None:
    check_entropy(data.draw(tensors(dtype, 6)))


@pytest.mark.parametrize("shape", [(9, 2000), (300, 60)])
@pytest.mark.parametrize("density", [1, 0.3, 0.02])
def test_the_decoder_of_the_entropy_code_reads_tiles_tables_and_lanes(
    shape: tuple[int, int], density: float
) -> None:
    random = np.random.default_rng(0)
    widths = np.where(np.arange(shape[0]) % 2, 3, 30)[:, None]
    codes = np.clip(np.round(random.normal(size=shape) * widths), -127, 127)
    codes *= random.random(shape) < density
    check_entropy(Tensor(codes.astype(np.int8), int_type(8)))


def check_entropy(tensor: Tensor) -> None:
    reader, decode = decoder("entropy")
    bits = reader(ENTROPY.pack(tensor))
    signed = tensor.dtype.kind in ("int", "ternary")
    codes = decode(bits, *matrix_shape(tensor.type), tensor.dtype.bits, signed)
    assert codes == to_codes(flat(tensor), tensor.dtype).tolist()
    assert bits.stream == 0
    assert bits.left < 8


@pytest.mark.parametrize("sizes", [(2, 3), (3, 2)])
def test_tables_of_different_sizes_are_decoded_as_on_the_page(sizes: tuple[int, int]) -> None:
    tables = tuple(Costs(0, (0, *(16,) * (size - 1)), size) for size in sizes)
    elements = np.array([0, 1, 0, 1, 2, 2, 1, 0], np.uint64)
    classes = np.array([sizes.index(2), sizes.index(3)])
    head = Head(1, 18, 0, 0, tables, classes=classes, heads=np.zeros((2, 0), np.uint64))
    uint8 = int_type(8, signed=False)
    tile = tiles_of(Alphabet(uint8, 0), head, 4, ENTROPY.coder).encode(elements, 0)
    data = joined(number(0, 1), *head.fields(2, 4, 8, [len(tile)])) + tile
    reader, decode = decoder("entropy")
    found = ENTROPY.unpack(data, TensorType((2, 4), uint8)).array
    assert decode(reader(data), 2, 4, 8, False) == found.reshape(-1).tolist() == elements.tolist()


@pytest.mark.parametrize(("lo", "raw", "symbols"), [((1 << 64) - 2, 0, 3), (5, 60, 17)])
def test_elements_beyond_64_bits_are_refused(lo: int, raw: int, symbols: int) -> None:
    uint64, table = int_type(64, signed=False), Costs(0, (0,) * symbols, symbols)
    head = Head(1, 18, raw, lo, (table,), heads=np.zeros((1, 0), np.uint64))
    tiles = tiles_of(Alphabet(uint64, 0), replace(head, raw=0, lo=0), 2, ENTROPY.coder)
    tile = tiles.encode(np.array([0, symbols - 1], np.uint64), 0) + bytes(2 * raw // 8)
    data = joined(number(0, 1), *head.fields(1, 2, 64, [len(tile)])) + tile
    reader, decode = decoder("entropy")
    assert decode(reader(data), 1, 2, 64, False) == [lo, lo + (symbols - 1 << raw)]
    with pytest.raises(NumericError, match="element is not in uint64"):
        ENTROPY.unpack(data, TensorType((1, 2), uint64))
