"""Parts of hardware as a file states them: DRAM, memories on chip, the array."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .machine import SUM_BITS, Dataflow, ZeroSkip
from .quantity import Operation, PerBit, Power, Share, Strict, Traffic, refusal

Count = Annotated[int, Field(gt=0)]
Operand = Literal["weights", "inputs", "outputs"]


class Dram(Strict):
    """Memory outside: a kind that the technology knows, or energies of its own."""

    bits_per_cycle: Count
    kind: str = ""
    read: Traffic | None = None
    write: Traffic | None = None


class OnChip(Strict):
    """A memory on chip, or with energies of its own; an SRAM of the table, or, small, registers.

    An SRAM of the table has a ``leakage`` of its own; without one, none is counted.
    """

    name: Annotated[str, Field(min_length=1)]
    bytes: Count
    word_bits: Count
    read_bits_per_cycle: Count
    write_bits_per_cycle: Count
    holds: Annotated[list[Operand], Field(min_length=1)]
    double_buffer: bool = False
    read: Traffic | None = None
    write: Traffic | None = None
    leakage: Power | None = None


class Multipliers(Strict):
    """The array; docs/cost_models.md has its dataflows. ``product`` and so on replace a technology.

    ``hop`` is counted only where it is stated: no two arrays are wired alike.

    ``product`` is of ``product_bits`` by ``product_bits``, others take their share of bits.
    """

    rows: Count
    columns: Count
    dataflow: Dataflow
    zero_skip: ZeroSkip = "none"
    entries_per_cycle: Count = 1
    held_weights: Count = 1
    held_sums: Count = 1
    sum_bits: Count = SUM_BITS
    load_bits_per_cycle: Count | None = None
    product: Operation | None = None
    product_bits: Count = 8
    adder: PerBit | None = None
    registers: PerBit | None = None
    place: Operation | None = None
    symbol: Operation | None = None
    gated: Share | None = None
    hop: PerBit | None = None

    @model_validator(mode="after")
    def _weights_wait(self) -> Self:
        if self.load_bits_per_cycle and self.dataflow == "output_stationary":
            raise refusal(
                "the weights of an output-stationary array come while it works",
                "Leave it out, or choose another dataflow.",
                "load_bits_per_cycle",
            )
        return self
