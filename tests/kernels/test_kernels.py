"""Every kernel equals its op's reference bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ir.layout import from_storage, storage_shape, to_storage
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.tensor import TensorType
from intaglio.kernels.table import kernel_for
from intaglio.testing import OPERATORS, OpCase, assert_bit_exact, op_cases

GUARD = 64


def run_kernel(case: OpCase) -> np.ndarray:
    """The kernel's result in logical order, computed between guards that it must not touch."""
    shape = (len(case.arrays[0]), *storage_shape(case.result.shape)[1:])
    memory = np.full(int(np.prod(shape)) + 2 * GUARD, 77, case.result.dtype.container)
    out = memory[GUARD:-GUARD].reshape(shape)
    kernel_for(case.op, case.types)(case.op, [to_storage(a) for a in case.arrays], out)
    assert (memory[:GUARD] == 77).all()
    assert (memory[-GUARD:] == 77).all()
    return from_storage(out)


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=100)
@given(data=st.data())
def test_kernel_equals_reference(name: str, data: st.DataObject) -> None:
    case = data.draw(op_cases(name))
    assert_bit_exact(run_kernel(case), case.expected, case=case)


@pytest.mark.parametrize("bits", [16, 17])
def test_sums_that_wrap_on_the_way_are_exact(bits: int) -> None:
    x_type = TensorType(("n", 64), int_type(bits))
    weight_type = TensorType((17, 64), int_type(16))
    weight = np.full((17, 64), -(2**15), np.int16)
    weight[:, 32:] = 2**15 - 1
    x = np.full((7, 64), x_type.dtype.lo, x_type.dtype.container)
    case = OpCase(Dense(), (x_type, weight_type), (x, weight))
    assert (x[0, :32].astype(np.int64) @ weight[0, :32]) > 2**31
    assert_bit_exact(run_kernel(case), case.expected, case=case)
    assert (case.expected == 2**bits * 16).all()


def test_kernels_take_constants_packed_once() -> None:
    rng = np.random.default_rng(0)
    types = (TensorType(("n", 3, 9, 9), int_type(8)), TensorType((5, 3, 3, 3), int_type(4)))
    weight = rng.integers(-8, 8, (5, 3, 3, 3)).astype(np.int8)
    kernel = kernel_for(Conv(), types)
    packed = kernel.prepare(Conv(), (None, to_storage(weight)))
    for samples in (1, 4):
        x = rng.integers(-128, 128, (samples, 3, 9, 9)).astype(np.int8)
        out = np.empty((samples, 7, 7, 5), np.int32)
        kernel.run(Conv(), (to_storage(x), *packed[1:]), out)
        assert_bit_exact(from_storage(out), Conv().reference(x, weight))
