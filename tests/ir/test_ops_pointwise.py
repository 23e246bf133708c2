import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import ShapeError
from intaglio.ir.interval import Fact, Interval
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.op import Work
from intaglio.ir.ops_pointwise import UNARY, Add, Affine, Clip, Relu, Unary
from intaglio.ir.tensor import BATCH, TensorType

INT8 = int_type(8)
codes = st.lists(st.integers(-128, 127), min_size=4, max_size=4).map(
    lambda values: np.array(values, dtype=np.int8).reshape(2, 2)
)


@given(codes, codes, st.integers(-(2**20), 2**20), st.integers(-(2**20), 2**20))
def test_add_of_integers_is_exact(x, y, left, right):
    op = Add((left, right))
    got = op.reference(x, y)
    assert got.dtype == np.int64
    pairs = zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
    assert got.ravel().tolist() == [left * a + right * b for a, b in pairs]
    type_ = TensorType((BATCH, 2), INT8)
    assert op.infer(type_, type_) == TensorType((BATCH, 2), INT32)
    facts = [Fact(type_, Interval.of(each.min(axis=0), each.max(axis=0))) for each in (x, y)]
    assert op.interval(*facts).contains(got)


def test_add_of_reals_is_float32():
    x, y = np.array([[0.5]], dtype=np.float32), np.array([[0.25]], dtype=np.float32)
    got = Add((2, -1)).reference(x, y)
    assert (got.tolist(), got.dtype) == ([[0.75]], np.float32)


def test_add_counts_a_product_for_each_multiplier_that_is_not_one():
    type_ = TensorType((BATCH, 6), INT8)
    assert Add((1, -1)).work(type_, type_) == Work(adds=6)
    assert Add((3, -2)).work(type_, type_) == Work(adds=6, multiplies=12)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_affine_scales_and_shifts_along_axis_1(shape, per_channel):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    scale = rng.normal(size=3 if per_channel else ()).astype(np.float32)
    shift = rng.normal(size=3 if per_channel else (1,)).astype(np.float32)
    got = Affine().reference(x, scale, shift)
    assert got.dtype == np.float32
    for index in np.ndindex(*shape):
        factor = scale[index[1]] if per_channel else scale
        offset = shift[index[1]] if per_channel else shift[0]
        assert got[index] == x[index] * factor + offset


def test_relu_and_clip_saturate():
    x = np.array([[-7, -0.5, 0, 3, 9]], dtype=np.float32)
    assert Relu().reference(x).tolist() == [[0, 0, 0, 3, 9]]
    assert Clip(-1.0, 6.0).reference(x).tolist() == [[-1, -0.5, 0, 3, 6]]
    assert Clip(-math.inf, 6.0).reference(x).tolist() == [[-7, -0.5, 0, 3, 6]]
    assert Clip(0.0, 6.0).reference(x).dtype == np.float32


TORCH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.25),
    "elu": lambda x: torch.nn.functional.elu(x, 0.25),
    "hard_sigmoid": lambda x: torch.clamp(x * 0.25 + 0.5, 0, 1),
    "hard_swish": torch.nn.functional.hardswish,
    "silu": torch.nn.functional.silu,
    "abs": torch.abs,
    "exp": torch.exp,
    "sqrt": torch.sqrt,
    "rsqrt": lambda x: torch.rsqrt(x + 0.25),
    "neg": torch.neg,
}


@pytest.mark.parametrize("function", sorted(UNARY))
def test_unary_equals_torch(function):
    x = np.linspace(0 if "sqrt" in function else -12, 12, 1001, dtype=np.float32)[None]
    got = Unary(function, 0.25).reference(x)
    assert got.dtype == np.float32
    assert np.allclose(got, TORCH[function](torch.tensor(x)).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", sorted(set(UNARY) - {"exp", "sqrt", "rsqrt"}))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unary_of_great_magnitudes_is_finite_and_warns_of_nothing(function, dtype):
    x = np.array([[-1e4, -800, -100, 100, 800, 1e4]], dtype=dtype)
    got = Unary(function, 0.25).reference(x)
    assert np.isfinite(got).all()
    assert got.dtype == dtype


def test_sigmoid_keeps_its_relative_precision_far_below_zero():
    got = Unary("sigmoid").reference(np.array([[-80.0, 80.0]]))
    assert got[0, 0] == pytest.approx(math.exp(-80), rel=1e-12)
    assert got[0, 1] == 1


@pytest.mark.parametrize(
    ("op", "types", "text"),
    [
        (
            Add(),
            [TensorType((BATCH, 2)), TensorType((BATCH, 3))],
            "Operands float32[n,2] and float32[n,3] differ.",
        ),
        (
            Add(),
            [TensorType((BATCH, 2)), TensorType((BATCH, 2), INT8)],
            "Operands float32[n,2] and int8[n,2] differ.",
        ),
        (
            Affine(),
            [TensorType((BATCH, 2)), TensorType((3,)), TensorType(())],
            "Scale must be a scalar or (2,), got float32[3].",
        ),
        (
            Affine(),
            [TensorType((BATCH, 2)), TensorType(()), TensorType((2, 1))],
            "Shift must be a scalar or (2,), got float32[2,1].",
        ),
        (
            Unary("sine"),
            [TensorType((BATCH, 2))],
            "'sine' is not one of abs, elu, exp, hard_sigmoid, hard_swish, leaky_relu, neg, "
            "rsqrt, sigmoid, silu, sqrt, tanh.",
        ),
    ],
)
def test_operands_that_do_not_fit_are_refused(op, types, text):
    with pytest.raises(ShapeError, match=f"^{re.escape(text)}$"):
        op.infer(*types)


def test_pointwise_ops_keep_the_type_and_count_their_work():
    x = TensorType((BATCH, 3, 2))
    assert Relu().infer(x) == Clip().infer(x) == Unary("abs").infer(x) == x
    assert Relu().work(x) == Work(compares=6)
    assert Clip().work(x) == Work(compares=12)
    assert Unary().work(x) == Work(lookups=6)
    assert Affine().work(x, x, x) == Work(macs=6)
