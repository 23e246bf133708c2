"""A program as an ONNX model: the same codes from any executor of standard operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import helper

from ...errors import UsageError
from ...ir.op import Op
from ...ir.program import Program, Slot, Step
from ...ir.tensor import TensorType
from . import layout, linear, norm, pointwise, pool, softmax
from .emitter import Emitter, Operand, Ref, value_info

OPSET = 20
IR_VERSION = 9
MAX_BYTES = (1 << 31) - 1
"""What protobuf holds in one message."""

EMITTERS: dict[str, Callable[..., Ref]] = {
    "conv": linear.conv,
    "gather_conv": linear.gather_conv,
    "dense": linear.dense,
    "matmul": linear.matmul,
    "add": pointwise.add,
    "multiply": pointwise.multiply,
    "requantize": pointwise.requantize,
    "threshold": pointwise.threshold,
    "lookup": pointwise.lookup,
    "max_pool": pool.max_pool,
    "sum_pool": pool.sum_pool,
    "arg_max": pool.arg_max,
    "reshape": layout.reshape,
    "transpose": layout.transpose,
    "slice": layout.slice_,
    "pad": layout.pad,
    "concat": layout.concat,
    "take": layout.take,
    "softmax": softmax.softmax,
    "layer_norm": norm.layer_norm,
}


def onnx_model(program: Program) -> onnx.ModelProto:
    """The model: inputs and outputs are codes in their containers, in logical order.

    Values have the names of their slots. Raises UsageError naming a step that has no ONNX form.
    """
    e = Emitter(frozenset(slot.name for slot in program.slots))
    values = {
        index: Ref(slot.name, slot.type.dtype.container)
        for index, slot in enumerate(program.slots)
        if slot.constant is None
    }
    for step in program.steps:
        _emit(e, program, step, values)
    graph = helper.make_graph(
        e.nodes,
        program.name or "network",
        [_info(program.slots[index]) for index in program.inputs],
        [_info(program.slots[index]) for index in program.outputs],
        e.tensors,
    )
    model: onnx.ModelProto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="intaglio",
    )
    return model


def onnx_bytes(program: Program) -> bytes:
    """The file of ``onnx_model``; raises UsageError when it is greater than ONNX files are."""
    model = onnx_model(program)
    if model.ByteSize() > MAX_BYTES:
        raise UsageError(
            f"As one ONNX file the network takes {model.ByteSize():,} bytes, and those end at "
            f"{MAX_BYTES:,}.",
            fix="Export it as npz, hex, mem or coe.",
        )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _info(slot: Slot) -> onnx.ValueInfoProto:
    return value_info(slot.name, slot.type.dtype, slot.type.shape)


def _emit(e: Emitter, program: Program, step: Step, values: dict[int, Ref]) -> None:
    """Write the nodes of a step; the value of its result has the name of its slot."""
    target = program.slots[step.output]
    e.scope = target.name
    operands = [_operand(program.slots[index], values.get(index)) for index in step.inputs]
    result = _emitter(step.op, target)(e, step.op, *operands)
    if step.epilogue is not None:
        between: TensorType = step.op.infer(*(each.type for each in operands))
        parameters = [_operand(program.slots[index], None) for index in step.parameters]
        emit = _emitter(step.epilogue, target)
        result = emit(e, step.epilogue, Operand(between, result), *parameters)
    values[step.output] = e.named(e.cast(result, target.type.dtype.container), target.name)


def _operand(slot: Slot, ref: Ref | None) -> Operand:
    return Operand(slot.type, ref, None if slot.constant is None else slot.constant.array)


def _emitter(op: Op, target: Slot) -> Callable[..., Any]:
    if op.name not in EMITTERS:
        raise UsageError(
            f"Operator '{op.name}' has no form in ONNX's integer operators here.",
            where=f"Step '{target.name}'",
            fix="Export the network as npz, hex, mem or coe.",
        )
    return EMITTERS[op.name]
