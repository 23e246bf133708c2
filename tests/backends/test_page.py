"""The page: self-contained, escaped, and images that decode to what was given."""

import base64
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.backends.page import Card, Page, Picture, parts, png, render
from intaglio.backends.summary import Layer, Sizes
from intaglio.errors import UsageError
from intaglio.ir.certificate import Certificate, Difference
from intaglio.ir.numeric import NumericType
from intaglio.ir.tensor import TensorType

UINT8 = NumericType.parse("uint8")
DIFFERS = Certificate("differs", "requantize", -7, 9, 1, 1, (Difference(0, 3, 4, 5),))


def decoded(image: bytes) -> np.ndarray:
    """A second reader of what PNG calls 8-bit grayscale without filters."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(image):
        size, kind = int.from_bytes(image[at : at + 4], "big"), image[at + 4 : at + 8]
        data = image[at + 8 : at + 8 + size]
        assert int.from_bytes(image[at + 8 + size : at + 12 + size], "big") == zlib.crc32(
            kind + data
        )
        chunks[kind], at = data, at + 12 + size
    width, height = (int.from_bytes(chunks[b"IHDR"][i : i + 4], "big") for i in (0, 4))
    assert chunks[b"IHDR"][8:] == bytes([8, 0, 0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width)
    assert not rows[:, 0].any()
    return rows[:, 1:]


def page(**changes: object) -> Page:
    given = {
        "title": "Title",
        "lead": "Lead.",
        "cards": [Card("Accuracy", "91 %", "of 10")],
        "sizes": Sizes(weights=60, parameters=20, records=15, metadata=5),
        "float_bytes": 400,
        "layers": [
            Layer(
                "v",
                "/conv",
                "conv",
                TensorType(("n", 2, 3), UINT8),
                "int4",
                60,
                (-700, 900),
                11,
                DIFFERS,
            ),
            Layer("w", "", "reshape", TensorType(("n", 6), UINT8), "", 0, None, 0, None),
        ],
        "pictures": [
            Picture(np.full((2, 2), 7, np.uint8), "coat", "coat"),
            Picture(np.full((2, 2), 9, np.uint8), "bag", "dress"),
        ],
        "pictures_remark": "Two.",
        "details": [("Recipe", "lower")],
    }
    return Page(**(given | changes))


class Reader(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_png_decodes_to_its_pixels(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), np.zeros((1, 2, 2), np.uint8)])
def test_a_png_of_anything_but_gray_bytes_is_refused(pixels: np.ndarray) -> None:
    text = f"An image is (h, w) uint8, not {pixels.dtype}{list(pixels.shape)}."
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        png(pixels)


def test_the_page_refers_to_nothing_outside_itself() -> None:
    html = render(page())
    assert not re.search(r"https?:|@import|url\(", html)
    read = Reader(html)
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "iframe"})
    sources = [attributes["src"] for tag, attributes in read.tags if tag == "img"]
    images = [decoded(base64.b64decode(source.split(",")[1])) for source in sources]
    assert [image[0, 0] for image in images] == [7, 9]


def test_names_from_a_model_are_escaped() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    layer = Layer(hostile, "", hostile, TensorType(("n", 1), UINT8), "", 0, None, 0, None)
    html = render(page(title=hostile, layers=[layer], details=[(hostile, hostile)]))
    assert "<script" not in html
    assert Reader(html).text.count(hostile) == 6


def test_every_layer_shows_its_accumulator_and_its_proof() -> None:
    text = Reader(render(page())).text
    assert "/conv conv 2x3 uint8 int4 60 -700 … 900 11 differs" in text
    assert "w reshape 6 uint8 no rescaling" in text


def test_wrong_predictions_are_marked() -> None:
    text = Reader(render(page())).text
    assert "Two. coat bag read as dress" in text


def test_the_parts_of_the_bar_are_in_proportion_to_the_longer_side() -> None:
    assert [part.percent for part in parts(page())] == [15.0, 5.0, 3.75, 1.25]
    small = page(float_bytes=50)
    assert [part.percent for part in parts(small)] == [60.0, 20.0, 15.0, 5.0]
    assert 'class="float" style="width:50.00%"' in render(small)
