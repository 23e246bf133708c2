"""The loss: of scores, of the shares of a softmax, and of what a teacher says."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import INT32, int_type
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_quant import Dequantize, Quantize
from intaglio.ir.ops_softmax import Softmax
from intaglio.ir.tensor import BATCH, Tensor, TensorType, real
from intaglio.passes.optimizer import Optimizer
from intaglio.passes.training.module import to_torch
from intaglio.passes.training.objective import Objective

X = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32))
Y = torch.arange(8) % 3


def network(end, seed=0):
    """A dense layer to 3 scores, and ``end`` behind it."""
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 4))))
    weight = np.random.default_rng(seed).normal(size=(3, 4))
    return b.build((end(b, b.node("scores", Dense(), x, b.constant("w", real(weight)))),))


def scores(b, name):
    return name


def shares(b, name):
    image = b.node("image", Reshape((3, 1, 1)), name)
    return b.node("flat", Reshape((3,)), b.node("shares", Softmax(1), image))


def rounded_shares(b, name):
    scale, zero = b.constant("s", real(np.asarray(1 / 256))), Tensor(np.asarray(0), INT32)
    operands = scale, b.constant("z", zero)
    codes = b.node("codes", Quantize(int_type(8, signed=False)), shares(b, name), *operands)
    return b.node("reals", Dequantize(), codes, *operands)


def loss(end, teacher_end=scores, **options):
    graph = network(end)
    objective = Objective(Optimizer(**options), graph, to_torch(network(teacher_end, seed=1)))
    module = to_torch(graph)
    value = objective(module, X, Y)
    value.backward()
    return value.item(), module.weights["w"].grad


def test_without_a_teacher_it_is_the_cross_entropy():
    value, _ = loss(scores)
    truth = functional.cross_entropy(to_torch(network(scores))(X), Y)
    assert value == truth.item()


@pytest.mark.parametrize("options", [{}, {"distill": 0.7}, {"smoothing": 0.1}])
def test_a_softmax_at_the_end_is_not_taken_for_scores(options):
    value, gradient = loss(shares, shares, **options)
    expected, truth = loss(scores, **options)
    assert value == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient, truth, rtol=1e-4, atol=1e-6)


def test_a_softmax_of_few_codes_gives_nearly_the_same_loss():
    value, _ = loss(rounded_shares)
    expected, _ = loss(scores)
    assert value == pytest.approx(expected, rel=0.05)


def test_a_share_of_nothing_has_no_gradient_and_a_finite_loss():
    module = to_torch(network(shares))
    objective = Objective(Optimizer(), module.graph, module)
    value = objective(module, X * 1e4, Y)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(module.weights["w"].grad).all()
