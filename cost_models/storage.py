"""What it costs to read a stored constant once, from DRAM through a decoder. Energies in [pJ]."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.formats.base import Size


@dataclass(frozen=True, slots=True)
class Hardware:
    """Energies of a memory and of decoders, 45 nm.

    ``dram`` [pJ/bit]: LPDDR4, Accelergy's public data. ``symbol`` [pJ]: a byte of a 16 KiB SRAM and
    a word of 1 KiB (5.3 and 2 pJ, CACTI), a 16 x 18 bit product (0.9 pJ, Horowitz, "Computing's
    energy problem", ISSCC 2014, scaled by the product of the widths) and adders. ``place`` [pJ]:
    an adder and a register of 16 bits (3.4 and 9 fJ per bit, Aladdin).
    """

    dram: float = 8.0
    symbol: float = 8.5
    place: float = 0.2


ENTROPY, DENSE = "entropy", "dense"
NM45 = Hardware()
"""The energies above."""


def read_energy(hardware: Hardware, format_name: str, size: Size, elements: int) -> float:
    """[pJ] of all bits from DRAM and of decoding: no more than one symbol or place an element."""
    bits = hardware.dram * size.bits
    if format_name == DENSE:
        return bits
    if format_name == ENTROPY:
        return bits + hardware.symbol * elements
    return bits + hardware.place * elements
