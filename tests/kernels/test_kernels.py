"""Every kernel equals its op's reference bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ir.layout import from_storage, storage_shape, to_storage
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
