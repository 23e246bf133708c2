import numpy as np
import pytest
import torch

from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import INT32, LEAST_SCALE, int_type, short_scale
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.ops_quant import Dequantize, Quantize
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.passes.training.module import to_torch
from intaglio.passes.training.scale import Scale, _short, trained_scales

SHORT = short_scale(np.array([0.0123, 0.5, 1.7], np.float32))
LONG = np.array([0.1, 0.3], np.float32)


def test_shortening_is_that_of_the_definition():
    scales = np.random.default_rng(0).lognormal(0, 5, 1000).astype(np.float32)
    assert np.array_equal(_short(torch.from_numpy(scales)).numpy(), short_scale(scales))
    assert _short(torch.zeros(1)).item() == LEAST_SCALE


@pytest.mark.parametrize("start", [SHORT, LONG, SHORT[0], LONG[1]], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scale_begins_as_it_was_given(start, dtype):
    found = Scale(np.asarray(start), 0.01).to(dtype)()
    assert found.dtype == dtype
    assert np.array_equal(found.detach().numpy(), start)


def test_a_short_scale_stays_short_and_another_is_not_rounded():
    short, free = Scale(SHORT, 0.1), Scale(LONG, 0.1)
    with torch.no_grad():
        short.octaves += 0.3
        free.octaves += 0.3
    moved = short().detach().numpy()
    assert np.array_equal(moved, short_scale(SHORT * np.float32(2**0.3)))
    assert np.allclose(free().detach().numpy(), LONG * 2**0.3, rtol=1e-6)


def test_the_gradient_is_that_of_the_octaves_times_the_gain():
    scale = Scale(SHORT, 0.25)
    scale().sum().backward()
    assert np.allclose(scale.octaves.grad.numpy(), 0.25 * SHORT * np.log(2), rtol=1e-6)


def quantized(source, weight_scale, bits=4):
    """x or its relu quantized by ``s``; a coded weight with the scale named ``weight_scale``."""
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2))))
    x = b.node("relu", Relu(), x) if source == "relu" else x
    zero = b.constant("z", Tensor(np.asarray(0), INT32))
    scale = b.constant("s", real(np.asarray(0.5)))
    codes = b.node("codes", Quantize(int_type(bits)), x, scale, zero)
    back = b.node("back", Dequantize(), codes, scale, zero)
    held = b.constant("w.codes", Tensor(np.eye(2, dtype=np.int8), int_type(4)))
    step = b.constant(weight_scale, real(np.asarray(0.5)))
    weight = b.node("w", Dequantize(0), held, step, zero)
    return b.build((b.node("y", Dense(), back, weight),))


@pytest.mark.parametrize(
    ("source", "weight_scale", "bits", "names"),
    [
        ("relu", "ws", 4, ["s"]),
        ("relu", "ws", 9, []),
        ("x", "ws", 4, []),
        ("relu", "s", 4, []),
    ],
    ids=["inside", "of wide codes", "of an input", "of a weight that is fixed as well"],
)
def test_a_scale_trains_inside_the_network_where_nothing_else_holds_it(
    source, weight_scale, bits, names
):
    graph = quantized(source, weight_scale, bits)
    assert [name for name, _ in trained_scales(graph)] == names
    assert to_torch(graph).to_graph() == graph


def test_the_gain_counts_the_elements_of_a_sample_and_the_codes():
    ((_, scale),) = trained_scales(quantized("relu", "ws"))
    assert scale.gain == pytest.approx(1 / np.sqrt(2 * 7))
