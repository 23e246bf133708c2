"""Running a program with compiled kernels: codes in, codes out, bit for bit, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import DataError, VerifyError
from ..ir.layout import from_storage, storage_shape, to_storage
from ..ir.numeric import Array, NumericType
from ..ir.op import Op
from ..ir.ops_quant import Requantize
from ..ir.program import ALIGNMENT, Program, Slot, Step
from ..ir.tensor import TensorType
from ..kernels.kernel import Kernel, Operands
from ..kernels.table import kernel_for
from .blob_check import check

Progress = Callable[[int, int], None]
WORKING_BYTES = 2 << 20
"""Samples are processed in chunks whose activations fill about so much: they stay in the cache."""


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
class _Call:
    """One kernel with its packed operands; each None among them is the next of ``sources``."""

    kernel: Kernel
    op: Op
    operands: Operands
    sources: tuple[int, ...]
    target: int

    def run(self, arrays: Mapping[int, Array]) -> None:
        active = iter(self.sources)
        operands = [arrays[next(active)] if x is None else x for x in self.operands]
        self.kernel.run(self.op, operands, arrays[self.target])


class Simulator:
    """Runs ``program``. Immutable: several threads may use one simulator at once.

    Raises VerifyError for a program that breaks a rule: kernels trust types, offsets and tables.
    """

    def __init__(self, program: Program) -> None:
        check(program, VerifyError)
        self.program = program
        self._accumulators = dict(_accumulators(program))
        self._types = dict(enumerate(slot.type for slot in program.slots)) | self._accumulators
        self._calls = tuple(call for step in program.steps for call in self._compile(step))
        self._scratch_bytes = max(map(_size_bytes, self._accumulators.values()), default=0)
        self._chunk = max(1, WORKING_BYTES // max(1, program.arena_bytes + self._scratch_bytes))

    def run(
        self, inputs: Mapping[str, Array], progress: Progress | None = None
    ) -> dict[str, Array]:
        """The outputs by name, in logical order ``(n, c, h, w)``, for inputs by name.

        ``progress(done, total)`` is called after each chunk of samples. Raises DataError.
        """
        return self._run(inputs, self.program.outputs, progress)

    def trace(
        self, inputs: Mapping[str, Array], progress: Progress | None = None
    ) -> dict[str, Array]:
        """Like ``run``, for every activation of the program in the order of execution."""
        targets = [step.output for step in self.program.steps]
        return self._run(inputs, [*self.program.inputs, *targets], progress)

    def _run(
        self, inputs: Mapping[str, Array], wanted: Sequence[int], progress: Progress | None
    ) -> dict[str, Array]:
        total = check_inputs(self.program, inputs)
        results = {index: _empty(self._types[index], total) for index in wanted}
        arrays = self._arrays(min(self._chunk, total))
        for first in range(0, total, self._chunk):
            last = min(first + self._chunk, total)
            part = {index: array[: last - first] for index, array in arrays.items()}
            self._load(part, inputs, slice(first, last))
            for index in self._execute(part):
                if index in results:
                    results[index][first:last] = from_storage(part[index])
            if progress is not None:
                progress(last, total)
        return {self.program.slots[index].name: array for index, array in results.items()}

    def _load(
        self, arrays: Mapping[int, Array], inputs: Mapping[str, Array], samples: slice
    ) -> None:
        for index in self.program.inputs:
            from_storage(arrays[index])[...] = inputs[self.program.slots[index].name][samples]

    def _execute(self, arrays: Mapping[int, Array]) -> Iterator[int]:
        """Yield the slot of each activation once it is there; later ones may overwrite it."""
        yield from self.program.inputs
        for call in self._calls:
            call.run(arrays)
            yield call.target

    def _arrays(self, count: int) -> dict[int, Array]:
        """Arrays for ``count`` samples over a new arena, by slot; accumulators share scratch.

        A slot at byte ``o`` of a sample's arena begins at byte ``count * o`` of this one.
        """
        arena = _aligned(self.program.arena_bytes * count)
        scratch = _aligned(self._scratch_bytes * count)
        found = {
            index: _view(arena[slot.offset * count :], slot.type, count)
            for index, slot in enumerate(self.program.slots)
            if slot.constant is None
        }
        for index, type_ in self._accumulators.items():
            found[index] = _view(scratch, type_, count)
        return found

    def _compile(self, step: Step) -> Iterator[_Call]:
        if step.epilogue is None:
            yield self._call(step.op, step.inputs, step.output)
            return
        accumulator = ~step.output
        yield self._call(step.op, step.inputs, accumulator)
        yield self._call(step.epilogue, (accumulator, *step.parameters), step.output)

    def _call(self, op: Op, inputs: tuple[int, ...], target: int) -> _Call:
        types = [self._types[index] for index in inputs]
        kernel = kernel_for(op, types)
        constants = [self._constant(index) for index in inputs]
        sources = tuple(i for i, c in zip(inputs, constants, strict=True) if c is None)
        return _Call(kernel, op, kernel.prepare(op, constants), sources, target)

    def _constant(self, index: int) -> Array | None:
        constant = self.program.slots[index].constant if index >= 0 else None
        return None if constant is None else to_storage(constant.array)


def _accumulators(program: Program) -> Iterator[tuple[int, TensorType]]:
    """The type between op and epilogue of each fused step, under ``~output``."""
    for step in program.steps:
        if step.epilogue is not None:
            types = (program.slots[index].type for index in step.inputs)
            yield ~step.output, step.op.infer(*types)


def _size_bytes(type_: TensorType) -> int:
    return type_.elements * type_.dtype.container.itemsize


def _empty(type_: TensorType, count: int) -> Array:
    return np.empty((count, *type_.sample_shape), type_.dtype.container)


def _aligned(size: int) -> Array:
    """``size`` bytes that begin at a multiple of ALIGNMENT."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + size]


def _view(buffer: Array, type_: TensorType, count: int) -> Array:
    """The first bytes of ``buffer`` as an array of ``count`` samples in storage order."""
    (_, *shape) = storage_shape(type_.shape)
    return buffer[: count * _size_bytes(type_)].view(type_.dtype.container).reshape(count, *shape)


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
