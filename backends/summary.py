"""What a network is, layer by layer and byte by byte: the facts behind tables and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..ir.certificate import Certificate
from ..ir.interval import Fact, Interval
from ..ir.op import Op
from ..ir.ops_linear import Conv, Dense, GatherConv
from ..ir.ops_norm import LayerNorm
from ..ir.ops_pointwise import Add
from ..ir.ops_pool import SumPool
from ..ir.ops_product import MatMul, Multiply
from ..ir.ops_softmax import Softmax
from ..ir.program import Program, Slot, Step
from ..ir.tensor import TensorType
from ..ir.text import attributes
from .blob_layout import DATA, META, SLOT, SLOTS, SlotRecord
from .blob_sections import blob_sections, sections

ACCUMULATES = (Conv, GatherConv, Dense, Add, SumPool, Multiply, MatMul, Softmax, LayerNorm)


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a program, in the user's words.

    ``accumulator`` bounds every sum that any input can cause; None when the step only moves codes.
    """

    name: str
    origin: str
    op: str
    type: TensorType
    weight_type: str
    weight_bytes: int
    accumulator: tuple[int, int] | None
    accumulator_bits: int
    certificate: Certificate | None

    @property
    def label(self) -> str:
        """The name to show: the one in the user's model, when it is known."""
        return self.origin or self.name

    @property
    def shape(self) -> str:
        """The shape of one sample, as ``6x28x28``."""
        return "x".join(map(str, self.type.sample_shape))

    @property
    def proof(self) -> str:
        """The certificate in one sentence."""
        return str(self.certificate) if self.certificate else "moves codes as they are"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, without those that are empty."""
        proof = {"certificate": self.certificate.to_json()} if self.certificate else {}
        plain = asdict(self) | {"type": str(self.type)} | proof
        return {key: value for key, value in plain.items() if value not in (None, "", 0)}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a blob by what they hold."""

    weights: int
    parameters: int
    records: int
    metadata: int

    @property
    def total(self) -> int:
        """Bytes of the whole file."""
        return self.weights + self.parameters + self.records + self.metadata

    def to_json(self) -> dict[str, int]:
        """The fields and the total."""
        return asdict(self) | {"total": self.total}


def stored_bytes(blob: bytes) -> list[int]:
    """Bytes that each slot's record states, in the order of ``Program.slots``."""
    (slots,) = (row for row in blob_sections(blob) if row.id == SLOTS)
    table = blob[slots.offset : slots.offset + slots.size]
    return [SlotRecord.read(row).size for row in SLOT.iter_unpack(table)]


def sizes(program: Program, blob: bytes) -> Sizes:
    """Where the bytes of ``blob`` go; filler between sections counts as records."""
    by_name = sections(blob)
    stored = stored_bytes(blob)
    weights = sum(stored[index] for index in weight_slots(program))
    parameters, metadata = by_name[DATA.decode()] - weights, by_name[META.decode()]
    return Sizes(weights, parameters, len(blob) - weights - parameters - metadata, metadata)


@dataclass(frozen=True, slots=True)
class WeightCounts:
    """How many weights of linear ops are not zero, of how many that the blob holds."""

    nonzero: int
    total: int

    def __str__(self) -> str:
        return f"{self.nonzero:,} of {self.total:,} are not zero"


def weight_counts(program: Program) -> WeightCounts:
    """The weights of conv, gather_conv and dense, each once."""
    held = [program.slots[index].constant for index in weight_slots(program)]
    arrays = [tensor.array for tensor in held if tensor is not None]
    nonzero = sum(int(np.count_nonzero(array)) for array in arrays)
    return WeightCounts(nonzero, sum(array.size for array in arrays))


def weight_slots(program: Program) -> set[int]:
    """Indices of the slots that linear ops multiply with."""
    return {index for step in program.steps if (index := _weight(step)) is not None}


def _weight(step: Step) -> int | None:
    return step.inputs[1] if isinstance(step.op, Conv | GatherConv | Dense) else None


def layers(program: Program, blob: bytes) -> tuple[Layer, ...]:
    """Every step with the bytes of its weights in ``blob`` and the range of its accumulator.

    Weights that steps share count for the first of them.
    """
    known = {index: _fact(slot) for index, slot in enumerate(program.slots)}
    stored = stored_bytes(blob)
    found = []
    for step in program.steps:
        reach = step.op.interval(*(known[index] for index in step.inputs))
        found.append(_layer(program, step, reach, stored))
        if step.epilogue is not None:
            inner = step.op.infer(*(known[index].type for index in step.inputs))
            parameters = (known[index] for index in step.parameters)
            reach = step.epilogue.interval(Fact(inner, reach), *parameters)
        known[step.output] = Fact(program.slots[step.output].type, reach)
    return tuple(found)


def _fact(slot: Slot) -> Fact:
    if slot.constant is None:
        return Fact(slot.type, Interval.of_type(slot.type.dtype))
    array = slot.constant.array
    span = (int(array.min()), int(array.max())) if array.size else (0, 0)
    return Fact(slot.type, Interval.of(*span), array)


def _layer(program: Program, step: Step, reach: Interval, stored: list[int]) -> Layer:
    slot = program.slots[step.output]
    weight = _weight(step)
    own = weight is not None and program.owns(step, weight)
    accumulates = isinstance(step.op, ACCUMULATES)
    return Layer(
        name=slot.name,
        origin=(program.slots[weight].origin if weight is not None and own else "") or slot.origin,
        op=step.op.name,
        type=slot.type,
        weight_type="" if weight is None else str(program.slots[weight].type.dtype),
        weight_bytes=stored[weight] if weight is not None and own else 0,
        accumulator=reach.bounds if accumulates else None,
        accumulator_bits=_signed_bits(*reach.bounds) if accumulates else 0,
        certificate=program.certificates.get(slot.name),
    )


def _signed_bits(lo: int, hi: int) -> int:
    """Bits of the narrowest two's complement register that holds lo..hi."""
    return 1 + max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length() if hi > 0 else 0)


def program_text(program: Program) -> str:
    """The program for people: constants, then one line per step, in the graph's notation."""
    lines = [f"program {program.name}: {program.arena_bytes} bytes of arena per sample"]
    lines += [f"  const {slot.name}: {slot.type}" for slot in program.constants]
    lines += [f"  input {_placed(program.slots[index])}" for index in program.inputs]
    lines += [f"  {_step_text(program, step)}" for step in program.steps]
    lines.append(f"  return {', '.join(program.slots[index].name for index in program.outputs)}")
    return "\n".join(lines)


def _placed(slot: Slot) -> str:
    meaning = f" ~ {slot.encoding}" if slot.encoding else ""
    return f"{slot.name}: {slot.type} at {slot.offset}{meaning}"


def _step_text(program: Program, step: Step) -> str:
    text = f"{_placed(program.slots[step.output])} = {_call(program, step.op, step.inputs)}"
    if step.epilogue is not None:
        text += f" then {_call(program, step.epilogue, step.parameters)}"
    origin = program.slots[step.output].origin
    return f"{text} from {origin}" if origin else text


def _call(program: Program, op: Op, operands: tuple[int, ...]) -> str:
    given: Mapping[str, Any] = attributes(op)
    options = " {" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"
    names = ", ".join(program.slots[index].name for index in operands)
    return f"{op.name}{options if given else ''} ({names})"
