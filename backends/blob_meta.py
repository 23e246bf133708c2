"""The META section of a blob: what people want to know of a program and execution does not need.

Deflated JSON::

    {"tool": "intaglio 0.1.0", "program": "lenet", "recipe": "...",
     "slots": [["image", "image", 0.0039, 0], ["w", ""], ...],
     "certificates": {"conv1": {"verdict": "certified", ...}}}

A slot is its name, its origin and, if it has an encoding, scale and zero point. JSON prints a
float64 so that it parses back to the same number.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..ir.certificate import Certificate
from ..ir.numeric import Encoding
from ..ir.program import Program, Slot
from .blob_layout import MAX_META_BYTES, altered


@dataclass(frozen=True, slots=True)
class Label:
    """What META knows of a slot."""

    name: str
    origin: str
    encoding: Encoding | None


@dataclass(frozen=True, slots=True)
class Metadata:
    """The content of META; ``slots`` in the order of the program's."""

    program: str
    recipe: str
    slots: tuple[Label, ...]
    certificates: Mapping[str, Certificate]


def to_json(program: Program) -> bytes:
    """The JSON of META, not yet deflated."""
    content = {
        "tool": f"intaglio {version('intaglio')}",
        "program": program.name,
        "recipe": program.recipe,
        "slots": [_slot(slot) for slot in program.slots],
        "certificates": {key: proof.to_json() for key, proof in program.certificates.items()},
    }
    numpy_too = int  # certificates may hold numpy's integers, which json does not know
    return json.dumps(content, separators=(",", ":"), default=numpy_too).encode()


def _slot(slot: Slot) -> list[Any]:
    encoding = slot.encoding
    tail = [float(encoding.scale), int(encoding.zero_point)] if encoding else []
    return [slot.name, slot.origin, *tail]


def inflate(data: bytes | memoryview) -> bytes:
    """The JSON of META; raises BlobError, also when it would be larger than MAX_META_BYTES."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, MAX_META_BYTES + 1)
    except zlib.error as error:
        raise altered("Section META is not deflated data.") from error
    if len(found) > MAX_META_BYTES:
        raise altered(f"Section META inflates to more than {MAX_META_BYTES} bytes.")
    if not stream.eof or stream.unused_data:
        raise altered("Section META is not one whole deflate stream.")
    return found


def from_json(text: bytes) -> Metadata:
    """The inverse of ``to_json``; raises BlobError."""
    try:
        content = json.loads(text)
        return Metadata(
            _text(content["program"]),
            _text(content["recipe"]),
            tuple(_label(*entry) for entry in content["slots"]),
            {key: Certificate.from_json(proof) for key, proof in content["certificates"].items()},
        )
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise altered("Section META is not the JSON that describes a program.") from error


def _label(name: Any, origin: Any, *encoding: Any) -> Label:
    if not encoding:
        return Label(_text(name), _text(origin), None)
    scale, zero_point = encoding
    if type(scale) not in (int, float) or type(zero_point) is not int:
        raise TypeError("an encoding is a number and an integer")
    return Label(_text(name), _text(origin), Encoding(float(scale), zero_point))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value
