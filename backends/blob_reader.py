"""A blob as a program. Files come from strangers: nothing is used before it is checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import prod

from ..errors import BlobError, NumericError
from ..ir.op import Op
from ..ir.program import ALIGNMENT, Exit, Program, Slot, Step
from ..ir.tensor import BATCH, Tensor, TensorType
from .blob_check import check
from .blob_layout import (
    DATA,
    DATA_ALIGNMENT,
    EXIT,
    EXITS,
    HEADER,
    MAGIC,
    MAJOR,
    MAX_ELEMENTS,
    MAX_RANK,
    MAX_SECTIONS,
    META,
    OPCODES,
    OPTIONAL,
    SECTION,
    SECTIONS,
    SLOT,
    SLOTS,
    STEP,
    STEPS,
    TILE,
    WORD,
    WORDS,
    Cursor,
    Header,
    Section,
    SlotRecord,
    StepRecord,
    altered,
    from_words,
    numeric_type,
)
from .blob_meta import Label, from_json, inflate
from .choose_formats import STORED

FREE = 16 << 20
"""Bytes of constants beyond the size of the file."""
_AGAIN = "Copy or download the file again."
_NEWER = "Update intaglio, or compile the network again with this version."


def read_blob(data: bytes, limit: int | None = None) -> Program:
    """The program in ``data``; raises BlobError unless every byte is as the format demands.

    Constants take at most ``limit`` bytes when unpacked, by default the file's and FREE more: a
    small file may say that it holds a great many zeros.
    """
    limit = len(data) + FREE if limit is None else limit
    header = _header(data)
    sections = _sections(memoryview(data), header)
    meta = from_json(inflate(sections[META]))
    words = Cursor([word for (word,) in WORD.iter_unpack(sections[WORDS])])
    program = Program(
        name=meta.program,
        inputs=words.take(header.inputs, "The inputs"),
        outputs=words.take(header.outputs, "The outputs"),
        slots=tuple(_slots(sections[SLOTS], sections[DATA], words, meta.slots, limit)),
        steps=tuple(_steps(sections[STEPS], words)),
        arena_bytes=header.arena_bytes,
        recipe=meta.recipe,
        certificates=meta.certificates,
        exits=tuple(Exit(*row) for row in EXIT.iter_unpack(sections.get(EXITS, b""))),
    )
    if words.at != len(words.words):
        raise altered(f"Slots and steps take {words.at} of the {len(words.words)} words.")
    check(program, altered)
    return program


def _header(data: bytes) -> Header:
    """The header of a whole file of a version that this reader knows."""
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise BlobError(
            f"This is not a blob: it begins with {data[:4]!r}, not with {MAGIC!r}.",
            fix="Give a file that intaglio wrote.",
        )
    if len(data) < HEADER.size:
        raise _truncated(len(data), f"not even the {HEADER.size} of its header")
    header = Header(*HEADER.unpack_from(data))
    if header.header_crc != zlib.crc32(data[: HEADER.size - 4]):
        raise _damaged("header")
    if header.major != MAJOR:
        raise BlobError(
            f"The blob has format version {header.major}.{header.minor}, this intaglio reads "
            f"{MAJOR}.x.",
            fix=_NEWER,
        )
    if header.flags or any(header.reserved):
        raise BlobError("The blob uses a feature that this intaglio does not know.", fix=_NEWER)
    if len(data) < header.file_bytes:
        raise _truncated(len(data), f"not {header.file_bytes}")
    if len(data) > header.file_bytes:
        extra = len(data) - header.file_bytes
        raise BlobError(f"{extra} bytes follow the end of the blob.", fix=_AGAIN)
    return header


def _truncated(size: int, wanted: str) -> BlobError:
    return BlobError(f"The blob is truncated: it has {size} bytes, {wanted}.", fix=_AGAIN)


def _damaged(part: str) -> BlobError:
    return BlobError(f"The blob is damaged: the checksum of its {part} does not match.", fix=_AGAIN)


def _sections(data: memoryview, header: Header) -> dict[bytes, memoryview]:
    """The bytes of each section by its id; sections of newer minor versions are among them."""
    end = HEADER.size + SECTION.size * header.sections
    if header.sections > MAX_SECTIONS or end > len(data):
        raise altered(f"A table of {header.sections} sections does not fit.")
    table = data[HEADER.size : end]
    if zlib.crc32(table) != header.table_crc:
        raise _damaged("section table")
    if header.alignment != ALIGNMENT or (header.tile_rows, header.tile_columns) != TILE:
        raise altered("Arena or weights are not laid out as in version 1.")
    found: dict[bytes, memoryview] = {}
    for row in SECTION.iter_unpack(table):
        section = Section(*row)
        found[section.id] = _section(section, data, end)
        end += section.size
    if end != len(data):
        raise altered(f"{len(data) - end} bytes follow the last section.")
    if len(found) != header.sections or not found.keys() >= SECTIONS.keys():
        wanted, names = (b", ".join(keys).decode("ascii", "replace") for keys in (SECTIONS, found))
        raise altered(f"A section is missing or there twice: wanted {wanted}, found {names}.")
    return found


def _section(section: Section, data: memoryview, begin: int) -> memoryview:
    """The bytes of a section, which begins where the one before it ended."""
    name, end = section.id.decode("ascii", "replace"), section.offset + section.size
    if section.offset != begin or end > len(data):
        raise altered(
            f"Section {name} lies at {section.offset}..{end}, not from {begin} on within "
            f"{len(data)} bytes."
        )
    found = data[begin:end]
    if zlib.crc32(found) != section.crc:
        raise _damaged(f"section {name}")
    if len(found) % (SECTIONS | OPTIONAL).get(section.id, 1):
        raise altered(f"Section {name} does not consist of whole records.")
    return found


def _slots(
    rows: memoryview, data: memoryview, words: Cursor, labels: tuple[Label, ...], limit: int
) -> Iterator[Slot]:
    """Every slot; the constants fill ``data`` one after the other."""
    count, end = len(rows) // SLOT.size, 0
    if count != len(labels):
        raise altered(f"There are {count} slots but names for {len(labels)}.")
    for row, label in zip(SLOT.iter_unpack(rows), labels, strict=True):
        record, where = SlotRecord.read(row), f"Tensor '{label.origin or label.name}'"
        type_, constant, offset = _type(record, words, where), None, record.offset
        if record.format:
            limit -= type_.elements * type_.dtype.container.itemsize
            _check_room(limit, where)
            constant, offset = _constant(record, type_, data[end:], end, where), 0
            end += record.size + -record.size % DATA_ALIGNMENT
        slot = Slot(label.name, type_, offset, constant, label.origin, label.encoding)
        if constant is None and record.size != slot.size_bytes:
            raise altered(f"{type_} takes {slot.size_bytes} bytes, not {record.size}.", where)
        yield slot
    if end != len(data):
        raise altered(f"The constants take {end} of the {len(data)} bytes of section DATA.")


def _check_room(left: int, where: str) -> None:
    if left < 0:
        raise BlobError(
            "The constants up to here take more memory than a file of this size may ask for.",
            where=where,
            fix="If you trust the file, read it with a higher limit, in bytes: --limit, in Python "
            "load(path, limit=...).",
        )


def _type(record: SlotRecord, words: Cursor, where: str) -> TensorType:
    if record.rank > MAX_RANK or record.first != words.at:
        raise altered(f"Its {record.rank} sizes lie at word {record.first}.", where)
    dims, dtype = words.take(record.rank, where), numeric_type(record.kind, record.bits, where)
    if any(dim < 0 for dim in dims) or prod(max(dim, 1) for dim in dims) > MAX_ELEMENTS:
        raise altered(f"Its sizes are {dims}.", where)
    return TensorType(dims if record.format else (BATCH, *dims), dtype)


def _constant(
    record: SlotRecord, type_: TensorType, rest: memoryview, begin: int, where: str
) -> Tensor:
    """The constant that lies at the start of ``rest``, which is at ``begin`` in DATA."""
    stored, padding = rest[: record.size], rest[record.size :][: -record.size % DATA_ALIGNMENT]
    if record.format not in STORED:
        raise altered(f"Its format {record.format} is unknown.", where)
    if record.offset != begin or record.size > len(rest) or any(padding):
        raise altered(
            f"Its {record.size} bytes at {record.offset} must begin at {begin}, lie within the "
            f"{begin + len(rest)} bytes of section DATA and be followed by zeros.",
            where,
        )
    try:
        return STORED[record.format].unpack(stored, type_)
    except NumericError as error:
        raise altered(error.what, where) from error


def _steps(rows: memoryview, words: Cursor) -> Iterator[Step]:
    """Every step; their words follow each other."""
    for number, row in enumerate(STEP.iter_unpack(rows)):
        record, where = StepRecord(*row), f"Step {number}"
        if record.first != words.at:
            raise altered(f"Its words begin at {record.first}, not at {words.at}.", where)
        inputs = words.take(record.inputs, where)
        parameters, epilogue = _epilogue(record.epilogue, words, where)
        op = from_words(_op(record.opcode, where), words, where)
        yield Step(op, inputs, record.output, epilogue, parameters)


def _epilogue(opcode: int, words: Cursor, where: str) -> tuple[tuple[int, ...], Op | None]:
    """The slots of an epilogue's parameters and its op; opcode 0 is none."""
    if opcode == 0:
        return (), None
    kind = _op(opcode, where)
    parameters = words.take(len(kind.inputs) - 1, where)
    return parameters, from_words(kind, words, where)


def _op(opcode: int, where: str) -> type[Op]:
    if opcode not in OPCODES:
        raise altered(f"Its opcode {opcode} is unknown.", where)
    return OPCODES[opcode]
