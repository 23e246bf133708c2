"""One self-contained HTML page about a compiled network and what it did on images."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ..errors import UsageError
from ..ir.numeric import Array
from .summary import Layer, Sizes

TEMPLATE = "page.html.j2"


@dataclass(frozen=True, slots=True)
class Card:
    """A number that matters, with its name above and a remark below."""

    name: str
    value: str
    remark: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A gray image ``(h, w)`` uint8 with its class and what the network sees in it."""

    pixels: Array
    label: str
    predicted: str

    @property
    def right(self) -> bool:
        """Whether the network sees what the image shows."""
        return self.label == self.predicted

    @property
    def source(self) -> str:
        """The image as a data URI."""
        return "data:image/png;base64," + base64.b64encode(png(self.pixels)).decode()


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows, from top to bottom; ``float_bytes`` are the weights as float32."""

    title: str
    lead: str
    cards: Sequence[Card]
    sizes: Sizes
    float_bytes: int
    layers: Sequence[Layer]
    pictures: Sequence[Picture]
    pictures_remark: str
    details: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar: what the bytes hold, how many, in percent of the float32 weights."""

    name: str
    size: int
    percent: float


def render(page: Page) -> str:
    """The page as HTML; every text in it is escaped."""
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment.from_string(source).render(page=page, parts=parts(page))


def parts(page: Page) -> list[Part]:
    """The pieces of the blob, the largest kind first; percentages for a bar of the longer side."""
    whole = max(page.float_bytes, page.sizes.total)
    pieces = page.sizes.to_json()
    del pieces["total"]
    return [Part(name, size, 100 * size / whole) for name, size in pieces.items()]


def png(pixels: Array) -> bytes:
    """A PNG file of gray pixels ``(h, w)`` or colours ``(h, w, 3)``, uint8.

    Raises UsageError for any other array.
    """
    known = pixels.ndim == 2 or pixels.shape[2:] == (3,)
    if not known or pixels.dtype != np.uint8 or not pixels.size:
        raise UsageError(f"An image is (h, w) uint8, not {pixels.dtype}{list(pixels.shape)}.")
    height, width = pixels.shape[:2]
    kind = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
