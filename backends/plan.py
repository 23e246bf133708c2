"""How a program runs on this machine: routines over an arena, portable kernels where there is none.

Every activation has its own place, so that borders are filled once, and all of them can be looked
at afterwards. What a portable kernel reads or writes lies as the program has it; what only routines
touch lies as they like: within a border, signed codes 128 higher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from typing import TYPE_CHECKING

import numpy as np

from ..ir.layout import to_storage
from ..ir.numeric import Array
from ..ir.op import Op
from ..ir.ops_pointwise import Add
from ..ir.program import ALIGNMENT, Program, Step
from ..ir.tensor import TensorType
from ..kernels.isa import Isa
from ..kernels.job import Added, Border, Job, Maker
from ..kernels.kernel import Kernel, Operands
from ..kernels.place import FLIP, Place, channels_of, flips
from ..kernels.routines import Routines, routines
from ..kernels.table import kernel_for
from .arena import Arena, Layout

if TYPE_CHECKING:
    from ..kernels.routine import Routine

WORKING_BYTES = 2 << 20
"""Samples are processed in chunks whose activations fill about so much: they stay in the cache."""
MOST_SAMPLES = 1024
"""So many even if they are small: more gain nothing."""
SLACK = 128
"""Bytes after every place: whole vectors are read, though what lies there counts for nothing."""


@dataclass(frozen=True, eq=False)
class Part:
    """A step, or its op or its epilogue alone. ``maker`` makes a routine of it, if there is one.

    ``sources`` are slots of the operands that are activations.
    """

    job: Job
    sources: tuple[int, ...]
    output: int
    maker: Maker | None = None


@dataclass(frozen=True, slots=True)
class PortableCall:
    """One kernel with its packed operands; each None among them is the next of ``sources``."""

    kernel: Kernel
    op: Op
    operands: Operands
    sources: tuple[int, ...]
    target: int

    def run(self, arena: Arena) -> None:
        """Over the samples that lie in the arena."""
        active = iter(self.sources)
        operands = [arena.stored(next(active)) if x is None else x for x in self.operands]
        self.kernel.run(self.op, operands, arena.stored(self.target))


@dataclass(frozen=True, slots=True)
class RoutineCalls:
    """Routines one after the other, in one call."""

    tier: Routines
    routines: tuple[Routine, ...]
    rows: Array

    def run(self, arena: Arena) -> None:
        """Over the samples that lie in the arena."""
        self.tier.execute(self.rows, arena.address, arena.samples)


class Plan:
    """Calls in order, and where activations lie, for up to ``samples`` at once. Immutable.

    Slots that are ``kept`` can be read afterwards; others may never be stored.
    """

    def __init__(self, program: Program, isa: Isa, kept: Collection[int]) -> None:
        tier = routines(isa)
        parts = [part for step in program.steps for part in _parts(program, step, tier)]
        parts = list(_joined(parts, tier, kept))
        types = {slot: program.slots[slot].type for slot in program.inputs}
        types |= {part.output: part.job.result for part in parts}
        found = _as_bits(parts, tier, {*kept, *program.inputs})
        parts = [_over_bits(part, tier, found) for part in parts]
        borders = _borders(parts)
        places = {
            slot: _place(type_, borders.get(slot), bits=slot in found)
            for slot, type_ in types.items()
        }
        if tier is not None:
            parts = list(_settled(parts, tier, places, borders, len(program.slots)))
        self.layout = _layout(places, borders)
        self.samples = self.layout.samples
        self.calls = tuple(_calls(parts, self.layout, tier))

    def arena(self) -> Arena:
        """New memory; each thread has its own."""
        return Arena(self.layout)


def _parts(program: Program, step: Step, tier: Routines | None) -> Iterator[Part]:
    """The step, whole where a routine takes it whole, else its op and its epilogue."""
    job, sources = _job(program, step.op, step.inputs, step.output)
    if step.epilogue is None:
        yield Part(job, sources, step.output, _maker(job, tier))
        return
    parameters = [to_storage(_known(program, slot)) for slot in step.parameters]
    whole = replace(job, epilogue=step.epilogue, parameters=parameters)
    maker = _maker(whole, tier)
    if maker:
        yield Part(whole, sources, step.output, maker)
        return
    sums = replace(job, result=step.op.infer(*job.types))
    yield Part(sums, sources, ~step.output, _maker(sums, tier))
    types = (sums.result, *(program.slots[slot].type for slot in step.parameters))
    after = Job(step.epilogue, types, (None, *parameters), job.result)
    yield Part(after, (~step.output,), step.output, _maker(after, tier))


def _job(
    program: Program, op: Op, inputs: Sequence[int], output: int
) -> tuple[Job, tuple[int, ...]]:
    slots = [program.slots[index] for index in inputs]
    constants = [_constant(program, index) for index in inputs]
    sources = tuple(i for i, constant in zip(inputs, constants, strict=True) if constant is None)
    types = [slot.type for slot in slots]
    return Job(op, types, constants, program.slots[output].type), sources


def _constant(program: Program, index: int) -> Array | None:
    tensor = program.slots[index].constant
    return None if tensor is None else to_storage(tensor.array)


def _known(program: Program, index: int) -> Array:
    tensor = program.slots[index].constant
    assert tensor is not None  # blob_check
    return tensor.array


def _maker(job: Job, tier: Routines | None) -> Maker | None:
    makers = tier.makers.get(type(job.op), ()) if tier else ()
    return next((maker for maker in makers if maker.accepts(job)), None)


def _joined(parts: Sequence[Part], tier: Routines | None, kept: Collection[int]) -> Iterator[Part]:
    """The parts, each add together with the part before it that makes what it alone reads.

    That part waits for the add: nothing is overwritten meanwhile.
    """
    readers = Counter(slot for part in parts for slot in part.sources)
    alone = {part.output: part for part in parts if readers[part.output] == 1}
    free = {slot: part for slot, part in alone.items() if slot not in kept and part.maker}
    joined: dict[int, Part] = {}
    taken: set[int] = set()
    for part in parts if tier else ():
        if not isinstance(part.job.op, Add):
            continue
        for index in (1, 0):
            found = free.get(part.sources[index])
            both = found and found.output not in taken and _join(found, part, index, tier)
            if found and both:
                joined[part.output] = both
                taken.add(found.output)
                break
    for part in parts:
        if part.output not in taken:
            yield joined.get(part.output, part)


def _join(first: Part, add: Part, index: int, tier: Routines | None) -> Part | None:
    """One part instead of two; ``first`` makes operand ``index`` of the add."""
    if first.job.added is not None:
        return None
    job = replace(first.job, result=add.job.result, added=Added(add.job, index))
    maker = _maker(job, tier)
    sources = (*first.sources, add.sources[1 - index])
    return Part(job, sources, add.output, maker) if maker else None


def _as_bits(parts: Sequence[Part], tier: Routines | None, kept: Collection[int]) -> frozenset[int]:
    """Slots of codes +1 and -1 that all who touch them have routines for as bits."""
    if tier is None:
        return frozenset()
    found = {
        part.output
        for part in parts
        if part.maker and part.output not in kept and _fills_words(part.job.result)
    }
    while True:
        lost = {slot for part in parts for slot in _bytes_of(part, tier, found)} & found
        if not lost:
            return frozenset(found)
        found -= lost


def _fills_words(type_: TensorType) -> bool:
    """Whether a pixel's codes are whole words of bits."""
    whole = len(type_.sample_shape) in (1, 3) and channels_of(type_) % 64 == 0
    return type_.dtype.kind == "bipolar" and whole


def _bytes_of(part: Part, tier: Routines, found: Collection[int]) -> Iterator[int]:
    """Slots that this part cannot have as bits, while those ``found`` lie so."""
    takes = any(slot in found for slot in part.sources)
    gives, bits, job = part.output in found, tier.bits, part.job
    if takes and (part.maker is None or len(part.sources) > 1 or not bits.reads(job)):
        yield from part.sources
    if gives and (part.maker is None or not bits.writes(job)):
        yield part.output
    if bits.keeps(job) and takes != gives:
        yield from (*part.sources, part.output)
    if takes and not gives and job.epilogue is not None:
        yield from part.sources


def _over_bits(part: Part, tier: Routines | None, found: Collection[int]) -> Part:
    """The part with the maker for operands as bits, where they lie so."""
    if tier is None or not any(slot in found for slot in part.sources):
        return part
    return replace(part, maker=tier.bits.maker)


def _borders(parts: Iterable[Part]) -> dict[int, Border]:
    """The border of each slot that only routines touch: one that holds all they ask for.

    Where they ask for different codes in it there is none; those with one copy it for themselves.
    """
    asked: dict[int, list[Border]] = {}
    plain: set[int] = set()
    for part in parts:
        if part.maker is None:
            plain.update((*part.sources, part.output))
            continue
        asked.setdefault(part.output, [])
        for slot, border in zip(part.sources, part.maker.borders(part.job), strict=True):
            asked.setdefault(slot, []).append(border)
    return {slot: _hull(borders) for slot, borders in asked.items() if slot not in plain}


def _hull(borders: Sequence[Border]) -> Border:
    real = [border for border in borders if any(border.pads)]
    if not real or len({border.value for border in real}) > 1:
        return Border()
    top, left, bottom, right = (max(sides) for sides in zip(*(b.pads for b in real), strict=True))
    return Border((top, left, bottom, right), real[0].value)


def _place(type_: TensorType, wanted: Border | None, *, bits: bool = False) -> Place:
    """Where nobody minds signed codes lie flipped; its offset is not known yet."""
    if wanted is None:
        return Place(type_)
    return Place(type_, 0, wanted.pads, flips(type_) and not bits, bits)


def _settled(
    parts: Iterable[Part],
    tier: Routines,
    places: dict[int, Place],
    borders: dict[int, Border],
    first: int,
) -> Iterator[Part]:
    """The parts, between copies of what does not lie as a routine wants it.

    Copies are slots from ``first`` on; they join ``places`` and ``borders``.
    """
    new = count(first)

    def place_of(type_: TensorType, border: Border, *, bits: bool = False) -> int:
        slot = next(new)
        places[slot], borders[slot] = _place(type_, border, bits=bits), border
        return slot

    for part in parts:
        if part.maker is None:
            yield part
            continue
        sources = []
        for slot, border in zip(part.sources, part.maker.borders(part.job), strict=True):
            if _suits(places[slot], border, borders.get(slot)):
                sources.append(slot)
                continue
            sources.append(place_of(places[slot].type, border, bits=places[slot].bits))
            yield Part(part.job, (slot,), sources[-1], tier.copy)
        settled = replace(part, sources=tuple(sources))
        if _suits(places[part.output], Border(), None):
            yield settled
            continue
        made = place_of(part.job.result, Border())
        yield replace(settled, output=made)
        yield Part(part.job, (made,), part.output, tier.copy)


def _suits(place: Place, asked: Border, border: Border | None) -> bool:
    if not place.bits and place.flipped != flips(place.type):
        return False
    if not any(asked.pads):
        return True
    enough = all(has >= needs for has, needs in zip(place.border, asked.pads, strict=True))
    return enough and border is not None and border.value == asked.value


def _layout(places: Mapping[int, Place], borders: Mapping[int, Border]) -> Layout:
    """Places one after the other, for as many samples as fill the working memory."""
    each = sum(place.sample for place in places.values())
    samples = min(MOST_SAMPLES, max(1, WORKING_BYTES // max(1, each)))
    size, found = 0, {}
    for slot, place in places.items():
        found[slot] = replace(place, offset=size)
        size += place.sample * samples + SLACK
        size += -size % ALIGNMENT
    values = {
        slot: _held(places[slot], border.value)
        for slot, border in borders.items()
        if any(border.pads)
    }
    return Layout(found, values, size, samples)


def _held(place: Place, code: int) -> int:
    """A code as the bytes of its place hold it."""
    if place.bits:
        return 0xFF if code == 1 else 0
    return code + (FLIP if place.flipped else 0)


def _calls(
    parts: Iterable[Part], layout: Layout, tier: Routines | None
) -> Iterator[PortableCall | RoutineCalls]:
    """Neighbouring routines go together."""
    for native, group in groupby(parts, lambda part: part.maker is not None):
        if native and tier is not None:
            yield _routine_calls(list(group), layout, tier)
        else:
            yield from map(_portable_call, group)


def _routine_calls(parts: Sequence[Part], layout: Layout, tier: Routines) -> RoutineCalls:
    made = tuple(_routine(part, layout) for part in parts)
    rows = np.array([routine.row.ctypes.data for routine in made], np.int64)
    return RoutineCalls(tier, made, rows)


def _routine(part: Part, layout: Layout) -> Routine:
    assert part.maker is not None
    operands = [layout.places[slot] for slot in part.sources]
    return part.maker.make(part.job, operands, layout.places[part.output], layout.samples)


def _portable_call(part: Part) -> PortableCall:
    kernel = kernel_for(part.job.op, part.job.types)
    operands = kernel.prepare(part.job.op, part.job.constants)
    return PortableCall(kernel, part.job.op, operands, part.sources, part.output)
