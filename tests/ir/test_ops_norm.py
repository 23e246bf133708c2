"""layer_norm and arg_max: their meaning for reals and in integers."""

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.errors import ShapeError, VerifyError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops_arg import ArgMax
from intaglio.ir.ops_norm import LayerNorm
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.ir.verify import verify
from intaglio.kernels.norm import square_root

UINT8, INT16, INT40 = int_type(8, signed=False), int_type(16), int_type(40)
UNIT = 1 << 16


def normalized(row, epsilon):
    """The real function of integers, in float64."""
    wide = row.astype(np.float64)
    centered = wide - wide.mean()
    return centered / np.sqrt((centered**2).mean() + epsilon)


@given(arrays(np.int64, st.integers(2, 40), elements=st.integers(0, 255)), st.integers(0, 12))
def test_integers_are_as_near_to_the_reals_as_stated(row, bits):
    """1/2 for the division, and 2**16 |y| 5/4 / r for the root, which is off by at most 5/4."""
    count = len(row)
    scale, real = 0.01, 1e-5
    epsilon = round(Fraction(real) * (count / Fraction(scale)) ** 2 * 4**bits)
    found = LayerNorm(1, bits).reference(row[None], np.asarray(epsilon))[0]
    expected = normalized(row * scale, real)
    spread = count * int((row * row).sum()) - int(row.sum()) ** 2
    root = max(1, isqrt((spread << 2 * bits) + epsilon))
    bound = 0.5 + UNIT * np.abs(expected) * 1.25 / root + 1e-6
    assert np.all(np.abs(found - UNIT * expected) <= bound)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_of_reals_it_is_what_torch_computes(axis):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    found = LayerNorm(axis).reference(x, np.float32(1e-3))
    turned = torch.from_numpy(np.moveaxis(x, axis, -1).copy())
    expected = torch.nn.functional.layer_norm(turned, turned.shape[-1:], eps=1e-3).numpy()
    assert np.allclose(np.moveaxis(found, axis, -1), expected, atol=1e-6)


def test_rows_of_one_code_become_zeros():
    x = np.full((1, 4), 7)
    assert LayerNorm(1, 3).reference(x, np.asarray(0)).tolist() == [[0, 0, 0, 0]]


@given(st.integers(0, 2**62 - 1))
def test_the_root_of_the_kernel_is_exact(square):
    assert square_root(np.array([square])).tolist() == [isqrt(square)]


@pytest.mark.parametrize("root", [2, 2**26 + 1, 2**31 - 1])
def test_the_root_of_the_kernel_is_exact_beside_squares(root):
    squares = np.array([root * root - 1, root * root, root * root + 1])
    assert square_root(squares).tolist() == [root - 1, root, root]


def test_what_does_not_fit_int64_is_refused():
    wide = TensorType((BATCH, 2**16), INT16)
    assert LayerNorm(1).fits(TensorType((BATCH, 64), UINT8), 2**40)
    assert not LayerNorm(1).fits(wide, 0)
    assert not LayerNorm(1).fits(TensorType((BATCH, 64), UINT8), 2**62)
    assert not LayerNorm(1, 31).fits(TensorType((BATCH, 64), UINT8), 0)
    b = Builder("g")
    x = b.input(Value("x", wide))
    epsilon = b.constant("e", Tensor(np.asarray(1), INT40))
    graph = b.build((b.node("y", LayerNorm(1), x, epsilon, origin="/norm"),))
    with pytest.raises(VerifyError) as caught:
        verify(graph, "integer")
    assert str(caught.value) == (
        "Node '/norm' (layer_norm): its sums of int16[n,65536] overflow. Rule: Sums of layer_norm "
        "fit int64."
    )


@given(arrays(np.int64, (2, 3, 4), elements=st.integers(-3, 3)), st.integers(1, 2), st.booleans())
def test_arg_max_is_the_first_or_last_greatest(x, axis, last):
    found = ArgMax(axis, int(last)).reference(x)
    rows, indices = np.moveaxis(x, axis, -1), np.moveaxis(found, axis, -1)[..., 0]
    for place in np.ndindex(rows.shape[:-1]):
        where = np.flatnonzero(rows[place] == rows[place].max())
        assert indices[place] == where[-1 if last else 0]


def test_an_index_lies_within_its_axis():
    x = TensorType((BATCH, 3, 7), UINT8)
    assert ArgMax(2).interval(Fact(x, Interval.of_type(UINT8))).bounds == (0, 6)
    assert ArgMax(2).infer(x) == TensorType((BATCH, 3, 1), INT32)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (ArgMax(0), (), "Axis 0 is not one of uint8[n,3] after the batch."),
        (ArgMax(1, 2), (), "last is 0 or 1, not 2."),
        (
            LayerNorm(2),
            (TensorType((), INT40),),
            "Axis 2 is not one of uint8[n,3] after the batch.",
        ),
        (
            LayerNorm(1),
            (TensorType((1,), INT40),),
            "Epsilon must be one number of the kind of uint8[n,3], got int40[1].",
        ),
        (LayerNorm(1, 32), (TensorType((), INT40),), "bits is 0 to 31, not 32."),
    ],
)
def test_operands_that_do_not_fit_are_refused(op, operands, message):
    with pytest.raises(ShapeError) as caught:
        op.infer(TensorType((BATCH, 3), UINT8), *operands)
    assert caught.value.what == message
