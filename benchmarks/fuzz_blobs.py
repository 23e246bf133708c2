"""Line 5 of packing: mutated blobs into the reader.

    python benchmarks/fuzz_blobs.py [--count N] [--seed S]

The blobs are a LeNet-5 pruned in filters and columns, a ResNet-20, a QONNX and a TFLite import, in
all formats. Bits and bytes are changed, numbers of records set to extremes, parts cut out, doubled
or taken from another blob, names and certificates changed. Most have their checksums mended, or
only these would be tested. The reader must refuse it with a BlobError, or give a program which

- written in another format and read again is the same: all of it can be said, and nothing else;
- for one in ten, has the constants that the decoders printed in docs/blob_format.md find in the
  same bytes (of those up to MOST elements), and an execution, of one random sample, that equals
  the reference, or, where the changed constants overflow, just ends.

While it reads, a process may grow by twice the file and 64 MiB: beyond this its system refuses
memory, and that counts as a failure, as does a second of processor time.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import signal
import struct
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from blob_mutations import Blobs, all_blobs, mutated, split
from report import ROOT, Figure

from intaglio.backends.blob_reader import read_blob
from intaglio.backends.blob_writer import write_blob
from intaglio.backends.choose_formats import STORED, Storage
from intaglio.backends.reference import check
from intaglio.backends.simulator import Simulator
from intaglio.errors import BlobError, NumericError
from intaglio.ir.formats.bits import flat, matrix_shape, to_codes
from intaglio.ir.program import Program

COUNT, PART = 100_000, 2_000
PAGE = ROOT / "docs" / "blob_format.md"
ROOM = 64 << 20
SECONDS = 1.0
MOST, MOST_ARENA = 2_000, 1 << 20
RUN = 0.1


class HangError(Exception):
    """More than a second of processor time."""


def _hung(*_: Any) -> None:
    raise HangError


def outcome(blob: bytes, rng: random.Random) -> str:
    """``refused``, ``equal``, ``equal and executed``, or what went wrong."""
    _limit_memory(2 * len(blob) + ROOM)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
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
        signal.setitimer(signal.ITIMER_PROF, 0)
        _limit_memory(None)
    thorough = rng.random() < RUN and program.arena_bytes <= MOST_ARENA
    again = write_blob(program, Storage("entropy" if thorough else "dense"))
    if read_blob(again) != program:
        return "unequal"
    if not thorough:
        return "equal"
    return "equal and executed" if _as_told(program, blob) and _runs(program, rng) else "unequal"


def _limit_memory(more: int | None) -> None:
    """The process may grow by so many bytes; without limit if None."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = hard if more is None else pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _as_told(program: Program, blob: bytes) -> bool:
    """Whether decoders of the page find the program's constants in its blob."""
    sections = dict(split(blob))
    scope = _page()
    for slot, row in zip(
        program.slots, struct.iter_unpack("<4B3I", sections[b"SLOT"]), strict=True
    ):
        number, offset, size = row[0], row[4], row[5]
        if slot.constant is None or slot.constant.array.size > MOST:
            continue
        tensor, name = slot.constant, STORED[number].name
        signed = (tensor.dtype.kind in ("int", "ternary"),) if name == "entropy" else ()
        bits = scope["Bits"](sections[b"DATA"][offset : offset + size])
        decode: Callable[..., list[int]] = scope[name.replace(":", "_of_")]
        found = decode(bits, *matrix_shape(tensor.type), tensor.dtype.bits, *signed)
        if found != to_codes(flat(tensor), tensor.dtype).tolist():
            return False
    return True


@cache
def _page() -> dict[str, Any]:
    text = PAGE.read_text("utf-8")
    scope: dict[str, Any] = {}
    for source in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(source, scope)
    return scope


def _runs(program: Program, rng: random.Random) -> bool:
    """Whether a random sample gives what the reference gives; MismatchError if not."""
    random_ = np.random.default_rng(rng.getrandbits(32))
    inputs = {}
    for slot in (program.slots[index] for index in program.inputs):
        dtype, shape = slot.type.dtype, (1, *slot.type.sample_shape)
        codes = random_.integers(dtype.lo, dtype.hi, shape, np.int64, endpoint=True)
        codes[codes == 0] = 1 if dtype.kind == "bipolar" else 0
        inputs[slot.name] = codes.astype(dtype.container)
    try:
        check(program, inputs)
    except NumericError:
        Simulator(program).run(inputs)
    return True


def part(seed: int, count: int, blobs: Blobs) -> Counter[str]:
    """Outcomes of so many mutations of ``blobs``."""
    rng, found = random.Random(seed), Counter[str]()
    before = signal.signal(signal.SIGPROF, _hung)
    for blob in {blob for network in blobs for blob in network}:
        read_blob(blob)  # compiled once, before time and memory are limited
    for _ in range(count):
        found[outcome(mutated(rng, blobs), rng)] += 1
    signal.signal(signal.SIGPROF, before)
    return found


def fuzzed(count: int, seed: int = 0) -> Counter[str]:
    """Outcomes of ``count`` mutations; the same for the same seed and models."""
    blobs = all_blobs()
    seeds = range(seed, seed + -(-count // PART))
    with ProcessPoolExecutor(2) as pool:
        parts = pool.map(part, seeds, [min(PART, count)] * len(seeds), [blobs] * len(seeds))
        return sum(parts, Counter())


def line_5() -> list[Figure]:
    """A hundred thousand mutations: refused or proved equal."""
    found = fuzzed(COUNT)
    crashes = sum(n for kind, n in found.items() if kind.startswith("crash"))
    equal = found["equal"] + found["equal and executed"]
    return [
        Figure("mutated blobs read", sum(found.values()), "", ">=", COUNT),
        Figure("refused with BlobError", found["refused"]),
        Figure("accepted and proved equal when written and read again", equal),
        Figure("of these decoded as the page says, and executed", found["equal and executed"]),
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
