"""Hardware as people describe it: TOML files in which every number has a unit and a source."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from ..errors import UsageError
from .cost import Assumption
from .machine import Array, Dataflow, Machine, Memory, ZeroSkip
from .quantity import Operation, PerBit, Quantity, Strict, Traffic
from .range import Range
from .sram import SOURCE, access_energy
from .technology import Technology

Count = Annotated[int, Field(gt=0)]
Operand = Literal["weights", "inputs", "outputs"]
NOTHING = Range.exact(0.0)
Read = TypeVar("Read", bound=BaseModel)


class Dram(Strict):
    """Memory outside: a kind that the technology knows, or energies of its own."""

    bits_per_cycle: Count
    kind: str = ""
    read: Traffic | None = None
    write: Traffic | None = None


class OnChip(Strict):
    """A memory on chip: an SRAM of the table, or one with energies of its own."""

    name: str
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


class Hardware(Strict):
    """A machine: its memories, its array, and the technology that prices what they do.

    Without a technology and energies of its own its energy is not modelled, only its time.
    """

    name: str
    clock_mhz: Annotated[float, Field(gt=0)]
    technology: str = ""
    dram: Dram
    memories: Annotated[list[OnChip], Field(min_length=1)]
    array: Multipliers

    @model_validator(mode="after")
    def _every_operand_once(self) -> Self:
        held = [operand for memory in self.memories for operand in memory.holds]
        for operand in get_args(Operand):
            if held.count(operand) != 1:
                raise ValueError(
                    f"'{operand}' are held by {held.count(operand)} memories, not by one"
                )
        return self

    def machine(self) -> Machine:
        """The numbers; raises UsageError for an unknown technology, kind or size of memory."""
        process = _technology(self.technology) if self.technology else None
        memories = tuple(self._memory(memory, process) for memory in self.memories)
        kind = _dram_energy(self, process)
        array = self.array
        return Machine(
            name=self.name,
            clock_mhz=self.clock_mhz,
            dram=Memory("DRAM", *kind, self.dram.bits_per_cycle, self.dram.bits_per_cycle),
            memories=memories,
            array=Array(
                array.rows,
                array.columns,
                array.dataflow,
                array.zero_skip,
                process.gated.pico if process else NOTHING,
                array.entries_per_cycle,
                array.held_weights,
                array.held_sums,
            ),
            multiply=_multiply(array, process),
            add=_per_bit(array.adder or (process.adder if process else None)),
            register=_per_bit(array.registers or (process.registers if process else None)),
            place=process.place.pico if process else NOTHING,
            symbol=process.symbol.pico if process else NOTHING,
        )

    def _memory(self, memory: OnChip, process: Technology | None) -> Memory:
        read, write = NOTHING, NOTHING
        if memory.read and memory.write:
            read, write = memory.read.pico, memory.write.pico
        elif process:
            words = access_energy(
                memory.bytes, memory.word_bits, process.sram_cell, process.nanometres
            )
            read, write = (each * (1 / memory.word_bits) for each in words)
        return Memory(
            memory.name,
            read,
            write,
            memory.read_bits_per_cycle,
            memory.write_bits_per_cycle,
            8 * memory.bytes,
            frozenset(memory.holds),
            memory.double_buffer,
        )

    def assumptions(self) -> tuple[Assumption, ...]:
        """Every constant in use, with its source."""
        process = _technology(self.technology) if self.technology else None
        given: dict[str, Quantity | None] = {
            "DRAM read": self.dram.read,
            "DRAM write": self.dram.write,
            "product": self.array.product,
            "adder": self.array.adder,
            "registers": self.array.registers,
        }
        if process:
            if self.dram.kind:
                given["DRAM read"] = given["DRAM write"] = process.dram[self.dram.kind]
            given["product"] = self.array.product or process.multiplier
            given["adder"] = self.array.adder or process.adder
            given["registers"] = self.array.registers or process.registers
            given |= {name: getattr(process, name) for name in ("place", "symbol", "gated")}
        for memory in self.memories:
            given |= {f"{memory.name} read": memory.read, f"{memory.name} write": memory.write}
        found = [_assumption(name, each) for name, each in given.items() if each]
        machine = self.machine()
        for memory, priced in zip(self.memories, machine.memories, strict=True):
            if process and not (memory.read and memory.write):
                for what, energy in (("read", priced.read), ("write", priced.write)):
                    found.append(Assumption(f"{memory.name} {what}", energy, "pJ/bit", SOURCE))
        return tuple(found)


def _assumption(name: str, found: Quantity) -> Assumption:
    return Assumption(name, Range(found.low, found.nominal, found.high), found.unit, found.source)


def _multiply(array: Multipliers, process: Technology | None) -> Callable[[int, int], Range]:
    if array.product:
        each = array.product.pico * (1 / array.product_bits**2)
    else:
        each = process.multiplier.pico if process else NOTHING
    return lambda a, b: each * (a * b)


def _per_bit(found: Quantity | None) -> Callable[[int], Range]:
    each = found.pico if found else NOTHING
    return lambda bits: each * bits


def _dram_energy(hardware: Hardware, process: Technology | None) -> tuple[Range, Range]:
    dram = hardware.dram
    if dram.read and dram.write:
        return dram.read.pico, dram.write.pico
    if not dram.kind:
        return NOTHING, NOTHING
    known = process.dram if process else {}
    if dram.kind not in known:
        raise UsageError(
            f"Its technology knows no DRAM '{dram.kind}'.",
            where=f"Hardware '{hardware.name}'",
            fix=f"Use {', '.join(known)}, or state read and write." if known else "Name one.",
        )
    return known[dram.kind].pico, known[dram.kind].pico


def hardware_names() -> list[str]:
    """The names of the hardware that comes with intaglio."""
    return _names("hardware")


def load_hardware(name: str | Path) -> Hardware:
    """Hardware by name, or from a TOML file; raises UsageError that names file, key and remedy."""
    return _load(name, "hardware", Hardware)


def _technology(name: str) -> Technology:
    return _load(name, "technologies", Technology)


def _names(folder: str) -> list[str]:
    found = files(__package__).joinpath("data", folder)
    return sorted(each.name.removesuffix(".toml") for each in found.iterdir())


def _load(name: str | Path, folder: str, model: type[Read]) -> Read:
    if str(name) in _names(folder):
        text = files(__package__).joinpath("data", folder, f"{name}.toml").read_text("utf-8")
        return model.model_validate(tomllib.loads(text))
    path = Path(name)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no {folder.removesuffix('s')} of that name and no such file.",
            where=f"'{name}'",
            fix=f"Name {', '.join(_names(folder))}, or a TOML file.",
        ) from error
    except OSError as error:
        raise UsageError(f"It cannot be read: {error.strerror}.", where=f"'{path}'") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"It is no TOML: {error}.", where=f"'{path}'") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _explained(path, error, model) from error


def _explained(path: Path, error: ValidationError, model: type[BaseModel]) -> UsageError:
    """The first finding, by the path of its key."""
    first = error.errors()[0]
    key = ""
    for part in first["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    key = key.lstrip(".")
    where = f"'{path}'" + (f", {key}" if key else "")
    if first["type"] == "missing":
        return UsageError("It is missing.", where=where, fix="Every number states all of its keys.")
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        near = get_close_matches(name, _keys(model), 1)
        fix = f"Did you mean '{near[0]}'?" if near else "Leave it out."
        return UsageError("There is no such key.", where=where, fix=fix)
    text = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = f", not {given!r}" if isinstance(given, int | float | str) else ""
    return UsageError(f"{text[0].upper()}{text[1:]}{shown}.", where=where)


def _keys(model: type[BaseModel]) -> list[str]:
    """All keys of a file."""
    found: list[str] = []
    for each in (model, Dram, OnChip, Multipliers, Quantity):
        found += each.model_fields
    return found
