"""A program as a blob: the bytes of docs/blob_format.md."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from ..errors import VerifyError
from ..ir.program import ALIGNMENT, Exit, Program, Slot, Step
from .blob_check import check
from .blob_layout import (
    DATA,
    DATA_ALIGNMENT,
    EXIT,
    EXITS,
    KIND_CODES,
    MAGIC,
    MAJOR,
    MAX_BYTES,
    MAX_META_BYTES,
    META,
    MINOR,
    OPCODE_OF,
    SLOT,
    SLOTS,
    STEP,
    STEPS,
    TILE,
    WORD,
    WORDS,
    Header,
    SlotRecord,
    StepRecord,
    to_words,
)
from .blob_meta import to_json
from .blob_sections import joined
from .choose_formats import Storage, Stored

SMALLEST = Storage()


def write_blob(program: Program, storage: Storage = SMALLEST) -> bytes:
    """The bytes of ``program``; raises VerifyError when it is not legal or too large for a blob."""
    check(program, VerifyError)
    stored = [storage.store(slot) for slot in program.slots]
    offsets, data_bytes = _plan(program.slots, stored)
    words = [*program.inputs, *program.outputs]
    slots = [
        _slot(slot, constant, offset, words)
        for slot, constant, offset in zip(program.slots, stored, offsets, strict=True)
    ]
    steps = [_step(step, words) for step in program.steps]
    _fits(program, data_bytes + STEP.size * len(steps) + WORD.size * len(words))
    sections = {
        SLOTS: b"".join(SLOT.pack(*record) for record in slots),
        STEPS: b"".join(STEP.pack(*record) for record in steps),
        WORDS: b"".join(map(WORD.pack, words)),
        DATA: b"".join(_padded(each.data) for each in stored if each),
        META: zlib.compress(_meta(program), 9),
    }
    if program.exits:
        sections[EXITS] = exit_records(program.exits)
    return joined(_header(program), sections)


def exit_records(exits: Sequence[Exit]) -> bytes:
    """The content of the section EXIT."""
    return b"".join(EXIT.pack(each.slot, each.margin) for each in exits)


def _plan(slots: tuple[Slot, ...], stored: list[Stored | None]) -> tuple[list[int], int]:
    """Where each slot lies, constants one after the other in DATA, and the size of DATA."""
    offsets, end = [], 0
    for slot, constant in zip(slots, stored, strict=True):
        offsets.append(slot.offset if constant is None else end)
        if constant is not None:
            end += len(_padded(constant.data))
    return offsets, end


def _slot(slot: Slot, stored: Stored | None, offset: int, words: list[int]) -> SlotRecord:
    """The record of a slot; its sizes are appended to ``words``."""
    dims, dtype = slot.type.sample_shape, slot.type.dtype
    first = len(words)
    words += dims
    return SlotRecord(
        format=stored.format.id if stored else 0,
        kind=KIND_CODES[dtype.kind],
        bits=dtype.bits,
        rank=len(dims),
        offset=offset,
        size=len(stored.data) if stored else slot.size_bytes,
        first=first,
    )


def _step(step: Step, words: list[int]) -> StepRecord:
    """The record of a step; its operands and attributes are appended to ``words``."""
    first = len(words)
    words += [*step.inputs, *step.parameters]
    words += to_words(step.epilogue) if step.epilogue else []
    words += to_words(step.op)
    return StepRecord(
        opcode=OPCODE_OF[type(step.op)],
        epilogue=OPCODE_OF[type(step.epilogue)] if step.epilogue else 0,
        output=step.output,
        inputs=len(step.inputs),
        first=first,
    )


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % DATA_ALIGNMENT)


def _meta(program: Program) -> bytes:
    text = to_json(program)
    if len(text) > MAX_META_BYTES:
        raise VerifyError(
            f"Names, recipe and certificates take {len(text)} bytes; a blob holds "
            f"{MAX_META_BYTES}.",
            where=f"Program '{program.name}'",
            fix="Shorten the names in the model.",
        )
    return text


def _fits(program: Program, size: int) -> None:
    """Raise VerifyError when constants, steps and words leave no room within 32-bit offsets."""
    if size > MAX_BYTES - (1 << 24):
        raise VerifyError(
            f"Its constants and steps take {size} bytes; a blob holds less than 4 GiB.",
            where=f"Program '{program.name}'",
            fix="Use fewer bits for the weights, or prune the network.",
        )


def _header(program: Program) -> Header:
    """The header of a program's blob; sizes and checksums are filled in when it is joined."""
    return Header(
        magic=MAGIC,
        major=MAJOR,
        minor=MINOR,
        flags=0,
        file_bytes=0,
        arena_bytes=program.arena_bytes,
        alignment=ALIGNMENT,
        sections=0,
        inputs=len(program.inputs),
        outputs=len(program.outputs),
        tile_rows=TILE[0],
        tile_columns=TILE[1],
        reserved=b"",
        table_crc=0,
        header_crc=0,
    )
