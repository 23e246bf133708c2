"""What the parts of hardware cost: their own energies, or a technology's. All or none are known."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from .parts import Dram, Multipliers, OnChip
from .quantity import Quantity
from .rows import Pages
from .sram import SMALLEST, access_energy, leakage, source_of
from .technology import Technology

DRAM = "DRAM"
ARRAY = ("product", "adder", "registers", "place", "symbol", "gated")
"""What an array may state for itself. A product may have its sum in it, and an array that decodes
nothing has neither place nor symbol; the others must be known wherever energy is."""


def constants(
    dram: Dram, memories: Sequence[OnChip], array: Multipliers, process: Technology | None
) -> dict[str, Quantity]:
    """Every energy in use by what it is of; raises UsageError, by key, where one is unknown."""
    if process is None and not states_energy(dram, memories, array):
        return {}
    found = _dram(dram, process) | _array(array, process)
    for index, memory in enumerate(memories):
        found |= _on_chip(memory, f"memories[{index}]", process)
    return found


def states_energy(dram: Dram, memories: Sequence[OnChip], array: Multipliers) -> bool:
    """Whether any part states an energy of its own."""
    stores: tuple[Dram | OnChip, ...] = (dram, *memories)
    moved = any(each.read or each.write for each in stores)
    leaks = any(memory.leakage for memory in memories)
    return moved or leaks or any(getattr(array, name) for name in (*ARRAY, "hop"))


def _array(array: Multipliers, process: Technology | None) -> dict[str, Quantity]:
    found = {}
    if process:
        names = ("multiplier", *ARRAY[1:])
        found = {name: getattr(process, of) for name, of in zip(ARRAY, names, strict=True)}
    found |= {name: getattr(array, name) for name in ARRAY if getattr(array, name)}
    gates = array.zero_skip == "gate"
    for name in ("product", "registers", *(["gated"] if gates else [])):
        if name not in found:
            raise _unpriced(f"array.{name}")
    stated = {"hop": array.hop} if array.hop else {}
    return {name: each for name, each in found.items() if gates or name != "gated"} | stated


def _dram(dram: Dram, process: Technology | None) -> dict[str, Quantity]:
    if dram.read or dram.write:
        if dram.kind:
            raise UsageError(
                "It states a kind and energies of its own.",
                where="dram.kind",
                fix="Leave out kind, or read and write.",
            )
        return _both(DRAM, "dram", dram.read, dram.write)
    if not process:
        raise _unpriced("dram.read")
    if not dram.kind:
        raise UsageError(
            "It is missing.",
            where="dram.kind",
            fix=f"Use {', '.join(process.drams)}, or state read and write instead.",
        )
    kind = process.dram(dram.kind)
    rows = {f"{DRAM} activation": kind.activation, f"{DRAM} background": kind.background}
    return _both(DRAM, "dram", kind.read, kind.write) | rows


def _on_chip(memory: OnChip, key: str, process: Technology | None) -> dict[str, Quantity]:
    stated = {f"{memory.name} leakage": memory.leakage} if memory.leakage else {}
    if memory.read or memory.write:
        return _both(memory.name, key, memory.read, memory.write) | stated
    if not process:
        raise _unpriced(f"{key}.read")
    if memory.bytes < SMALLEST:
        file = process.file(memory.bytes)
        return _both(memory.name, key, file, file) | stated
    cell, node = process.sram_cell, process.node
    try:
        words = access_energy(memory.bytes, memory.word_bits, cell, node)
    except UsageError as error:
        raise beside(key, error) from error
    read, write = (
        Quantity.of(each * (1 / memory.word_bits), "pJ/bit", source_of(cell, node))
        for each in words
    )
    leak = leakage(memory.bytes, memory.word_bits, cell, node)
    listed = {f"{memory.name} leakage": Quantity.of(leak, "mW", source_of(cell, node))}
    return _both(memory.name, key, read, write) | listed | stated


def _both(
    name: str, key: str, read: Quantity | None, write: Quantity | None
) -> dict[str, Quantity]:
    """Reading and writing; raises UsageError where only one is stated."""
    if read is None or write is None:
        here, there = ("read", "write") if write is None else ("write", "read")
        raise UsageError(
            f"It is missing, though {here} is stated.",
            where=f"{key}.{there}",
            fix="State both, or neither.",
        )
    return {f"{name} read": read, f"{name} write": write}


def pages(dram: Dram, process: Technology | None) -> Pages | None:
    """Bursts and rows of a kind of DRAM; None where it states energies of its own."""
    if process is None or dram.read:
        return None
    kind = process.dram(dram.kind)
    return Pages(8 * kind.burst_bytes, 8 * kind.row_bytes)


def _unpriced(key: str) -> UsageError:
    return UsageError(
        "Its energy is unknown, that of other parts is not.",
        where=key,
        fix="State it, name a technology, or state no energies at all.",
    )


def beside(place: str, error: UsageError) -> UsageError:
    """The error with a file or key before the place that it names."""
    where = ", ".join(filter(None, (place, error.where)))
    return UsageError(error.what, where=where, fix=error.fix)
