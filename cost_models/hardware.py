"""Hardware as people describe it: TOML files in which every number has a unit and a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from ..errors import UsageError
from .cost import ROWS, Assumption
from .machine import NOTHING, Array, Machine, Memory
from .parts import Dram, Multipliers, OnChip, Operand
from .prices import DRAM, beside, constants, pages, states_energy
from .quantity import Quantity, Strict, refusal
from .range import Range
from .reading import names_in, read_toml
from .technology import Technology, scaled

TAKEN = (DRAM, ROWS, "registers", "hops", "compute", "decode")
"""Names of the report: what moves beside multipliers, and what a layer may wait for."""


class Hardware(Strict):
    """A machine: its memories, its array, and the technology that prices what they do.

    With neither a technology nor energies of its own its energy is not modelled, only its time.
    ``node`` [nm] and ``voltage`` [V] scale the technology. ``machine`` and ``assumptions`` raise
    UsageError, by the path of a key, where a price is unknown; ``load_hardware`` has asked both.
    """

    name: Annotated[str, Field(min_length=1)]
    clock_mhz: Annotated[float, Field(gt=0)]
    technology: str = ""
    node: Annotated[float, Field(gt=0)] | None = None
    voltage: Annotated[float, Field(gt=0)] | None = None
    dram: Dram
    memories: Annotated[list[OnChip], Field(min_length=1)]
    array: Multipliers

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [*TAKEN, *(memory.name for memory in self.memories)]
        for index, name in enumerate(names[len(TAKEN) :]):
            if name in names[: len(TAKEN) + index]:
                raise refusal(
                    f"the name '{name}' is taken",
                    f"Choose another than those of other memories and {', '.join(TAKEN)}.",
                    f"memories[{index}].name",
                )
        return self

    @model_validator(mode="after")
    def _every_operand_once(self) -> Self:
        held = [operand for memory in self.memories for operand in memory.holds]
        for operand in get_args(Operand):
            if held.count(operand) != 1:
                raise refusal(
                    f"'{operand}' are held by {held.count(operand)} memories, not by one",
                    f"List '{operand}' in holds of one memory.",
                    "memories",
                )
        return self

    @property
    def energy_is_modelled(self) -> bool:
        """Whether there are energies at all."""
        return bool(self.technology) or states_energy(self.dram, self.memories, self.array)

    def machine(self) -> Machine:
        """The numbers that the cost model computes with."""
        found = {name: quantity.pico for name, quantity in self._constants().items()}

        def energy(name: str) -> Range:
            return found.get(name, NOTHING)

        array, width = self.array, self.dram.bits_per_cycle
        return Machine(
            name=self.name,
            clock_mhz=self.clock_mhz,
            dram=Memory(
                DRAM,
                energy(f"{DRAM} read"),
                energy(f"{DRAM} write"),
                width,
                width,
                leakage=energy(f"{DRAM} background"),
                pages=pages(self.dram, _process(self)),
                activation=energy(f"{DRAM} activation"),
            ),
            memories=tuple(
                Memory(
                    each.name,
                    energy(f"{each.name} read"),
                    energy(f"{each.name} write"),
                    each.read_bits_per_cycle,
                    each.write_bits_per_cycle,
                    8 * each.bytes,
                    frozenset(each.holds),
                    each.double_buffer,
                    energy(f"{each.name} leakage"),
                )
                for each in self.memories
            ),
            array=Array(
                array.rows,
                array.columns,
                array.dataflow,
                array.zero_skip,
                energy("gated"),
                array.entries_per_cycle,
                array.held_weights,
                array.held_sums,
                array.sum_bits,
                array.load_bits_per_cycle or 0,
                energy("hop"),
            ),
            multiply=_product(energy("product"), array.product_bits if array.product else 1),
            add=lambda bits: energy("adder") * bits,
            register=lambda bits: energy("registers") * bits,
            place=energy("place"),
            symbol=energy("symbol"),
        )

    def memory_energy(self, name: str) -> tuple[Range, Range]:
        """[pJ/bit] of reading and of writing a memory on chip, or ``DRAM``; raises UsageError."""
        found = self.machine()
        memories = {each.name: each for each in (found.dram, *found.memories)}
        if name not in memories:
            raise UsageError(
                f"Hardware '{self.name}' has no memory '{name}'.",
                fix=f"Its memories are {', '.join(memories)}.",
            )
        return memories[name].read, memories[name].write

    def assumptions(self) -> tuple[Assumption, ...]:
        """Every constant in use, with its source."""
        listed = [
            Assumption(name, each.range, each.unit, each.source)
            for name, each in self._constants().items()
        ]
        process = _process(self)
        found = pages(self.dram, process)
        if process and found:
            source = f"technology '{process.name}', dram.{self.dram.kind}"
            sizes = {"burst": found.burst // 8, "row": found.row // 8}
            listed += [
                Assumption(f"{DRAM} {name}", Range.exact(size), "bytes", source)
                for name, size in sizes.items()
            ]
        return tuple(listed)

    def _constants(self) -> dict[str, Quantity]:
        return constants(self.dram, self.memories, self.array, _process(self))


def _product(each: Range, bits: int) -> Callable[[int, int], Range]:
    """[pJ] of a product of a by b bits, of which one of ``bits`` by ``bits`` takes ``each``."""
    return lambda a, b: each * (a * b / bits**2)


def _process(hardware: Hardware) -> Technology | None:
    if not hardware.technology:
        idle = {
            "node": hardware.node,
            "voltage": hardware.voltage,
            "dram.kind": hardware.dram.kind,
        }
        for key, value in idle.items():
            if value:
                raise UsageError(
                    "There is no technology that could know it.",
                    where=key,
                    fix='Write technology = "45nm", or leave it out.',
                )
        return None
    try:
        found = read_toml(hardware.technology, "technologies", "technology", Technology)
    except UsageError as error:
        raise beside("technology", error) from error
    return scaled(found, hardware.node or found.node, hardware.voltage)


def hardware_names() -> list[str]:
    """The names of the hardware that comes with intaglio."""
    return names_in("hardware")


def load_hardware(name: str | Path) -> Hardware:
    """Hardware by name, or from a TOML file; raises UsageError that names file, key and remedy."""
    found = read_toml(name, "hardware", "hardware", Hardware)
    try:
        found.machine()
    except UsageError as error:
        raise beside(f"'{name}'", error) from error
    return found
