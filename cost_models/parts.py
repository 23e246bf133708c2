"""Parts of hardware as a file states them: DRAM, memories on chip, the array."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .machine import Dataflow, ZeroSkip
from .quantity import Operation, PerBit, Share, Strict, Traffic

Count = Annotated[int, Field(gt=0)]
Operand = Literal["weights", "inputs", "outputs"]


class Dram(Strict):
    """Memory outside: a kind that the technology knows, or energies of its own."""

    bits_per_cycle: Count
    kind: str = ""
    read: Traffic | None = None
    write: Traffic | None = None


class OnChip(Strict):
    """A memory on chip, or with energies of its own; an SRAM of the table, or, small, registers."""

    name: Annotated[str, Field(min_length=1)]
    bytes: Count
    word_bits: Count
    read_bits_per_cycle: Count
    write_bits_per_cycle: Count
    holds: Annotated[list[Operand], Field(min_length=1)]
    double_buffer: bool = False
    read: Traffic | None = None
    write: Traffic | None = None


class Multipliers(Strict):
    """The array; docs/cost_models.md has its dataflows. ``product`` and so on replace a technology.

    ``product`` is of ``product_bits`` by ``product_bits``, others take their share of bits.
    """

    rows: Count
    columns: Count
    dataflow: Dataflow
    zero_skip: ZeroSkip = "none"
    entries_per_cycle: Count = 1
    held_weights: Count = 1
    held_sums: Count = 1
    product: Operation | None = None
    product_bits: Count = 8
    adder: PerBit | None = None
    registers: PerBit | None = None
    place: Operation | None = None
    symbol: Operation | None = None
    gated: Share | None = None
