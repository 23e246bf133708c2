"""Blobs for line 5 of packing, and what is changed in them."""

from __future__ import annotations

import lzma
import random
import struct
import zlib

from data import folder
from report import ROOT

import intaglio
from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import CHOICES, Storage
from intaglio.ir.program import Program

RESULTS = ROOT / "examples" / "results"
SMALL, LARGE = "lenet-structured-232x-s0", "resnet20-4x-s0"
IMPORTS = ("qonnx/TFC_2W2A.onnx", "mlperf_tiny/kws_ref_model.tflite")
HEADER, ROW = 64, 16
EXTREMES = (0, 1, 2, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
Blobs = tuple[tuple[bytes, ...], ...]


def small_blobs() -> Blobs:
    """The network pruned in filters and columns, in every way to store it."""
    return (_stored(_committed(SMALL), CHOICES),)


def all_blobs() -> Blobs:
    """More networks, smaller ones twice; the imported ones where their models are there."""
    small = small_blobs()
    paths = [path for name in IMPORTS if (path := folder() / "models" / name).exists()]
    imported = tuple(_stored(intaglio.compile(path).program, CHOICES) for path in paths)
    large = _stored(_committed(LARGE), ("smallest", "dense", "bitmap"))
    return (*small * 2, *imported * 2, large)


def _committed(name: str) -> Program:
    return read_blob(lzma.decompress((RESULTS / f"{name}.intg.xz").read_bytes()))


def _stored(program: Program, choices: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(write_blob(program, Storage(choice)) for choice in choices))


def split(blob: bytes) -> list[tuple[bytes, bytes]]:
    """The sections of a whole blob, in order."""
    count = struct.unpack_from("<H", blob, 22)[0]
    rows = [struct.unpack_from("<4sIII", blob, HEADER + ROW * row) for row in range(count)]
    return [(key, blob[offset : offset + size]) for key, offset, size, _ in rows]


def sealed(head: bytes, sections: list[tuple[bytes, bytes]]) -> bytes:
    """A blob of these sections with the numbers of ``head`` and every size and checksum right."""
    table, end = b"", HEADER + ROW * len(sections)
    for key, content in sections:
        table += struct.pack("<4sIII", key, end, len(content), zlib.crc32(content))
        end += len(content)
    fields = bytearray(head[: HEADER - 4])
    struct.pack_into("<I", fields, 12, end)
    struct.pack_into("<H", fields, 22, len(sections))
    struct.pack_into("<I", fields, 56, zlib.crc32(table))
    contents = b"".join(content for _, content in sections)
    return bytes(fields) + struct.pack("<I", zlib.crc32(fields)) + table + contents


def mutated(rng: random.Random, blobs: Blobs) -> bytes:
    """A blob with one to four changes; one in ten without new checksums."""
    blob = rng.choice(rng.choice(blobs))
    if rng.random() < 0.1:
        return changed(rng, blob)
    head, sections = bytearray(blob[:HEADER]), split(blob)
    for _ in range(rng.randint(1, 4)):
        where = rng.randrange(len(sections) + 1)
        if where == len(sections):
            struct.pack_into("<H", head, rng.randrange(2, 31) & ~1, rng.choice(EXTREMES) & 0xFFFF)
            continue
        key, content = sections[where]
        if rng.random() < 0.1:
            other = split(rng.choice(rng.choice(blobs)))
            content = other[where if rng.random() < 0.7 else rng.randrange(len(other))][1]
        elif key == b"META" and rng.random() < 0.8:
            content = renamed(rng, content)
        else:
            content = changed(rng, content)
        sections[where] = key, content
    return sealed(bytes(head), sections)


def renamed(rng: random.Random, meta: bytes) -> bytes:
    """META whose text was changed, not its deflated bytes, if it still has a text."""
    try:
        return zlib.compress(changed(rng, zlib.decompress(meta)))
    except zlib.error:
        return meta


def changed(rng: random.Random, content: bytes) -> bytes:
    """Some bytes other than they were, or more, or fewer."""
    data, kind = bytearray(content), rng.randrange(6)
    if not data:
        return bytes(rng.randrange(9))
    at = rng.randrange(len(data))
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at] = rng.randrange(256)
    elif kind == 2:
        width = rng.choice((1, 2, 4))
        at -= at % width
        value = rng.choice(EXTREMES) if rng.random() < 0.7 else rng.randrange(1 << 32)
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    elif kind == 3:
        del data[at : at + rng.choice((1, 4, 16, len(data)))]
    elif kind == 4:
        data[at:at] = data[at : at + rng.choice((1, 4, 16))]
    else:
        end = rng.randrange(at, len(data)) + 1
        data[at:end] = bytes(rng.randrange(256) for _ in range(min(end - at, 64)))
    return bytes(data)
