"""The META section of a blob: what people want to know of a program and execution does not need.

Deflated JSON::

    {"tool": "intaglio 0.1.0", "program": "lenet", "recipe": "...",
     "slots": [["image", "image", 0.0039, 0], ["w", ""], ...],
     "certificates": {"conv1": {"verdict": "certified", ...}}}

A slot is its name, its origin and, if it has an encoding, scale, zero point and, unless they are 0
and "half_up", offset and rounding: each but the last a number or a list with one per channel. JSON
prints a float64 so that it parses back to the same number.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..ir.certificate import Certificate
from ..ir.numeric import ROUNDINGS, Encoding
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
    if encoding is None:
        return [slot.name, slot.origin]
    more: list[Any] = [encoding.offset] if encoding.offset else []
    if encoding.rounding != "half_up":
        more = [encoding.offset, encoding.rounding]
    return [slot.name, slot.origin, encoding.scale, encoding.zero_point, *more]


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
    scale, zero_point, *more = encoding
    if len(more) > 2 or (len(more) == 2 and more[1] not in ROUNDINGS):
        raise ValueError("an encoding has at most three parameters and a rounding")
    parameters = (_numbers(scale, float), _numbers(zero_point, int))
    offset = (_numbers(each, float) for each in more[:1])
    return Label(_text(name), _text(origin), Encoding(*parameters, *offset, *more[1:]))


def _numbers(given: Any, kind: type[Any]) -> Any:
    """A number, or a list of numbers as a tuple; raises TypeError."""
    elements = given if isinstance(given, list) else [given]
    if not elements or not all(type(each) in (int, kind) for each in elements):
        raise TypeError("a parameter of an encoding is a number or a list of them")
    return tuple(map(kind, given)) if isinstance(given, list) else kind(given)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value
