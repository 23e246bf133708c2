"""Which activations stay on chip from the layer that writes them to the last that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from ..errors import UsageError
from ..ir.program import Program
from .layers import Layer
from .machine import Machine
from .masks import Table, kept_bits, largest_tiles, present_in
from .search import Found, Room, Widths, search


@dataclass(frozen=True, slots=True)
class Placement:
    """The slots that stay on chip, and the tiling of every layer that has loops."""

    resident: frozenset[int]
    tilings: tuple[Found | None, ...]


def placed(
    program: Program, layers: tuple[Layer, ...], stored: Mapping[int, int], machine: Machine
) -> Placement:
    """Every activation stays that fits beside the tiles of all layers meanwhile, and moves less so.

    ``stored`` are bits of constants in the file. Activations are asked in the order in which they
    are written; one that stays takes its whole size. Raises UsageError when not even the smallest
    tile of a layer fits.
    """
    skips = machine.array.zero_skip == "skip"
    largest = tuple(
        largest_tiles(present_in(program, each)) if skips and each.loops else () for each in layers
    )
    plan = _Plan(program, layers, stored, machine, largest)
    resident: frozenset[int] = frozenset()
    tilings = tuple(plan.tiling(index, resident) for index in range(len(layers)))
    for number, found in enumerate(tilings):
        if found is None and layers[number].loops is not None:
            raise _too_small(layers[number], machine)
    for slot in plan.candidates():
        kept = resident | {slot}
        changed = {index: plan.tiling(index, kept) for index in plan.lifetime(slot)}
        if any(found is None and layers[index].loops for index, found in changed.items()):
            continue
        if not plan.fits(kept):
            continue
        tried = tuple(changed.get(index, found) for index, found in enumerate(tilings))
        if plan.moved(tried, kept) < plan.moved(tilings, resident):
            resident, tilings = kept, tried
    return Placement(resident, tilings)


@dataclass(frozen=True)
class _Plan:
    program: Program
    layers: tuple[Layer, ...]
    stored: Mapping[int, int]
    machine: Machine
    largest: tuple[Table, ...]

    def candidates(self) -> list[int]:
        """Activations between layers, where a memory holds what is read and what is written."""
        if not any({"inputs", "outputs"} <= memory.holds for memory in self.machine.memories):
            return []
        return [layer.output for layer in self.layers if layer.output not in self.program.outputs]

    def lifetime(self, slot: int) -> range:
        """The layers from the one that writes a slot to the last that reads it."""
        return self._lifetimes[slot]

    @cached_property
    def _lifetimes(self) -> Mapping[int, range]:
        first = {layer.output: i for i, layer in reversed(list(enumerate(self.layers)))}
        last = {slot: i for i, layer in enumerate(self.layers) for slot in layer.inputs}
        return {slot: range(i, max(last.get(slot, i), i) + 1) for slot, i in first.items()}

    def held(self, index: int, resident: frozenset[int]) -> int:
        """Bits of the slots on chip while a layer runs."""
        return sum(self.bits(slot) for slot in resident if index in self.lifetime(slot))

    def fits(self, resident: frozenset[int]) -> bool:
        """Whether what stays fits at any time, also where nothing is tiled."""
        room = max(m.room for m in self.machine.memories if {"inputs", "outputs"} <= m.holds)
        return all(self.held(index, resident) <= room for index in range(len(self.layers)))

    def bits(self, slot: int) -> int:
        """Bits of an activation, element by element, of all samples."""
        type_ = self.program.slots[slot].type
        return self.layers[0].samples * type_.elements * type_.dtype.bits

    def tiling(self, index: int, resident: frozenset[int]) -> Found | None:
        """The best tiling of a layer beside what stays; None when none fits, or without loops."""
        layer = self.layers[index]
        if layer.loops is None or layer.weights is None:
            return None
        held = self.held(index, resident)
        rooms = tuple(
            Room(
                memory.room - held * ({"inputs", "outputs"} <= memory.holds),
                *(operand in memory.holds for operand in ("inputs", "weights", "outputs")),
            )
            for memory in self.machine.memories
        )
        return search(layer.loops, self._widths(index, resident), rooms)

    def _widths(self, index: int, resident: frozenset[int]) -> Widths:
        slots, layer, largest = self.program.slots, self.layers[index], self.largest[index]
        assert layer.weights is not None
        assert layer.loops is not None
        inputs = max(slots[slot].type.dtype.bits * (slot not in resident) for slot in layer.inputs)
        output = slots[layer.output].type.dtype.bits * (layer.output not in resident)
        bits = slots[layer.weights].type.dtype.bits
        width = kept_bits(layer, bits) if largest else weight_width(layer, bits)
        stored, sums = self.stored[layer.weights], self.machine.array.sum_bits
        return Widths(inputs, width, output, sums, stored, largest)

    def moved(self, tilings: tuple[Found | None, ...], resident: frozenset[int]) -> int:
        """Bits that move to and from DRAM, without constants that are read once anyway."""
        total = 0
        for layer, found in zip(self.layers, tilings, strict=True):
            if found is not None:
                total += found.bits
            else:
                slots = {*layer.inputs, layer.output} - resident
                total += sum(self.bits(slot) for slot in slots)
        return total


def weight_width(layer: Layer, bits: int) -> float:
    """Bits on chip of each weight that the loops have, rounded up to 1/256: some have none."""
    assert layer.loops is not None
    places = layer.loops.c * layer.loops.r * layer.loops.s
    return ceil(256 * bits * layer.reduction / places) / 256


def _too_small(layer: Layer, machine: Machine) -> UsageError:
    sizes = ", ".join(f"{m.name} of {m.bits // 8:,} bytes" for m in machine.memories)
    return UsageError(
        f"Not even its smallest tile fits into {sizes}.",
        where=f"Layer '{layer.name}' on '{machine.name}'",
        fix="Choose hardware with more memory.",
    )
