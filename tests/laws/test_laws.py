"""What must hold for every operator of an integer network, whatever its attributes and operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.ir.evaluate import facts, walk
from intaglio.ir.graph import Builder, Graph, Value
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import Array
from intaglio.ir.ops_linear import Conv, Dense, GatherConv
from intaglio.ir.tensor import Tensor, TensorType
from intaglio.ir.text import from_text, to_text
from intaglio.ir.verify import LEGAL, verify
from intaglio.kernels.kernel import Kernel
from intaglio.kernels.table import kernel_for, table
from intaglio.testing import OPERATORS, OpCase, int_tensors, op_cases, small_networks

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


def fact_of(type_: TensorType, array: Array, how: str) -> Fact:
    """What could be known of an operand: its type, its ends, or the ends of each channel."""
    if not type_.batched:
        return Fact(type_, Interval.of_type(type_.dtype), array)
    if how == "type":
        return Fact(type_, Interval.of_type(type_.dtype))
    others = tuple(axis for axis in range(array.ndim) if axis != 1 or how == "tensor")
    return Fact(type_, Interval.of(array.min(axis=others), array.max(axis=others)))


def products_of_dense(x: Array, weight: Array) -> Iterator[tuple[tuple[int, ...], int]]:
    """Where each product of a dense goes, and its value."""
    for *row, channel in np.ndindex(*x.shape[:-1], len(weight)):
        for k in range(x.shape[-1]):
            yield (*row, channel), int(x[*row, k]) * int(weight[channel, k])


def products_of_conv(op: Conv, x: Array, weight: Array) -> Iterator[tuple[tuple[int, ...], int]]:
    """Where each product of a conv goes, and its value; those with the border count too."""
    _, _, rows, columns = op.infer(TensorType(("n", *x.shape[1:])), TensorType(weight.shape)).shape
    top, left = op.pads[:2]
    for n, co, i, j, c, ky, kx in np.ndindex(len(x), len(weight), rows, columns, *weight.shape[1:]):
        channel = co // (len(weight) // op.groups) * weight.shape[1] + c
        y = i * op.strides[0] - top + ky * op.dilations[0]
        z = j * op.strides[1] - left + kx * op.dilations[1]
        inside = 0 <= y < x.shape[2] and 0 <= z < x.shape[3]
        code = int(x[n, channel, y, z]) if inside else op.pad_value
        yield (n, co, i, j), code * int(weight[co, c, ky, kx])


def products_of_gather_conv(
    op: GatherConv, x: Array, weight: Array, columns: Array
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Where each product goes, and its value: each column by its place and channel."""
    types = (TensorType(("n", *x.shape[1:])), TensorType(weight.shape), TensorType(columns.shape))
    rows, across = op.infer(*types).shape[2:]
    for n, co, i, j, k in np.ndindex(len(x), len(weight), rows, across, len(columns)):
        place, channel = divmod(int(columns[k]), x.shape[1])
        y = i * op.strides[0] - op.pads[0] + place // op.kernel[1] * op.dilations[0]
        z = j * op.strides[1] - op.pads[1] + place % op.kernel[1] * op.dilations[1]
        inside = 0 <= y < x.shape[2] and 0 <= z < x.shape[3]
        code = int(x[n, channel, y, z]) if inside else op.pad_value
        yield (n, co, i, j), code * int(weight[co, k])


def check_products(
    case: OpCase, products: Iterator[tuple[tuple[int, ...], int]], operands: int = 2
) -> None:
    """The products add up to the reference without its bias, and ``work`` counts them."""
    x = case.arrays[0]
    total = np.zeros(case.expected.shape, np.int64)
    count = 0
    for place, value in products:
        total[place] += value
        count += 1
    assert np.array_equal(total, case.op.reference(*case.arrays[:operands]))
    assert count == case.op.work(*case.types).macs * len(x)


@every_op
@given(data=st.data())
def test_interval_holds_every_result(name: str, data: st.DataObject) -> None:
    case = data.draw(op_cases(name))
    how = data.draw(st.sampled_from(("type", "tensor", "channel")))
    known = [fact_of(t, a, how) for t, a in zip(case.types, case.arrays, strict=True)]
    interval = case.op.interval(*known)
    assert interval.contains(case.expected)
    assert interval.lo.shape in ((), (1,), case.expected.shape[1:2])


@every_op
@given(data=st.data())
def test_inferred_type_is_that_of_the_reference(name: str, data: st.DataObject) -> None:
    case = data.draw(op_cases(name))
    assert case.result.shape == ("n", *case.expected.shape[1:])
    assert len(case.expected) == len(case.arrays[0])
    assert case.result.dtype.contains(case.expected)


@given(case=op_cases("dense"))
def test_macs_of_dense_are_its_multiplications(case: OpCase) -> None:
    assert isinstance(case.op, Dense)
    check_products(case, products_of_dense(*case.arrays[:2]))


@given(case=op_cases("conv").filter(lambda case: case.op.work(*case.types).macs < 5000))
def test_macs_of_conv_are_its_multiplications(case: OpCase) -> None:
    assert isinstance(case.op, Conv)
    check_products(case, products_of_conv(case.op, *case.arrays[:2]))


@given(case=op_cases("gather_conv").filter(lambda case: case.op.work(*case.types).macs < 5000))
def test_macs_of_gather_conv_are_its_multiplications(case: OpCase) -> None:
    assert isinstance(case.op, GatherConv)
    check_products(case, products_of_gather_conv(case.op, *case.arrays[:3]), operands=3)


@every_op
@given(data=st.data())
def test_text_of_a_graph_parses_to_an_equal_graph(name: str, data: st.DataObject) -> None:
    graph = verify(graph_of(data.draw(op_cases(name))), "integer")
    assert from_text(to_text(graph)) == graph


@given(network=small_networks(), data=st.data())
def test_intervals_of_a_network_hold_every_value(network: Graph, data: st.DataObject) -> None:
    image = network.inputs[0].type
    codes = data.draw(int_tensors(image.dtype, (2, *image.sample_shape)))
    known = facts(network)
    for node, values in walk(network, {"image": codes}):
        assert known[node.name].interval.contains(values), node.where


@given(network=small_networks())
def test_text_of_a_network_parses_to_an_equal_network(network: Graph) -> None:
    assert from_text(to_text(network)) == network


def test_the_kit_draws_every_operator_of_the_integer_stage() -> None:
    assert set(OPERATORS) == {op.name for op in LEGAL["integer"]}


def test_the_kernel_table_is_total() -> None:
    assert set(table()) == {(op, "portable") for op in LEGAL["integer"]}


@every_op
@given(data=st.data())
def test_every_operand_type_has_a_kernel(name: str, data: st.DataObject) -> None:
    case = data.draw(op_cases(name))
    assert isinstance(kernel_for(case.op, case.types), Kernel)
