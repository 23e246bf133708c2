"""The fixed parts of a blob, shared by writer and reader. docs/blob_format.md is the law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from struct import Struct
from typing import Any, NamedTuple, get_args, get_type_hints

from ..errors import BlobError
from ..ir.numeric import Kind, NumericType
from ..ir.op import Op
from ..ir.ops_arg import ArgMax
from ..ir.ops_crop import Crop
from ..ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from ..ir.ops_linear import Conv, Dense, GatherConv
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add
from ..ir.ops_pool import MaxPool, SumPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.ops_softmax import Softmax

MAGIC = b"INTG"
MAJOR, MINOR = 1, 2
TILE = (1, 1)
"""Rows and columns of the tiles in which weights are stored: 1 x 1 is plain storage order."""

SLOTS, STEPS, WORDS, DATA, META = b"SLOT", b"STEP", b"WORD", b"DATA", b"META"
EXITS = b"EXIT"
DATA_ALIGNMENT = 4

MAX_RANK = 4
MAX_SECTIONS = 64
MAX_SLOTS = 0xFFFF
MAX_ELEMENTS = 0x7FFF_FFFF
MAX_BYTES = 0xFFFF_FFFF
MAX_ARENA_BYTES = 1 << 30
MAX_META_BYTES = 1 << 22


def altered(what: str, where: str = "") -> BlobError:
    """The error for a blob that is whole but does not say what the format demands."""
    return BlobError(
        what,
        where=where,
        fix="The file was altered or comes from another version: update intaglio, or compile the "
        "network again.",
    )


class Header(NamedTuple):
    """The first 64 bytes."""

    magic: bytes
    major: int
    minor: int
    flags: int
    file_bytes: int
    arena_bytes: int
    alignment: int
    sections: int
    inputs: int
    outputs: int
    tile_rows: int
    tile_columns: int
    reserved: bytes
    table_crc: int
    header_crc: int


class Section(NamedTuple):
    """A row of the section table: offset from the start of the file, size in bytes."""

    id: bytes
    offset: int
    size: int
    crc: int


class SlotRecord(NamedTuple):
    """A tensor; format 0 is an activation in the arena, any other a constant in DATA.

    Its sizes are ``rank`` words from ``first`` on.
    """

    format: int
    kind: int
    bits: int
    rank: int
    offset: int
    size: int
    first: int

    @classmethod
    def read(cls, row: tuple[int, ...]) -> SlotRecord:
        """The record whose numbers ``SLOT`` unpacked."""
        return cls(*row)


class StepRecord(NamedTuple):
    """An op and its epilogue; what they need are words from ``first`` on.

    In this order: ``inputs`` slots, the epilogue's parameters, its attributes, the op's attributes.
    """

    opcode: int
    epilogue: int
    output: int
    inputs: int
    first: int


HEADER = Struct("<4sHHIIIHHHHHH24sII")
SECTION = Struct("<4sIII")
SLOT = Struct("<BBBBIII")
STEP = Struct("<HHHHI")
WORD = Struct("<i")
EXIT = Struct("<II")
"""A slot and the margin of its codes."""

SECTIONS = {SLOTS: SLOT.size, STEPS: STEP.size, WORDS: WORD.size, DATA: DATA_ALIGNMENT, META: 1}
"""The sections that every blob has and the size of their records."""
OPTIONAL = {EXITS: EXIT.size}
"""Those that some have."""

KINDS: dict[int, Kind] = {1: "int", 2: "uint", 3: "bipolar", 4: "ternary"}
KIND_CODES = {kind: code for code, kind in KINDS.items()}
_FIXED_BITS = {"bipolar": 1, "ternary": 2}

OPCODES: dict[int, type[Op]] = {
    1: Conv,
    2: Dense,
    3: Add,
    4: SumPool,
    5: MaxPool,
    6: Requantize,
    7: Threshold,
    8: Lookup,
    9: Reshape,
    10: Transpose,
    11: Slice,
    12: Pad,
    13: Concat,
    14: Multiply,
    15: MatMul,
    16: Softmax,
    17: ArgMax,
    18: LayerNorm,
    19: GatherConv,
    20: Take,
    21: Crop,
}
OPCODE_OF = {op: code for code, op in OPCODES.items()}
EPILOGUES = (Requantize, Threshold, Lookup)


def numeric_type(kind: int, bits: int, where: str) -> NumericType:
    """The type that those two numbers stand for; raises BlobError."""
    name = KINDS.get(kind)
    if name is None or not 1 <= bits <= 64 or _FIXED_BITS.get(name, bits) != bits:
        raise altered(f"There is no numeric type of kind {kind} with {bits} bits.", where)
    return NumericType(name, bits)


@cache
def attribute_types(op: type[Op]) -> tuple[tuple[str, Any], ...]:
    """Name and annotation of each attribute, in declared order."""
    hints = get_type_hints(op)
    return tuple((field.name, hints[field.name]) for field in fields(op))  # type: ignore[arg-type]


def tuple_length(annotation: Any) -> Any:
    """Length of the tuple, ``...`` when it varies, None when the attribute is one number."""
    args = get_args(annotation)
    if not args:
        return None
    return ... if args[-1] is ... else len(args)


def to_words(op: Op) -> list[int]:
    """The attributes as signed 32-bit words: a tuple of varying length begins with its length."""
    words: list[int] = []
    for name, annotation in attribute_types(type(op)):
        value = getattr(op, name)
        if isinstance(value, NumericType):
            words.append(KIND_CODES[value.kind] | value.bits << 8)
        elif isinstance(value, tuple):
            words += [len(value)] if tuple_length(annotation) is ... else []
            words += map(int, value)
        else:
            words.append(int(value))
    return words


@dataclass
class Cursor:
    """A place in the section WORD, from which what follows is taken."""

    words: Sequence[int]
    at: int = 0

    def take(self, count: int, where: str) -> tuple[int, ...]:
        """The next ``count`` words; raises BlobError when there are not so many."""
        first, self.at = self.at, self.at + count
        if not first <= self.at <= len(self.words):
            raise altered(f"Its words {first}..{self.at} are not among {len(self.words)}.", where)
        return tuple(self.words[first : self.at])


def from_words(op: type[Op], words: Cursor, where: str) -> Op:
    """The op whose ``to_words`` come next; raises BlobError."""
    given = {name: _attribute(annotation, words, where) for name, annotation in attribute_types(op)}
    return op(**given)


def _attribute(annotation: Any, words: Cursor, where: str) -> Any:
    length = tuple_length(annotation)
    if length is ...:
        (length,) = words.take(1, where)
    if length is not None:
        return words.take(length, where)
    (word,) = words.take(1, where)
    return numeric_type(word & 0xFF, word >> 8, where) if annotation is NumericType else word
