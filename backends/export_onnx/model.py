"""The ONNX model of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ...ir.op import Op
from ...ir.ops_arg import ArgMax
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from ...ir.ops_linear import Conv, Dense, GatherConv
from ...ir.ops_norm import LayerNorm
from ...ir.ops_pointwise import Add
from ...ir.ops_pool import MaxPool, SumPool
from ...ir.ops_product import MatMul, Multiply
from ...ir.ops_quant import Lookup, Requantize, Threshold
from ...ir.ops_softmax import Softmax
from ...ir.program import Program, Slot
from . import linear, others
from .build import Build
from .values import Values

OPSET, IR_VERSION = 18, 9
BATCH = "samples"
STEPS: Mapping[type[Any], Callable[..., str]] = {
    Conv: linear.conv,
    GatherConv: linear.gather_conv,
    Dense: linear.dense,
    SumPool: linear.sum_pool,
    MaxPool: linear.max_pool,
    Add: others.add,
    Multiply: others.multiply,
    MatMul: others.matmul,
    Softmax: others.softmax,
    LayerNorm: others.layer_norm,
    ArgMax: others.arg_max,
    Reshape: others.reshape,
    Transpose: others.transpose,
    Slice: others.slice_,
    Take: others.take,
    Pad: others.pad,
    Concat: others.concat,
}
RESCALES: Mapping[type[Any], Callable[..., str]] = {
    Requantize: others.requantize,
    Threshold: others.threshold,
    Lookup: others.lookup,
}


def onnx_model(program: Program) -> onnx.ModelProto:
    """Codes in, codes out, in logical order ``(samples, c, h, w)`` and the containers of the slots.

    Between them values are int64. Raises UsageError naming a step that no operator expresses.
    """
    b, v = Build(), Values(program)
    for index in program.inputs:
        v.names[index] = b.cast(program.slots[index].name, np.int64)
    for step in program.steps:
        slot = program.slots[step.output]
        b.prefix = slot.name
        v.current = step.output
        if type(step.op) in RESCALES:
            x = v.name(step.inputs[0])
            v.names[step.output] = _rescaled(b, v, x, step.op, step.inputs[1:])
            continue
        found = STEPS[type(step.op)](b, v, step)
        if step.epilogue is not None:
            found = _rescaled(b, v, found, step.epilogue, step.parameters)
        v.names[step.output] = found
    return _model(program, b, v)


def _rescaled(b: Build, v: Values, x: str, op: Op, parameters: tuple[int, ...]) -> str:
    return RESCALES[type(op)](b, v, x, op, parameters)


def _model(program: Program, b: Build, v: Values) -> onnx.ModelProto:
    names = {index: program.slots[index].name for index in program.inputs}
    outputs = []
    for index in dict.fromkeys(program.outputs):
        slot = program.slots[index]
        cast = b.cast(v.name(index), slot.type.dtype.container)
        name = f"{slot.name}/output" if index in names else slot.name
        b.nodes.append(helper.make_node("Identity", [cast], [name], name=f"{name}/Identity"))
        outputs.append(_info(slot, name))
    inputs = [_info(program.slots[index], name) for index, name in names.items()]
    graph = helper.make_graph(b.nodes, program.name, inputs, outputs, list(b.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def _info(slot: Slot, name: str) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(slot.type.dtype.container)
    return helper.make_tensor_value_info(name, dtype, [BATCH, *slot.type.sample_shape])
