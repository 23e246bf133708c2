"""The law of a program, checked before it becomes a blob and after it was one.

A rule may rely on the rules before it: nothing is asked of a program once one is broken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from math import isfinite, prod
from typing import Any

import numpy as np

from ..errors import IntaglioError, ShapeError
from ..ir.graph import describe
from ..ir.numeric import Array, NumericType, numbers
from ..ir.op import Op
from ..ir.ops_layout import Pad, Take
from ..ir.ops_linear import GatherConv
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pool import MaxPool
from ..ir.ops_quant import Lookup, Requantize, Threshold
from ..ir.ops_softmax import Softmax
from ..ir.program import ALIGNMENT, Program, Slot, Step
from ..ir.tensor import TensorType
from .blob_layout import (
    EPILOGUES,
    MAX_ARENA_BYTES,
    MAX_ELEMENTS,
    MAX_RANK,
    MAX_SLOTS,
    OPCODE_OF,
    attribute_types,
    tuple_length,
)

Finding = tuple[str, str]
Rule = Callable[[Program], Iterator[Finding]]
_LEAST = {"strides": 1, "dilations": 1, "kernel": 1, "groups": 1, "pads": 0}
_WORD = 1 << 31


def check(program: Program, error: Callable[..., IntaglioError]) -> None:
    """Raise ``error(what, where=...)`` for the first rule that ``program`` breaks."""
    for sentence, rule in RULES:
        for where, finding in rule(program):
            raise error(f"{finding}. Rule: {sentence}", where=where)


def _sizes(program: Program) -> Iterator[Finding]:
    where = f"Program '{program.name}'"
    if len(program.slots) > MAX_SLOTS:
        yield where, f"it has {len(program.slots)} slots"
    for what, indices in (("inputs", program.inputs), ("outputs", program.outputs)):
        if not 1 <= len(indices) <= MAX_SLOTS:
            yield where, f"it has {len(indices)} {what}"
    if any(len(s.inputs) + len(s.parameters) > MAX_SLOTS for s in program.steps):
        yield where, f"a step of it has more than {MAX_SLOTS} operands"
    if not 0 <= program.arena_bytes <= MAX_ARENA_BYTES:
        yield where, f"its arena has {program.arena_bytes} bytes per sample"


def _slots(program: Program) -> Iterator[Finding]:
    for slot in program.slots:
        dims, dtype, active = slot.type.sample_shape, slot.type.dtype, slot.constant is None
        batch = slot.type.batched == active and len(slot.type.shape) == len(dims) + active
        ranked = len(dims) <= MAX_RANK and all(dim >= active for dim in dims)
        small = prod(max(dim, 1) for dim in dims) <= MAX_ELEMENTS
        integer = dtype.is_integer and dtype.bits <= (32 if active else 64)
        if not (batch and ranked and small and integer):
            yield _tensor(slot), f"its type is {slot.type}"


def _storage(program: Program) -> Iterator[Finding]:
    for slot in program.slots:
        where, end = _tensor(slot), slot.offset + slot.size_bytes
        if slot.constant is not None:
            if slot.constant.type != slot.type or slot.offset:
                yield where, f"it is {slot.type} at {slot.offset} but holds {slot.constant.type}"
        elif slot.offset % ALIGNMENT or not 0 <= slot.offset <= end <= program.arena_bytes:
            yield where, f"it lies at {slot.offset}..{end} of {program.arena_bytes} arena bytes"


def _encodings(program: Program) -> Iterator[Finding]:
    for slot in program.slots:
        if slot.encoding is None:
            continue
        scale, zero_point, offset = (
            slot.encoding.scale,
            slot.encoding.zero_point,
            slot.encoding.offset,
        )
        channels = slot.type.sample_shape[:1]
        for each in (scale, zero_point, offset):
            if isinstance(each, tuple) and (len(each),) != channels:
                yield _tensor(slot), f"its encoding has {len(each)} channels"
        if not all(isfinite(each) and each > 0 for each in numbers(scale)):
            yield _tensor(slot), f"its scale is {scale}"
        if not all(-(1 << 63) <= each < 1 << 63 for each in numbers(zero_point)):
            yield _tensor(slot), f"its zero point is {zero_point}"
        if not all(map(isfinite, numbers(offset))):
            yield _tensor(slot), f"its offset is {offset}"


def _references(program: Program) -> Iterator[Finding]:
    ends = [("An input", index) for index in program.inputs]
    ends += [("An output", index) for index in program.outputs]
    ends += [(f"Step {number}", step.output) for number, step in enumerate(program.steps)]
    for where, index in ends:
        if not 0 <= index < len(program.slots) or program.slots[index].constant is not None:
            yield where, f"slot {index} is not an activation"
    for number, step in enumerate(program.steps):
        for index in (*step.inputs, *step.parameters):
            if not 0 <= index < len(program.slots):
                yield f"Step {number}", f"it reads slot {index} of {len(program.slots)}"


def _ops(program: Program) -> Iterator[Finding]:
    for step in program.steps:
        if type(step.op) not in OPCODE_OF:
            yield _where(program, step), f"operator '{step.op.name}' is not legal in a program"
        if step.epilogue is not None and type(step.epilogue) not in EPILOGUES:
            yield _where(program, step), f"operator '{step.epilogue.name}' is not an epilogue"
        if step.epilogue is None and step.parameters:
            yield _where(program, step), "it has parameters but no epilogue"


def _attributes(program: Program) -> Iterator[Finding]:
    for step in program.steps:
        for op, _ in _parts(step):
            for name, annotation in attribute_types(type(op)):
                value = getattr(op, name)
                if not _is_attribute(name, annotation, value):
                    yield _where(program, step), f"{name} of '{op.name}' is {value}"


def _is_attribute(name: str, annotation: Any, value: Any) -> bool:
    if isinstance(value, NumericType):
        return value.is_integer and value.bits <= 32
    elements = value if isinstance(value, tuple) else (value,)
    length, least = tuple_length(annotation), _LEAST.get(name, -_WORD)
    counted = length in (..., None) or len(elements) == length
    return counted and all(least <= item < _WORD and item == int(item) for item in elements)


def _types(program: Program) -> Iterator[Finding]:
    for step in program.steps:
        expected = program.slots[step.output].type
        try:
            result = _result(program, step)
        except ShapeError as error:
            yield _where(program, step), error.what.removesuffix(".")
            continue
        if result != expected:
            yield _where(program, step), f"its slot is {expected}, its operands give {result}"


def _result(program: Program, step: Step) -> TensorType:
    accumulator = _infer(step.op, *(program.slots[index].type for index in step.inputs))
    if step.epilogue is None:
        return accumulator
    parameters = (program.slots[index].type for index in step.parameters)
    return _infer(step.epilogue, accumulator, *parameters)


def _infer(op: Op, *types: TensorType) -> TensorType:
    """``op.infer`` after what it takes for granted; raises ShapeError."""
    op.check_arity(len(types))
    for position, type_ in enumerate(types):
        name = op.inputs[min(position, len(op.inputs) - 1)].removesuffix("?")
        if type_.batched != (name in ("x", "y")) or (name == "weight" and 0 in type_.shape):
            raise ShapeError(f"Operand {name} of '{op.name}' cannot be {type_}.")
    if isinstance(op, MaxPool) and any(op.pads):
        sizes = types[0].sample_shape[1:]
        if any(step > size for step, size in zip(op.dilations, sizes, strict=False)):
            raise ShapeError(f"Dilations {op.dilations} step over {types[0]} in its border.")
    return op.infer(*types)


def _values(program: Program) -> Iterator[Finding]:
    @cache
    def bounds(index: int) -> tuple[int, int]:
        array = _array(program, index)
        return (int(array.min()), int(array.max())) if array.size else (0, 0)

    @cache
    def ascends(index: int) -> bool:
        rows = _array(program, index)
        return bool(np.all(rows[:, :-1] <= rows[:, 1:]))

    for step in program.steps:
        for op, operands in _parts(step):
            if isinstance(op, Threshold) and not ascends(operands[-1]):
                yield _where(program, step), "its thresholds do not ascend"
            if isinstance(op, Softmax):
                x, table = program.slots[operands[0]].type, _array(program, operands[1])
                if not op.sums_fit(x, table):
                    yield _where(program, step), f"its exponentials reach {bounds(operands[1])}"
            if isinstance(op, LayerNorm):
                x, epsilon = program.slots[operands[0]].type, bounds(operands[1])[0]
                if not op.fits(x, epsilon):
                    yield _where(program, step), f"its sums of {x} overflow, epsilon is {epsilon}"
            if not isinstance(op, Requantize | Lookup):
                continue
            lo, hi = bounds(operands[-1])
            if isinstance(op, Requantize) and not 0 <= lo <= hi <= 63:
                yield _where(program, step), f"its shifts reach {lo}..{hi}"
            if isinstance(op, Lookup) and not op.dtype.lo <= lo <= hi <= op.dtype.hi:
                yield _where(program, step), f"its table holds {lo}..{hi}, not only {op.dtype}"


def _array(program: Program, index: int) -> Array:
    constant = program.slots[index].constant
    return np.empty(0) if constant is None else constant.array


def _lists(program: Program) -> Iterator[Finding]:
    for step in program.steps:
        if not isinstance(step.op, GatherConv | Take):
            continue
        x, listed = program.slots[step.inputs[0]].type, _array(program, step.inputs[step.op.listed])
        if not step.op.holds(x, listed):
            yield _where(program, step), f"its list reaches {listed.min()}..{listed.max()}"


def _borders(program: Program) -> Iterator[Finding]:
    for step in program.steps:
        op, x = step.op, program.slots[step.inputs[0]].type
        if isinstance(op, Pad) and not x.dtype.contains(np.array([int(op.value)])):
            yield _where(program, step), f"its border {op.value} is not a value of {x.dtype}"


@dataclass
class _Arena:
    """The slots whose bytes hold their value, in order of offset: they never overlap."""

    program: Program
    starts: list[int] = field(default_factory=list)
    holders: list[int] = field(default_factory=list)
    live: set[int] = field(default_factory=set)

    def write(self, index: int) -> set[int]:
        """Give the bytes of slot ``index`` to it; return the slots that lose theirs."""
        slot = self.program.slots[index]
        first = max(bisect_right(self.starts, slot.offset) - 1, 0)
        if first < len(self.holders) and self._end(self.holders[first]) <= slot.offset:
            first += 1
        last = bisect_left(self.starts, slot.offset + slot.size_bytes)
        lost = set(self.holders[first:last])
        self.starts[first:last], self.holders[first:last] = [slot.offset], [index]
        self.live.difference_update(lost)
        self.live.add(index)
        return lost

    def _end(self, index: int) -> int:
        slot = self.program.slots[index]
        return slot.offset + slot.size_bytes


def _lifetimes(program: Program) -> Iterator[Finding]:
    arena, name = _Arena(program), [f"'{slot.name}'" for slot in program.slots]
    for index in program.inputs:
        for lost in arena.write(index):
            yield f"Input {name[index]}", f"it overlaps input {name[lost]}"
    for step in program.steps:
        read = {i for i in step.inputs if program.slots[i].constant is None}
        for index in read - arena.live:
            yield _where(program, step), f"it reads {name[index]}, which does not hold a value"
        for index in read & arena.write(step.output):
            yield _where(program, step), f"its result overlaps its operand {name[index]}"
    for index in set(program.outputs) - arena.live:
        yield f"Output {name[index]}", "it does not hold a value at the end"


def _parts(step: Step) -> Iterator[tuple[Op, tuple[int, ...]]]:
    """The op and, if there is one, the epilogue, each with the slots it reads."""
    yield step.op, step.inputs
    if step.epilogue is not None:
        yield step.epilogue, step.parameters


def _where(program: Program, step: Step) -> str:
    slot = program.slots[step.output]
    return describe(slot.origin or slot.name, step.op)


def _tensor(slot: Slot) -> str:
    return f"Tensor '{slot.origin or slot.name}'"


def _exits(program: Program) -> Iterator[Finding]:
    made = [step.output for step in program.steps]
    known = [each.slot for each in program.exits]
    for each in program.exits:
        if each.slot not in program.outputs[:-1] or each.slot not in made:
            yield f"Program '{program.name}'", f"slot {each.slot} is an exit and no earlier output"
            return
        slot = program.slots[each.slot]
        if len(slot.type.sample_shape) != 1 or slot.type.elements < 2:
            yield _tensor(slot), f"it is an exit of {slot.type}"
        if not 0 <= each.margin < 1 << 32:
            yield _tensor(slot), f"its margin is {each.margin}"
    if known != sorted(set(known), key=made.index):
        yield f"Program '{program.name}'", "its exits are not in order"


RULES: tuple[tuple[str, Rule], ...] = (
    ("A program has 1 to 65535 inputs, outputs and slots and an arena of at most 1 GiB.", _sizes),
    (
        "An activation is n and at most 4 sizes of an integer type of at most 32 bits, a constant "
        "at most 4 sizes of an integer type; neither has 2^31 elements.",
        _slots,
    ),
    ("Activations lie in the arena at multiples of 64; a constant has its slot's type.", _storage),
    ("A scale is finite and positive, a zero point has 64 bits.", _encodings),
    ("Inputs, outputs and results are activations; operands are slots.", _references),
    ("Steps consist of integer ops; an epilogue is requantize, threshold or lookup.", _ops),
    ("Attributes are 32-bit integers within the range of their meaning.", _attributes),
    ("Types are those that the ops infer; parameters of ops are constants.", _types),
    ("Shifts are 0..63, thresholds ascend, tables hold values of the result's type.", _values),
    ("A list names what its operand holds.", _lists),
    ("A border is a value of its tensor.", _borders),
    ("What is read was written and not yet overwritten; results overlap no operand.", _lifetimes),
    ("Exits are outputs (n, 2 or more codes) before the last, in order of their steps.", _exits),
)
