"""Hardware as the cost model computes with it: numbers only, each with its range.

``hardware`` reads files and names their sources; this is what is left of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .range import Range
from .rows import Pages

Dataflow = Literal["weight_stationary", "output_stationary", "row_stationary"]
ZeroSkip = Literal["none", "gate", "skip"]
NOTHING = Range.exact(0.0)
SUM_BITS = 32
"""Bits of unfinished sums: the type of every accumulator of a program."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory: what a bit costs [pJ/bit], bits per cycle each way, and what it holds.

    ``leakage`` [mW] is drawn all the time. DRAM may have ``pages``: then whole bursts of it move,
    and each row that is opened takes ``activation`` [pJ].
    ``bits`` is its size; of a double-buffered memory half of it holds the tiles that are used.
    DRAM has no size and holds everything.
    """

    name: str
    read: Range
    write: Range
    read_width: int
    write_width: int
    bits: int = 0
    holds: frozenset[str] = frozenset(("weights", "inputs", "outputs"))
    double_buffer: bool = False
    leakage: Range = NOTHING
    pages: Pages | None = None
    activation: Range = NOTHING

    @property
    def room(self) -> int:
        """Bits for the tiles of one moment."""
        return self.bits // 2 if self.double_buffer else self.bits


@dataclass(frozen=True, slots=True)
class Array:
    """Multipliers in rows and columns.

    ``zero_skip``: what a weight of zero costs: a product (none), ``gated`` of its energy (gate), or
    neither energy nor a cycle (skip). ``entries`` places of weights are decoded in a cycle. Sums
    have ``sum_bits`` while they are unfinished. Over ``load_width`` bits a cycle the weights of a
    pass come before it begins; 0 where they come while the pass before works. A bit that reaches a
    multiplier takes ``hop`` [pJ].
    """

    rows: int
    columns: int
    dataflow: Dataflow
    zero_skip: ZeroSkip
    gated: Range
    entries: int
    held_weights: int = 1
    held_sums: int = 1
    sum_bits: int = SUM_BITS
    load_width: int = 0
    hop: Range = NOTHING


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that costs. Functions give [pJ] of one operation at given widths."""

    name: str
    clock_mhz: float
    dram: Memory
    memories: tuple[Memory, ...]
    array: Array
    multiply: Callable[[int, int], Range]
    add: Callable[[int], Range]
    register: Callable[[int], Range]
    """Writing or reading so many bits of a register beside a multiplier."""
    place: Range
    """Decoding where a weight lies."""
    symbol: Range
    """Decoding a symbol of an entropy code."""

    def memory_of(self, operand: str) -> Memory:
        """The memory that holds an operand; the first that is listed."""
        return next(memory for memory in self.memories if operand in memory.holds)
