"""What every byte of a blob is for, beside what its elements could take at least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import lgamma, log, log2
from typing import Any

import numpy as np

from ..ir.numeric import Array
from ..ir.program import Program, Slot
from ..ir.tensor import Tensor
from .blob_layout import DATA, DATA_ALIGNMENT, SLOT, SLOTS, SlotRecord
from .blob_sections import blob_sections, sections
from .choose_formats import DENSE, ENTROPY, STORED
from .summary import weight_slots


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bits that the elements of a constant take at least, were each independent of the others.

    ``entropy`` n H of the shares of the values; ``model`` what it costs to say the shares, about
    (K - 1) / 2 log2 n for K values (Rissanen, "Modeling by shortest data description", 1978);
    ``mask`` log2 of the ways to place the zeros, by lgamma, 0 where there is none or nothing else.
    """

    entropy: float
    model: float
    mask: float


def bounds(array: Array) -> Bounds:
    """The bounds of all elements together."""
    count = array.size
    if not count:
        return Bounds(0.0, 0.0, 0.0)
    _, counts = np.unique(array, return_counts=True)
    shares = counts / count
    entropy = float(-(shares * np.log2(shares)).sum() * count)
    present = int(np.count_nonzero(array))
    ways = lgamma(count + 1) - lgamma(present + 1) - lgamma(count - present + 1)
    return Bounds(entropy, (len(counts) - 1) / 2 * log2(count), ways / log(2))


@dataclass(frozen=True, slots=True)
class Stored:
    """A constant: how it is stored, and what it could take.

    ``tile_bytes`` of its bytes make tiles of it that are decoded by themselves.
    """

    name: str
    origin: str
    kind: str
    type: str
    elements: int
    format: str
    value_bits: int
    index_bits: int
    header_bits: int
    bytes: int
    alignment: int
    tile_bytes: int
    dense_bytes: int
    entropy_bytes: float
    model_bytes: float
    mask_bytes: float

    @property
    def filling_bits(self) -> int:
        """Zeros that fill the last byte."""
        return 8 * self.bytes - self.value_bits - self.index_bits - self.header_bits

    @property
    def ratio(self) -> float:
        """Bytes stored to bytes of entropy; 0 where there is no entropy."""
        return self.bytes / self.entropy_bytes if self.entropy_bytes else 0.0

    def to_json(self) -> dict[str, Any]:
        """The fields, and what follows from them."""
        return asdict(self) | {"filling_bits": self.filling_bits, "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class Report:
    """Every constant, and the bytes of all that is no constant, which add up to the file."""

    constants: tuple[Stored, ...]
    others: dict[str, int]
    file_bytes: int

    @property
    def totals(self) -> dict[str, int]:
        """Bytes by what they are for: their sum is ``file_bytes``."""
        found = {
            f"{kind}s": sum(each.bytes for each in self.constants if each.kind == kind)
            for kind in ("weight", "parameter")
        }
        alignment = sum(each.alignment for each in self.constants)
        return found | {"alignment": alignment} | self.others

    def to_json(self) -> dict[str, Any]:
        """Constants, totals and the size of the file."""
        constants = [each.to_json() for each in self.constants]
        return {"constants": constants, "totals": self.totals, "file_bytes": self.file_bytes}


def storage_report(program: Program, blob: bytes) -> Report:
    """The report of a valid blob and its program."""
    weights = weight_slots(program)
    constants = []
    for index, record, part in stored_constants(program, blob):
        slot = program.slots[index]
        kind = "weight" if index in weights else "parameter"
        assert slot.constant is not None
        constants.append(_stored(slot, kind, slot.constant, record, part))
    named = {name: size for name, size in sections(blob).items() if name != "DATA"}
    return Report(tuple(constants), named, len(blob))


def stored_constants(program: Program, blob: bytes) -> Iterator[tuple[int, SlotRecord, memoryview]]:
    """Every constant of a valid blob: the index of its slot, its record and its bytes."""
    (slots,) = (row for row in blob_sections(blob) if row.id == SLOTS)
    (held,) = (row for row in blob_sections(blob) if row.id == DATA)
    data = memoryview(blob)[held.offset : held.offset + held.size]
    rows = SLOT.iter_unpack(blob[slots.offset : slots.offset + slots.size])
    for index, row in enumerate(rows):
        record = SlotRecord.read(row)
        if program.slots[index].constant is not None:
            yield index, record, data[record.offset : record.offset + record.size]


def _stored(slot: Slot, kind: str, tensor: Tensor, record: SlotRecord, data: memoryview) -> Stored:
    format_ = STORED[record.format]
    size, least = format_.size(tensor), bounds(tensor.array)
    assert size is not None
    return Stored(
        name=slot.name,
        origin=slot.origin,
        kind=kind,
        type=str(tensor.type),
        elements=tensor.type.elements,
        format=format_.name,
        value_bits=size.values,
        index_bits=size.indices,
        header_bits=size.headers,
        bytes=record.size,
        alignment=-record.size % DATA_ALIGNMENT,
        tile_bytes=ENTROPY.tile_bytes(data, tensor.type) if format_.id == ENTROPY.id else 0,
        dense_bytes=DENSE.size(tensor).bytes,
        entropy_bytes=least.entropy / 8,
        model_bytes=least.model / 8,
        mask_bytes=least.mask / 8,
    )
