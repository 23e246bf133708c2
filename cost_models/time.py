"""Cycles of a layer by what it may wait for; all parts work at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from .arrays import Passes
from .cost import ROWS, Transfer
from .layers import Layer
from .machine import Machine


def cycles(
    machine: Machine,
    layer: Layer,
    work: Passes | None,
    transfers: Iterable[Transfer],
    decoded: tuple[int, int],
    loaded: int = 0,
) -> dict[str, int]:
    """Cycles by ``compute``, ``decode`` and the name of each memory.

    Reads and writes of DRAM share its bus, in whole bursts where it has them; other memories have
    a port for each. What is not a product with weights is computed one element per column and
    cycle. ``loaded`` bits of weights come before the passes that use them, and the array waits.
    """
    array = machine.array
    rest = layer.work
    others = rest.macs - layer.macs + rest.adds + rest.multiplies + rest.compares + rest.lookups
    waiting = ceil(loaded / array.load_width) if loaded else 0
    compute = (work.cycles if work else 0) + waiting + ceil(others / array.columns)
    found = {"compute": compute, "decode": ceil(sum(decoded) / array.entries)}
    listed = list(transfers)
    reads, writes = _bits(listed, machine.dram.name, ROWS)
    found[machine.dram.name] = ceil(
        reads / machine.dram.read_width + writes / machine.dram.write_width
    )
    for memory in machine.memories:
        reads, writes = _bits(listed, memory.name)
        ports = ceil(reads / memory.read_width), ceil(writes / memory.write_width)
        found[memory.name] = max(ports)
    return found


def _bits(transfers: Iterable[Transfer], *memories: str) -> tuple[int, int]:
    found = [each for each in transfers if each.memory in memories]
    return sum(each.reads for each in found), sum(each.writes for each in found)
