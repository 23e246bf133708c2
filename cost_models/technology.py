"""Energies of operations in one manufacturing process, each with its source."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .quantity import Operation, PerBit, Share, Square, Strict, Traffic


class Technology(Strict):
    """Constants of a process.

    A product of a and b bits takes ``multiplier`` a b, a sum of b bits ``adder`` b, reading or
    writing a register of b bits ``registers`` b. ``symbol`` is decoding one of an entropy code,
    ``place`` finding where a weight lies, ``gated`` the share of a product that is not done.
    """

    name: str
    nanometres: Annotated[int, Field(gt=0)]
    sram_cell: str
    multiplier: Square
    adder: PerBit
    registers: PerBit
    symbol: Operation
    place: Operation
    gated: Share
    dram: dict[str, Traffic]
