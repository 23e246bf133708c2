"""What must hold for every operator of an integer network, whatever its attributes and operands."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ir.graph import Builder, Graph, Value
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import Array
from intaglio.ir.op import Op
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.ir.text import from_text, to_text
from intaglio.ir.verify import LEGAL
from intaglio.kernels.kernel import Kernel
from intaglio.kernels.table import kernel_for, table
from intaglio.testing import OPERATORS, OpCase, op_cases

every_op = pytest.mark.parametrize("name", OPERATORS)


def graph_of(case: OpCase) -> Graph:
    """A graph of one node: activations are its inputs, the other operands its constants."""
    b = Builder("case")
    operands = [
        b.input(Value(name, type_, f"/{name}"))
        if type_.batched
        else b.constant(name, Tensor(array, type_.dtype))
        for name, type_, array in zip(case.names, case.types, case.arrays, strict=True)
    ]
    return b.build((b.node("result", case.op, *operands, origin="/result"),))


def interval_of(type_: TensorType, array: Array, how: str) -> Interval:
    """An interval that holds every element: of the type, of the array, of each channel."""
    if how == "type" or not array.size:
        return Interval.of_type(type_.dtype)
    if how == "array" or not type_.batched:
        return Interval.of(int(array.min()), int(array.max()))
    others = tuple(axis for axis in range(array.ndim) if axis != 1)
    return Interval.of(array.min(axis=others), array.max(axis=others))


def multiply_by_hand(op: Op, arrays: tuple[Array, ...]) -> tuple[Array, int]:
    """The result of a conv or dense, one product after the other, and how many products."""
    x, weight = (array.astype(object) for array in arrays[:2])
    if op.name == "dense":
        places = product(*map(range, (*x.shape[:-1], len(weight))))
        taps = {place: [(x[place[:-1]][k], weight[place[-1], k]) for k in range(x.shape[-1])]
                for place in places}
        shape = (*x.shape[:-1], len(weight))
    else:
        shape = op.reference(*arrays).shape
        taps = {place: list(conv_taps(op, x, weight, place)) for place in np.ndindex(*shape)}
    result = np.zeros(shape, object)
    for place, pairs in taps.items():
        result[place] = sum(a * b for a, b in pairs)
    if len(arrays) > 2:
        result = result + arrays[2].reshape(-1, *(1,) * (2 * (op.name == "conv"))).astype(object)
    return result.astype(np.int64), sum(map(len, taps.values()))


def conv_taps(op: Op, x: Array, weight: Array, place: tuple[int, ...]) -> list[tuple[int, int]]:
    """The pairs that one output of a conv multiplies; the border counts."""
    n, channel, row, column = place
    per_group = weight.shape[1]
    first = channel // (len(weight) // op.groups) * per_group
    pairs = []
    for c, ky, kx in np.ndindex(*weight.shape[1:]):
        y = row * op.strides[0] - op.pads[0] + ky * op.dilations[0]
        z = column * op.strides[1] - op.pads[1] + kx * op.dilations[1]
        inside = 0 <= y < x.shape[2] and 0 <= z < x.shape[3]
        code = x[n, first + c, y, z] if inside else op.pad_value
        pairs.append((code, weight[channel, c, ky, kx]))
    return pairs
