"""What it costs to read a stored constant once, from DRAM through a decoder. Energies in [pJ]."""

from __future__ import annotations

from ..ir.formats.base import Size
from .machine import Machine

ENTROPY, DENSE = "entropy", "dense"


def read_energy(machine: Machine, format_name: str, size: Size, elements: int) -> float:
    """[pJ] of all bits from DRAM and of decoding: no more than one symbol or place an element."""
    bits = machine.dram.read.nominal * size.bits
    if format_name == DENSE:
        return bits
    each = machine.symbol if format_name == ENTROPY else machine.place
    return bits + each.nominal * elements
