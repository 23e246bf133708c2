import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.ir.numeric import BIPOLAR, ROUNDINGS, int_type, round_real
from intaglio.ir.ops_quant import Dequantize, Quantize
from intaglio.passes.training.ops_quant import _estimators
from intaglio.passes.training.table import apply
from intaglio.testing import numeric_types

TIES = np.concatenate([np.arange(-4, 4.25, 0.25), np.nextafter([-1.5, -0.5, 0.5, 1.5], 0)])


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_an_estimator_rounds_as_the_definition_and_has_the_gradient_one(rounding):
    x = torch.from_numpy(TIES.copy()).requires_grad_()
    rounded = _estimators()[rounding](x)
    assert np.array_equal(rounded.detach().numpy(), round_real(TIES, rounding))
    rounded.sum().backward()
    assert x.grad.tolist() == [1] * len(TIES)


@st.composite
def points(draw):
    """A quantize and its operands: ties, values beyond the ends, scales per tensor or channel."""
    dtype = draw(numeric_types(max_bits=12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    axis = draw(st.integers(0, 2))
    narrow = draw(st.integers(0, 1)) if dtype.kind in ("int", "uint") and dtype.bits > 1 else 0
    op = Quantize(dtype, axis, draw(st.sampled_from(ROUNDINGS)), draw(st.integers(0, 1)), narrow)
    shape = (3, 4, 5)
    count = draw(st.sampled_from(((), (1,), (shape[axis],))))
    scale = rng.integers(1, 9, count) / 8
    zero = rng.integers(op.lo, op.hi + 1, count) if dtype != BIPOLAR else np.zeros(count, int)
    steps = rng.integers(2 * op.lo - 3, 2 * op.hi + 4, shape) / 2
    noise = rng.normal(size=shape) * draw(st.sampled_from((0.0, 1.0)))
    return op, (steps * rng.integers(1, 9) / 8 + noise), np.asarray(scale), np.asarray(zero)


@settings(max_examples=150)
@given(point=points())
def test_quantize_and_dequantize_are_their_references_in_float64(point):
    op, x, scale, zero = point
    given = [torch.from_numpy(np.asarray(each)) for each in (x, scale, zero)]
    codes = apply(op, *given)
    truth = op.reference(x, scale, zero)
    assert np.array_equal(codes.numpy(), truth)
    back = Dequantize(op.axis)
    assert np.array_equal(
        apply(back, codes, *given[1:]).numpy(), back.reference(truth, scale, zero)
    )


def test_codes_of_halves_are_exact_beyond_what_halves_hold():
    x = torch.full((1, 1), 1000.0, dtype=torch.bfloat16)
    op = Quantize(int_type(16))
    assert apply(op, x, torch.tensor(1.0), torch.tensor(1)).tolist() == [[1001]]


@pytest.mark.parametrize(
    ("x", "code", "by_x", "by_scale"),
    [
        (0.6, 1, 1, 1 - 0.6 / 0.5),
        (-0.6, -1, 1, -1 + 0.6 / 0.5),
        (2.2, 3, 0, 3),
        (-9.0, -4, 0, -4),
    ],
)
def test_gradients_are_those_of_learned_step_sizes(x, code, by_x, by_scale):
    """Inside the range round(x / s) - x / s, outside the end of the range; s is 0.5."""
    value, scale = (torch.tensor([[each]], dtype=torch.float64) for each in (x, 0.5))
    value.requires_grad_()
    scale = scale.reshape(()).requires_grad_()
    zero = torch.tensor(0)
    codes = apply(Quantize(int_type(3)), value, scale, zero)
    assert codes.item() == code
    apply(Dequantize(), codes, scale, zero).sum().backward()
    assert value.grad.item() == by_x
    assert scale.grad.item() == pytest.approx(by_scale)


def test_bipolar_codes_pass_gradients_within_one_scale():
    x = torch.tensor([[-3.0, -0.4, 0.0, 0.4, 3.0]], requires_grad=True)
    scale, zero = torch.tensor(0.5), torch.tensor(0)
    codes = apply(Quantize(BIPOLAR), x, scale, zero)
    assert codes.tolist() == [[-1, -1, 1, 1, 1]]
    apply(Dequantize(), codes, scale, zero).sum().backward()
    assert x.grad.tolist() == [[0, 1, 1, 1, 0]]


def test_without_brevitas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "brevitas.function", None)
    with pytest.raises(UsageError) as error:
        _estimators.__wrapped__()
    assert str(error.value) == (
        "Brevitas is not installed, and training with quantization needs it. "
        "Install it with: pip install intaglio[train]"
    )
