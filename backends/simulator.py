"""Running a program with compiled kernels: codes in, codes out, bit for bit, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, UsageError, VerifyError
from ..ir.numeric import Array, NumericType
from ..ir.ops_quant import Requantize
from ..ir.program import Program, Slot
from ..kernels.isa import Isa, chosen
from .arena import Arena
from .blob_check import check
from .plan import WORKING_BYTES, Plan

__all__ = ["WORKING_BYTES", "Progress", "RangeEnds", "Simulator", "check_inputs", "range_ends"]

Progress = Callable[[int, int], None]


def check_inputs(program: Program, inputs: Mapping[str, Array]) -> int:
    """The number of samples; DataError unless ``inputs`` are codes that the program takes."""
    slots = [program.slots[index] for index in program.inputs]
    expected, given = ({slot.name for slot in slots}, set(inputs))
    if expected != given:
        raise DataError(
            f"The network's inputs are {_listed(expected)}, but the data has {_listed(given)}.",
            fix="Give one array of codes for each input, by its name.",
        )
    for slot in slots:
        _check_input(slot, inputs[slot.name])
    counts = {slot.name: len(inputs[slot.name]) for slot in slots}
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise DataError(
            f"The inputs differ in their number of samples: {each}.",
            fix="Give every input the same number of samples.",
        )
    return max(counts.values(), default=0)


def _listed(names: set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


def _check_input(slot: Slot, array: Array) -> None:
    where, dtype = f"Input '{slot.name}'", slot.type.dtype
    if array.dtype.kind not in "iu":
        raise DataError(
            f"Its elements are {array.dtype}, but the network takes codes of {dtype}.",
            where=where,
            fix="Quantize the data with the scale and zero point of the input.",
        )
    if array.ndim == 0 or array.shape[1:] != slot.type.sample_shape:
        expected = ", ".join(map(str, slot.type.shape))
        raise DataError(
            f"Its shape is {array.shape}, but the network takes ({expected}).",
            where=where,
            fix="The first axis counts the samples; reshape the data.",
        )
    if not dtype.contains(array):
        raise DataError(
            f"Its codes reach {array.min()}..{array.max()}, but {dtype} holds {_values(dtype)}.",
            where=where,
            fix="Quantize the data with the scale and zero point of the input.",
        )


def _values(dtype: NumericType) -> str:
    return "only -1 and 1" if dtype.kind == "bipolar" else f"{dtype.lo}..{dtype.hi}"


@dataclass(frozen=True, slots=True)
class _Port:
    """What goes in or comes out. ``free``: the type has all codes of its container."""

    slot: int
    name: str
    shape: tuple[int, ...]
    container: np.dtype[Any]
    free: bool

    @classmethod
    def of(cls, program: Program, index: int) -> _Port:
        slot = program.slots[index]
        dtype = slot.type.dtype
        free = dtype.kind in ("int", "uint") and dtype.bits == 8 * dtype.container.itemsize
        return cls(index, slot.name, slot.type.sample_shape, dtype.container, free)

    def count(self, array: Array | None) -> int | None:
        """Samples of an array that fits for sure; None where it takes a closer look."""
        if not self.free or not isinstance(array, np.ndarray) or array.dtype != self.container:
            return None
        return (
            len(array) if array.shape[1:] == self.shape and array.ndim > len(self.shape) else None
        )

    def empty(self, samples: int) -> Array:
        return np.empty((samples, *self.shape), self.container)


class Simulator:
    """Runs ``program``. Immutable: several threads may use one simulator at once.

    ``isa`` is the tier of kernels, the fastest one of this machine unless INTAGLIO_ISA says
    otherwise. Raises VerifyError for a program that breaks a rule: kernels trust types, offsets and
    tables; and UsageError for a tier that this machine does not run.
    """

    def __init__(self, program: Program, isa: Isa | None = None) -> None:
        check(program, VerifyError)
        self.program = program
        self.isa = isa or chosen()
        self._plan = Plan(program, self.isa, program.outputs)
        self._inputs = [_Port.of(program, index) for index in program.inputs]
        self._outputs = [_Port.of(program, index) for index in program.outputs]
        self._idle: list[Arena] = []

    def run(
        self, inputs: Mapping[str, Array], progress: Progress | None = None, threads: int = 1
    ) -> dict[str, Array]:
        """The outputs by name, in logical order ``(n, c, h, w)``, for inputs by name.

        ``progress(done, total)`` is called after each chunk of samples. ``threads`` share the
        samples; results are the same for any number. Raises DataError, and UsageError for none.
        """
        if threads < 1:
            raise UsageError(f"{threads} threads were asked for.", fix="Ask for at least 1.")
        total = self._count(inputs)
        given = {port.slot: inputs[port.name] for port in self._inputs}
        results = {port.slot: port.empty(total) for port in self._outputs}
        parts = _parts(total, self._plan.samples, threads)
        done = 0
        for size in self._spread(parts, given, results, threads):
            done += size
            if progress is not None:
                progress(done, total)
        return {port.name: results[port.slot] for port in self._outputs}

    def trace(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Like ``run``, for every activation of the program in the order of execution."""
        total = self._count(inputs)
        given = {port.slot: inputs[port.name] for port in self._inputs}
        slots = [*self.program.inputs, *(step.output for step in self.program.steps)]
        ports = [_Port.of(self.program, slot) for slot in slots]
        results = {port.slot: port.empty(total) for port in ports}
        plan = Plan(self.program, self.isa, slots)
        arena = plan.arena()
        for part in _parts(total, plan.samples, 1):
            _run_part(plan, arena, part, given, results)
        return {port.name: results[port.slot] for port in ports}

    def _count(self, inputs: Mapping[str, Array]) -> int:
        """The number of samples; raises DataError. Most inputs can be seen to fit at a glance."""
        counts = {port.count(inputs.get(port.name)) for port in self._inputs}
        if len(counts) == 1 and len(inputs) == len(self._inputs) and None not in counts:
            return counts.pop() or 0
        return check_inputs(self.program, inputs)

    def _spread(
        self,
        parts: Sequence[slice],
        given: Mapping[int, Array],
        results: Mapping[int, Array],
        threads: int,
    ) -> Iterator[int]:
        """Run the parts; yield the size of each once it is done."""

        def run(part: slice) -> int:
            arena = self._arena()
            _run_part(self._plan, arena, part, given, results)
            self._idle.append(arena)
            return part.stop - part.start

        if threads == 1 or len(parts) == 1:
            yield from map(run, parts)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(run, parts)

    def _arena(self) -> Arena:
        """Memory that nobody uses: of a run that is over, or new."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._plan.arena()


def _parts(total: int, most: int, threads: int) -> list[slice]:
    """Samples in parts of ``most``, or of fewer so that no thread goes without."""
    size = max(1, min(most, -(-total // threads)))
    return [slice(first, min(first + size, total)) for first in range(0, total, size)]


def _run_part(
    plan: Plan,
    arena: Arena,
    part: slice,
    given: Mapping[int, Array],
    results: Mapping[int, Array],
) -> None:
    """The samples of ``part`` through the arena."""
    arena.samples = part.stop - part.start
    for index, codes in given.items():
        arena.write(index, codes[part])
    for call in plan.calls:
        call.run(arena)
    for index, result in results.items():
        arena.read(index, result[part])


class RangeEnds(NamedTuple):
    """Codes equal to the least and to the greatest value of their type, and codes in all."""

    low: int
    high: int
    total: int


def range_ends(program: Program, trace: Mapping[str, Array]) -> dict[str, RangeEnds]:
    """How many codes of each requantized slot lie at the ends of its type's range.

    No more codes than these were saturated; some of them may have been exact. ``trace`` is what
    ``Simulator.trace`` returns.
    """
    slots = [
        program.slots[step.output]
        for step in program.steps
        if isinstance(step.epilogue or step.op, Requantize)
    ]
    return {slot.name: _range_ends(slot.type.dtype, trace[slot.name]) for slot in slots}


def _range_ends(dtype: NumericType, codes: Array) -> RangeEnds:
    low, high = (int(np.count_nonzero(codes == end)) for end in (dtype.lo, dtype.hi))
    return RangeEnds(low, high, codes.size)
