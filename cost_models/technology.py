"""Energies of operations in one manufacturing process, each with its source."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..errors import UsageError
from .quantity import Operation, PerBit, Power, Share, Square, Strict, Traffic
from .range import Range
from .scaling import SRAM_ENDS, logic_ratio

Count = Annotated[int, Field(gt=0)]
SMALL_FILE = 32
"""Bytes of the largest register file that counts as small."""
LOGIC = (
    "multiplier", "adder", "registers", "bitwise", "shifter", "comparator", "small_register_file",
    "register_file", "hop", "place",
)  # fmt: skip
"""Constants that get better with logic."""


class DramKind(Strict):
    """A kind of DRAM, one channel of it.

    ``read`` and ``write`` are of bits that stream from open rows, ``activation`` of opening and
    closing a row of ``row_bytes``; no less than ``burst_bytes`` move. ``background`` is drawn
    while rows are open, whatever moves.
    """

    read: Traffic
    write: Traffic
    activation: Operation
    row_bytes: Count
    burst_bytes: Count
    background: Power


class Technology(Strict):
    """Constants of a process.

    A product of a and b bits takes ``multiplier`` a b, a sum of b bits ``adder`` b, reading or
    writing a register of b bits ``registers`` b, and so on: ``bitwise`` a gate, ``shifter`` a
    shift by any amount, ``comparator`` a comparison, ``hop`` a way to the next multiplier.
    ``symbol`` is decoding one of an entropy code, ``place`` finding where a weight lies, ``gated``
    the share of a product that is not done.
    """

    name: str
    node: Annotated[float, Field(gt=0)]
    voltage: Annotated[float, Field(gt=0)]
    sram_cell: str
    multiplier: Square
    adder: PerBit
    registers: PerBit
    bitwise: PerBit
    shifter: PerBit
    comparator: PerBit
    small_register_file: PerBit
    register_file: PerBit
    hop: PerBit
    symbol: Operation
    place: Operation
    gated: Share
    drams: Annotated[dict[str, DramKind], Field(alias="dram", min_length=1)]

    def multiply(self, a_bits: int, w_bits: int) -> Range:
        """[pJ] of a product: bits times bits."""
        return self.multiplier.pico * (a_bits * w_bits)

    def add(self, bits: int) -> Range:
        """[pJ] of a sum."""
        return self.adder.pico * bits

    def shift(self, bits: int) -> Range:
        """[pJ] of a shift, the product with a power of two."""
        return self.shifter.pico * bits

    def compare(self, bits: int) -> Range:
        """[pJ] of a comparison."""
        return self.comparator.pico * bits

    def register(self, bits: int) -> Range:
        """[pJ] of reading or writing a register."""
        return self.registers.pico * bits

    def xnor(self, bits: int) -> Range:
        """[pJ] of that many products of single bits and their count, not added to a sum yet.

        Counting n bits takes n full adders, less one for each bit of the count.
        """
        adders = bits - bits.bit_length()
        return self.bitwise.pico * bits + self.adder.pico * adders

    def file(self, bytes_: int) -> PerBit:
        """A bit of a register file of that size, read or written."""
        return self.small_register_file if bytes_ <= SMALL_FILE else self.register_file

    def dram(self, kind: str) -> DramKind:
        """A kind by name; raises UsageError."""
        if kind not in self.drams:
            raise UsageError(
                f"Technology '{self.name}' knows no DRAM '{kind}'.",
                where="dram.kind",
                fix=f"Use {', '.join(self.drams)}, or state read and write instead.",
            )
        return self.drams[kind]


def scaled(technology: Technology, node: float, voltage: float | None = None) -> Technology:
    """The technology at another node [nm] and voltage [V], the sources of its constants say so.

    Logic scales; DRAM does not; a decoder of symbols is mostly SRAM, which ends at 22 nm, as the
    tables of ``sram`` do. The share of a gated product stays.
    """
    volts = technology.voltage if voltage is None else voltage
    if (node, volts) == (technology.node, technology.voltage):
        return technology
    start = technology.node, technology.voltage
    ratio, why = logic_ratio(*start, node, volts)
    found = {name: getattr(technology, name).times(ratio, why) for name in LOGIC}
    tables = logic_ratio(*start, max(node, SRAM_ENDS), volts)
    found["symbol"] = technology.symbol.times(*tables)
    return technology.model_copy(update={**found, "node": node, "voltage": volts})
