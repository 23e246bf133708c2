import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.errors import BlobError
from intaglio.ir.certificate import Certificate
from intaglio.ir.numeric import BIPOLAR, INT32, TERNARY, Encoding, int_type
from intaglio.ir.ops_layout import Concat, Pad, Slice
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.ops_quant import Lookup, Requantize, Threshold
from intaglio.ir.program import Program, Slot, Step
from intaglio.ir.tensor import Tensor, TensorType

UINT2, UINT4 = int_type(2, signed=False), int_type(4, signed=False)
AGAIN = " Copy or download the file again."
NEWER = " Update intaglio, or compile the network again with this version."
TOO_MUCH = (
    "The constants up to here take more memory than a file of this size may ask for. If you trust "
    "the file, read it with a higher limit, in bytes: --limit, in Python load(path, limit=...)."
)
ALTERED = (
    " The file was altered or comes from another version: update intaglio, or compile the network "
    "again."
)
Sections = dict[bytes, bytes]


def activation(name: str, shape: tuple[int, ...], dtype: object, offset: int) -> Slot:
    return Slot(name, TensorType(("n", *shape), dtype), offset, None, f"/{name}", Encoding(0.5, 1))


def constant(name: str, elements: object, dtype: object) -> Slot:
    tensor = Tensor(np.array(elements, dtype.container), dtype)
    return Slot(name, tensor.type, constant=tensor)


def program() -> Program:
    """Most ops in a line, constants of every kind."""
    slots = (
        activation("x", (2, 3, 3), UINT2, 0),
        constant("weight", np.where(np.arange(12).reshape(3, 2, 1, 2) % 3, 1, -1), BIPOLAR),
        constant("thresholds", [[-1, 1, 2]], int_type(3)),
        activation("conv", (3, 3, 2), UINT2, 64),
        activation("pool", (3, 3, 1), UINT2, 0),
        constant("table", [3, 1, 2, 0], UINT2),
        activation("lookup", (3, 3, 1), UINT2, 128),
        activation("concat", (9, 3, 1), UINT2, 192),
        activation("slice", (5, 3, 1), UINT2, 0),
        activation("pad", (5, 3, 3), UINT2, 64),
        activation("sum", (5, 3, 3), INT32, 128),
        constant("dense", [[1, 0, -1]] * 3, TERNARY),
        constant("bias", [5, -6, 7], int_type(4)),
        constant("multiplier", [3, 4, 5, 6, 7], int_type(64)),
        constant("addend", [-9], int_type(9)),
        constant("shift", 2, UINT4),
        activation("y", (5, 3, 3), UINT4, 0),
    )
    steps = (
        Step(Conv(), (0, 1), 3, Threshold(UINT2, 0), (2,)),
        Step(MaxPool((2, 2), pads=(1, 0, 0, 0)), (3,), 4),
        Step(Lookup(UINT2, 0), (4, 5), 6),
        Step(Concat(1), (6, 4, 6), 7),
        Step(Slice((0, 0, 0), (9, 3, 1), (2, 1, 1)), (7,), 8),
        Step(Pad((0, 0, 1), (0, 0, 1), 3), (8,), 9),
        Step(Add((1, -2)), (9, 9), 10),
        Step(Dense(), (10, 11, 12), 16, Requantize(UINT4, 1, 9), (13, 14, 15)),
    )
    proofs = {"y": Certificate("certified", "affine", -5, 9)}
    return Program("net", slots, steps, (0,), (16,), 320, "recipe", proofs)


BLOB = write_blob(program())
IDS = (b"SLOT", b"STEP", b"WORD", b"DATA", b"META")


def split(blob: bytes) -> Sections:
    """The sections by the numbers in the document."""
    table = [struct.unpack_from("<4sIII", blob, 64 + 16 * row) for row in range(5)]
    return {key: blob[offset : offset + size] for key, offset, size, _ in table}


def seal(
    sections: list[tuple[bytes, bytes]],
    arena: int = 320,
    table: Callable[[list[list[int]]], None] = lambda rows: None,
    **changes: int,
) -> bytes:
    """A file of these sections whose sizes, offsets and checksums are right, before ``changes``."""
    end, rows = 64 + 16 * len(sections), []
    for key, content in sections:
        rows.append([key, end, len(content), zlib.crc32(content)])
        end += len(content)
    table(rows)
    packed = b"".join(struct.pack("<4sIII", *row) for row in rows)
    fields = {
        "major": 1,
        "minor": 2,
        "flags": 0,
        "file_bytes": end,
        "arena": arena,
        "alignment": 64,
        "count": len(sections),
        "inputs": 1,
        "outputs": 1,
        "rows": 1,
        "columns": 1,
        "reserved": 0,
    }
    values = (fields | changes).values()
    head = struct.pack("<4sHHIIIHHHHHHI20xI", b"INTG", *values, zlib.crc32(packed))
    contents = b"".join(content for _, content in sections)
    return head + struct.pack("<I", zlib.crc32(head)) + packed + contents


def sealed(changed: Sections | None = None, **changes: object) -> bytes:
    """The blob with other sections or header fields, and every checksum right."""
    return seal(list((split(BLOB) | (changed or {})).items()), **changes)


def patched(key: bytes, offset: int, layout: str, *values: int) -> bytes:
    """The blob with ``values`` at ``offset`` of a section, and every checksum right."""
    content = bytearray(split(BLOB)[key])
    struct.pack_into("<" + layout, content, offset, *values)
    return sealed({key: bytes(content)})


def meta(**changes: object) -> bytes:
    """The blob with other metadata."""
    content = json.loads(zlib.decompress(split(BLOB)[b"META"])) | changes
    return sealed({b"META": zlib.compress(json.dumps(content).encode())})


def refusal(blob: bytes) -> str:
    with pytest.raises(BlobError) as error:
        read_blob(blob)
    return str(error.value)


def test_a_resealed_blob_is_the_blob() -> None:
    assert sealed() == BLOB
    assert read_blob(BLOB) == program()


def test_every_truncation_is_refused_as_such() -> None:
    for size in range(len(BLOB)):
        wanted = "not even the 64 of its header" if size < 64 else f"not {len(BLOB)}"
        assert refusal(BLOB[:size]) == (
            f"The blob is truncated: it has {size} bytes, {wanted}.{AGAIN}"
        )


def test_every_flipped_bit_is_refused_as_damage() -> None:
    parts = {60: "header", 144: "section table"}
    end = 144
    for key, content in split(BLOB).items():
        end += len(content)
        parts[end] = f"section {key.decode()}"
    parts[64] = "header"
    for position in range(4, len(BLOB)):
        part = parts[min(limit for limit in parts if limit > position)]
        for bit in range(8):
            flipped = bytearray(BLOB)
            flipped[position] ^= 1 << bit
            assert refusal(bytes(flipped)) == (
                f"The blob is damaged: the checksum of its {part} does not match.{AGAIN}"
            )


def test_a_flipped_bit_in_the_magic_makes_it_another_file() -> None:
    for position in range(32):
        flipped = bytearray(BLOB)
        flipped[position // 8] ^= 1 << position % 8
        assert refusal(bytes(flipped)) == (
            f"This is not a blob: it begins with {bytes(flipped[:4])!r}, not with b'INTG'. Give a "
            "file that intaglio wrote."
        )


def test_a_newer_minor_version_may_add_sections() -> None:
    sections = [*split(BLOB).items(), (b"NEWS", b"later")]
    assert read_blob(seal(sections, minor=1)) == program()


def twice(rows: list[list[int]]) -> None:
    rows[2][0] = b"DATA"


def overlapping(rows: list[list[int]]) -> None:
    rows[2][1] -= 4


def outside(rows: list[list[int]]) -> None:
    rows[4][2] += 1


def shorter(rows: list[list[int]]) -> None:
    rows[4][2] -= 1
    rows[4][3] = zlib.crc32(split(BLOB)[b"META"][:-1])


def placed(size: int, offset: int, begin: int) -> str:
    return (
        f"Its {size} bytes at {offset} must begin at {begin}, lie within the "
        f"{len(SECTIONS[b'DATA'])} bytes of section DATA and be followed by zeros.{ALTERED}"
    )


SECTIONS = split(BLOB)
ENDS = {key: 144 + sum(len(SECTIONS[IDS[j]]) for j in range(i + 1)) for i, key in enumerate(IDS)}
WORD_COUNT = len(SECTIONS[b"WORD"]) // 4
SLICE = 71 + 4 + 1  # the first attribute of slice
BOMB = zlib.compress(bytes(1 << 26))
REFUSED: dict[str, tuple[bytes, str]] = {
    "another file": (
        b"\x7fELF and more",
        "This is not a blob: it begins with b'\\x7fELF', not with b'INTG'. Give a file that "
        "intaglio wrote.",
    ),
    "newer version": (
        sealed(major=2, minor=3),
        f"The blob has format version 2.3, this intaglio reads 1.x.{NEWER}",
    ),
    "unknown flag": (
        sealed(flags=1),
        f"The blob uses a feature that this intaglio does not know.{NEWER}",
    ),
    "reserved bytes": (
        sealed(reserved=1),
        f"The blob uses a feature that this intaglio does not know.{NEWER}",
    ),
    "trailing bytes": (BLOB + b"end", f"3 bytes follow the end of the blob.{AGAIN}"),
    "alignment": (
        sealed(alignment=32),
        f"Arena or weights are not laid out as in version 1.{ALTERED}",
    ),
    "tiles": (sealed(rows=4), f"Arena or weights are not laid out as in version 1.{ALTERED}"),
    "many sections": (sealed(count=65), f"A table of 65 sections does not fit.{ALTERED}"),
    "table past the end": (
        seal([], count=1),
        f"A table of 1 sections does not fit.{ALTERED}",
    ),
    "overlapping sections": (
        sealed(table=overlapping),
        f"Section WORD lies at {ENDS[b'STEP'] - 4}..{ENDS[b'WORD'] - 4}, not from "
        f"{ENDS[b'STEP']} on within {len(BLOB)} bytes.{ALTERED}",
    ),
    "section past the end": (
        sealed(table=outside),
        f"Section META lies at {ENDS[b'DATA']}..{len(BLOB) + 1}, not from {ENDS[b'DATA']} on "
        f"within {len(BLOB)} bytes.{ALTERED}",
    ),
    "bytes between the sections and the end": (
        sealed(table=shorter),
        f"1 bytes follow the last section.{ALTERED}",
    ),
    "section twice": (
        sealed(table=twice),
        "A section is missing or there twice: wanted SLOT, STEP, WORD, DATA, META, found SLOT, "
        f"STEP, DATA, META.{ALTERED}",
    ),
    "section missing": (
        seal(list(SECTIONS.items())[:4]),
        "A section is missing or there twice: wanted SLOT, STEP, WORD, DATA, META, found SLOT, "
        f"STEP, WORD, DATA.{ALTERED}",
    ),
    "section repeated": (
        seal([*SECTIONS.items(), (b"META", SECTIONS[b"META"])]),
        "A section is missing or there twice: wanted SLOT, STEP, WORD, DATA, META, found SLOT, "
        f"STEP, WORD, DATA, META.{ALTERED}",
    ),
    "part of a record": (
        sealed({b"SLOT": SECTIONS[b"SLOT"] + b"\0"}),
        f"Section SLOT does not consist of whole records.{ALTERED}",
    ),
    "inputs past the words": (
        sealed(inputs=999),
        f"The inputs: Its words 0..999 are not among {WORD_COUNT}.{ALTERED}",
    ),
    "outputs past the words": (
        sealed(outputs=999),
        f"The outputs: Its words 1..1000 are not among {WORD_COUNT}.{ALTERED}",
    ),
    "arena of 2 GiB": (
        sealed(arena=1 << 31),
        "Program 'net': its arena has 2147483648 bytes per sample. Rule: A program has 1 to 65535 "
        f"inputs, outputs and slots and an arena of at most 1 GiB.{ALTERED}",
    ),
    "slot without a name": (
        sealed({b"SLOT": SECTIONS[b"SLOT"] + SECTIONS[b"SLOT"][:16]}),
        f"There are 18 slots but names for 17.{ALTERED}",
    ),
    "unknown format": (
        patched(b"SLOT", 16, "B", 10),
        f"Tensor 'weight': Its format 10 is unknown.{ALTERED}",
    ),
    "unknown kind": (
        patched(b"SLOT", 16 + 1, "B", 5),
        f"Tensor 'weight': There is no numeric type of kind 5 with 1 bits.{ALTERED}",
    ),
    "no bits": (
        patched(b"SLOT", 2, "B", 0),
        f"Tensor '/x': There is no numeric type of kind 2 with 0 bits.{ALTERED}",
    ),
    "65 bits": (
        patched(b"SLOT", 2, "B", 65),
        f"Tensor '/x': There is no numeric type of kind 2 with 65 bits.{ALTERED}",
    ),
    "wide bipolar": (
        patched(b"SLOT", 16 + 2, "B", 2),
        f"Tensor 'weight': There is no numeric type of kind 3 with 2 bits.{ALTERED}",
    ),
    "rank 5": (patched(b"SLOT", 3, "B", 5), f"Tensor '/x': Its 5 sizes lie at word 2.{ALTERED}"),
    "sizes elsewhere": (
        patched(b"SLOT", 12, "I", 5),
        f"Tensor '/x': Its 3 sizes lie at word 5.{ALTERED}",
    ),
    "sizes past the end": (
        sealed({b"WORD": SECTIONS[b"WORD"][:16]}),
        f"Tensor '/x': Its words 2..5 are not among 4.{ALTERED}",
    ),
    "negative size": (
        patched(b"WORD", 4 * 5, "i", -3),
        f"Tensor 'weight': Its sizes are (-3, 2, 1, 2).{ALTERED}",
    ),
    "product of sizes past 64 bits": (
        patched(b"WORD", 4 * 5, "4i", *[1 << 30] * 4),
        "Tensor 'weight': Its sizes are (1073741824, 1073741824, 1073741824, 1073741824)."
        f"{ALTERED}",
    ),
    "empty tensor of overflowing sizes": (
        patched(b"WORD", 4 * 5, "4i", 0, *[1 << 30] * 3),
        f"Tensor 'weight': Its sizes are (0, 1073741824, 1073741824, 1073741824).{ALTERED}",
    ),
    "constant larger than its bytes": (
        patched(b"WORD", 4 * 5, "4i", 1 << 30, 1, 1, 1),
        f"Tensor 'weight': {TOO_MUCH}",
    ),
    "size of an activation": (
        patched(b"SLOT", 8, "I", 17),
        f"Tensor '/x': uint2[n,2,3,3] takes 18 bytes, not 17.{ALTERED}",
    ),
    "constants that overlap": (
        patched(b"SLOT", 2 * 16 + 4, "I", 0),
        f"Tensor 'thresholds': {placed(2, 0, 4)}",
    ),
    "constant past DATA": (
        patched(b"SLOT", 16 + 8, "I", 0xFFFFFFFF),
        f"Tensor 'weight': {placed(4294967295, 0, 0)}",
    ),
    "padding between constants": (
        patched(b"DATA", 2, "B", 1),
        f"Tensor 'weight': {placed(2, 0, 0)}",
    ),
    "padding within a constant": (
        patched(b"DATA", 1, "B", 0xFF),
        "Tensor 'weight': The bits that fill the last byte of a packed bipolar[3,2,1,2] are not 0."
        f"{ALTERED}",
    ),
    "not a ternary": (
        patched(b"DATA", 12, "B", 2),
        f"Tensor 'dense': A constant has elements that are not values of ternary.{ALTERED}",
    ),
    "bytes after the constants": (
        sealed({b"DATA": SECTIONS[b"DATA"] + bytes(4)}),
        f"The constants take {len(SECTIONS[b'DATA'])} of the {len(SECTIONS[b'DATA']) + 4} bytes of "
        f"section DATA.{ALTERED}",
    ),
    "slot outside the arena": (
        patched(b"SLOT", 4, "I", 320),
        "Tensor '/x': it lies at 320..338 of 320 arena bytes. Rule: Activations lie in the arena "
        f"at multiples of 64; a constant has its slot's type.{ALTERED}",
    ),
    "unknown opcode": (patched(b"STEP", 0, "H", 99), f"Step 0: Its opcode 99 is unknown.{ALTERED}"),
    "opcode 0": (patched(b"STEP", 0, "H", 0), f"Step 0: Its opcode 0 is unknown.{ALTERED}"),
    "unknown epilogue": (
        patched(b"STEP", 2, "H", 99),
        f"Step 0: Its opcode 99 is unknown.{ALTERED}",
    ),
    "not an epilogue": (
        patched(b"STEP", 12 + 2, "H", 3),
        f"Step 2: Its words begin at 67, not at 70.{ALTERED}",
    ),
    "words elsewhere": (
        patched(b"STEP", 8, "I", 40),
        f"Step 0: Its words begin at 40, not at 41.{ALTERED}",
    ),
    "words past the end": (
        patched(b"STEP", 7 * 12 + 6, "H", 65535),
        f"Step 7: Its words {WORD_COUNT - 9}..{WORD_COUNT + 65526} are not among {WORD_COUNT}."
        f"{ALTERED}",
    ),
    "words left over": (
        sealed({b"WORD": SECTIONS[b"WORD"] + bytes(4)}),
        f"Slots and steps take {WORD_COUNT} of the {WORD_COUNT + 1} words.{ALTERED}",
    ),
    "list of negative length": (
        patched(b"WORD", 4 * SLICE, "i", -1),
        f"Step 4: Its words {SLICE + 1}..{SLICE} are not among {WORD_COUNT}.{ALTERED}",
    ),
    "result of an unknown type": (
        patched(b"WORD", 4 * 44, "i", -1),
        f"Step 0: There is no numeric type of kind 255 with -1 bits.{ALTERED}",
    ),
    "operand out of range": (
        patched(b"WORD", 4 * 41, "i", 17),
        "Step 0: it reads slot 17 of 17. Rule: Inputs, outputs and results are activations; "
        f"operands are slots.{ALTERED}",
    ),
    "operand that does not fit": (
        patched(b"WORD", 4 * 41, "i", 8),
        "Node '/conv' (conv): A window of 2 does not fit into 1 + 0 + 0. Rule: Types are those "
        f"that the ops infer; parameters of ops are constants.{ALTERED}",
    ),
    "read before written": (
        patched(b"WORD", 4 * 67, "i", 6),
        "Node '/lookup' (lookup): it reads 'lookup', which does not hold a value. Rule: What is "
        f"read was written and not yet overwritten; results overlap no operand.{ALTERED}",
    ),
    "not deflated": (
        sealed({b"META": b"{}"}),
        f"Section META is not deflated data.{ALTERED}",
    ),
    "part of a stream": (
        sealed({b"META": SECTIONS[b"META"][:-1]}),
        f"Section META is not one whole deflate stream.{ALTERED}",
    ),
    "two streams": (
        sealed({b"META": SECTIONS[b"META"] * 2}),
        f"Section META is not one whole deflate stream.{ALTERED}",
    ),
    "bomb": (
        sealed({b"META": BOMB}),
        f"Section META inflates to more than 4194304 bytes.{ALTERED}",
    ),
}
NOT_METADATA = {
    "no JSON": b"{",
    "not text": b"\xff",
    "list": b"[]",
    "without a program": b"{}",
    "nothing": b"",
    "deep": b"[" * 100000,
    "long number": b"1" * 5000,
}
CHANGES = {
    "program": {"program": 1},
    "recipe": {"recipe": None},
    "slots": {"slots": 3},
    "slot": {"slots": [3] * 17},
    "name": {"slots": [[3, ""]] * 17},
    "half an encoding": {"slots": [["", "", 1.0]] * 17},
    "scale": {"slots": [["", "", "1.0", 0]] * 17},
    "endless scale": {"slots": [["", "", 10**400, 0]] * 17},
    "zero point": {"slots": [["", "", 1.0, 0.5]] * 17},
    "certificates": {"certificates": []},
    "certificate": {"certificates": {"y": 3}},
    "verdict": {"certificates": {"y": {"verdict": "true"}}},
    "example": {"certificates": {"y": {"verdict": "differs", "examples": [[1]]}}},
    "infinite": {"certificates": {"y": {"verdict": "exact", "lo": float("inf")}}},
}


@pytest.mark.parametrize(("blob", "text"), REFUSED.values(), ids=REFUSED)
def test_a_hostile_blob_is_refused_with_its_reason(blob: bytes, text: str) -> None:
    assert refusal(blob) == text


@pytest.mark.parametrize("text", NOT_METADATA.values(), ids=NOT_METADATA)
def test_metadata_that_are_not_json_are_refused(text: bytes) -> None:
    assert refusal(sealed({b"META": zlib.compress(text)})) == (
        f"Section META is not the JSON that describes a program.{ALTERED}"
    )


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_metadata_of_another_shape_are_refused(changes: dict[str, object]) -> None:
    assert refusal(meta(**changes)) == (
        f"Section META is not the JSON that describes a program.{ALTERED}"
    )


@pytest.mark.parametrize(
    "name", ["bomb", "constant larger than its bytes", "product of sizes past 64 bits"]
)
def test_a_refusal_takes_little_memory(name: str) -> None:
    blob, text = REFUSED[name]
    tracemalloc.start()
    assert refusal(blob) == text
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """The blob with some numbers of its sections and header replaced, and every checksum right."""
    sections = {key: bytearray(content) for key, content in SECTIONS.items()}
    sections[b"META"] = bytearray(zlib.decompress(SECTIONS[b"META"]))
    for _ in range(draw(st.integers(1, 3))):
        content = sections[draw(st.sampled_from([b"SLOT", b"STEP", b"WORD", *IDS]))]
        width = draw(st.sampled_from([1, 2, 4]))
        at = draw(st.integers(0, len(content) // width - 1)) * width
        small = st.integers(0, 20)
        edge = st.sampled_from([(1 << 8 * width) - 1, 1 << 8 * width - 1, 64, 255])
        value = draw(small | edge | st.integers(0, (1 << 8 * width) - 1))
        content[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    text = bytes(sections.pop(b"META"))
    changed = {key: bytes(content) for key, content in sections.items()}
    changes = draw(st.dictionaries(st.sampled_from(["inputs", "outputs"]), st.integers(0, 3)))
    arena = draw(st.just(320) | st.integers(0, 1 << 32 - 1))
    return sealed(changed | {b"META": zlib.compress(text)}, arena=arena, **changes)


@settings(max_examples=1500)
@given(mutations())
def test_a_mutated_blob_is_refused_or_a_program_that_is_written_and_read_again(blob: bytes) -> None:
    try:
        read = read_blob(blob)
    except BlobError as error:
        assert str(error).endswith((ALTERED, TOO_MUCH))  # noqa: PT017
    else:
        again = write_blob(read)
        assert read_blob(again) == read
        for key in (b"STEP", b"WORD"):
            assert split(again)[key] == split(blob)[key]


def test_single_numbers_replaced_everywhere_raise_nothing_else() -> None:
    """Every aligned 16-bit number of the records, a few values each: refused or kept."""
    rng = random.Random(0)
    accepted = 0
    for key in (b"SLOT", b"STEP", b"WORD"):
        for at in range(0, len(SECTIONS[key]), 2):
            for value in (0, 1, 2, 3, 64, 0x7FFF, 0x8000, 0xFFFF, rng.randrange(1 << 16)):
                blob = patched(key, at, "H", value)
                try:
                    read = read_blob(blob)
                except BlobError:
                    continue
                accepted += 1
                assert read_blob(write_blob(read)) == read
    assert accepted > 50
