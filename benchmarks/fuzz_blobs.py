"""Line 5 of packing: mutated blobs into the reader.

    python benchmarks/fuzz_blobs.py [--count N] [--seed S]

Each blob is the network pruned in filters and columns, stored in one of the formats, and then
mutated: bits and bytes changed, numbers of records set to extremes, parts cut out, doubled or taken
from another blob, names and certificates changed. Most have their checksums mended, or only these
would be tested. The reader must refuse it with a BlobError, or give a program that, written and
read again, is the same program: what was accepted is what is written down, without a byte that
counts for nothing. A process that reads may grow by twice the file and 64 MiB: beyond this its
system refuses memory, and that counts as a failure, as does a second of processor time.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import struct
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from report import ROOT, Figure

from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import CHOICES, Storage
from intaglio.errors import BlobError

COUNT, PART = 100_000, 2_000
SOURCE = ROOT / "examples" / "results" / "lenet-structured-232x-s0.intg.xz"
HEADER, ROW = 64, 16
ROOM = 64 << 20
EXTREMES = (0, 1, 2, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


@cache
def blobs() -> tuple[bytes, ...]:
    """The network in every way to store it."""
    import lzma

    program = read_blob(lzma.decompress(SOURCE.read_bytes()))
    return tuple(write_blob(program, Storage(choice)) for choice in CHOICES)


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


def mutated(rng: random.Random) -> bytes:
    """A blob with one to four changes; one in ten without new checksums."""
    blob = rng.choice(blobs())
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
            other = split(rng.choice(blobs()))
            content = other[rng.randrange(len(other))][1]
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


class HangError(Exception):
    """More than a second of processor time."""


def _hung(*_: Any) -> None:
    raise HangError


def outcome(blob: bytes) -> str:
    """``refused``, ``equal``, or what went wrong."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 1.0)
    try:
        program = read_blob(blob)
    except BlobError:
        return "refused"
    except HangError:
        return "hang"
    except MemoryError:
        return "memory"
    except Exception as error:
        return f"crash: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    again = write_blob(program, Storage("dense"))
    return "equal" if read_blob(again) == program else "unequal"


def part(seed: int, count: int) -> Counter[str]:
    """Outcomes of so many mutations, in a process that may not grow beyond ROOM."""
    rng, found = random.Random(seed), Counter[str]()
    for blob in blobs():
        read_blob(blob)  # compiled once, before memory is limited
    signal.signal(signal.SIGVTALRM, _hung)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM + 2 * max(map(len, blobs()))
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for _ in range(count):
        found[outcome(mutated(rng))] += 1
    return found


def fuzzed(count: int, seed: int = 0) -> Counter[str]:
    """Outcomes of ``count`` mutations; the same for the same seed."""
    seeds = range(seed, seed + -(-count // PART))
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:
        parts = pool.map(part, seeds, [min(PART, count)] * len(seeds))
        return sum(parts, Counter())


def line_5() -> list[Figure]:
    """A hundred thousand mutations: refused or proved equal."""
    found = fuzzed(COUNT)
    crashes = sum(n for kind, n in found.items() if kind.startswith("crash"))
    return [
        Figure("mutated blobs read", sum(found.values()), "", ">=", COUNT),
        Figure("refused with BlobError", found["refused"]),
        Figure("accepted and proved equal when written and read again", found["equal"]),
        Figure("accepted but not equal", found["unequal"], "", "==", 0),
        Figure("other exceptions", crashes, "", "==", 0),
        Figure("more than 1 s of processor time", found["hang"], "", "==", 0),
        Figure("more than twice the file and 64 MiB", found["memory"], "", "==", 0),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Mutated blobs into the reader.")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for kind, number in fuzzed(asked.count, asked.seed).most_common():
        print(f"{number:7,}  {kind}")
