"""The solver itself, on problems whose answer is known."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_linear import Dense
from intaglio.ir.tensor import TensorType, real
from intaglio.passes.projections.sparse import NonStructured
from intaglio.passes.training.admm import MOST_RHO, Admm, Hard
from intaglio.passes.training.module import to_torch

reals = st.floats(-4, 4, width=32, allow_nan=False)
matrices = arrays(np.float32, (3, 4), elements=reals)


def dense(weight):
    builder = Builder("g")
    builder.input(Value("x", TensorType(("n", weight.shape[1]))))
    builder.constant("w", real(weight))
    builder.node("y", Dense(), "x", "w")
    return to_torch(builder.build(("y",)))


def keep(count):
    return lambda weights: {name: NonStructured(count) for name in weights}


def largest(values, count):
    order = np.argsort(-np.abs(values).ravel(), kind="stable")[:count]
    kept = np.zeros(values.size, bool)
    kept[order] = True
    return np.where(kept.reshape(values.shape), values, 0)


@given(matrices, st.integers(1, 11))
def test_it_starts_with_z_projected_and_no_dual(weight, count):
    admm = Admm(keep(count), rho=0.1)
    admm.start(dense(weight))
    np.testing.assert_array_equal(admm.z["w"], largest(weight, count))
    assert not admm.u["w"].any()


@given(matrices, matrices, st.integers(1, 11), st.integers(1, 5))
def test_the_gradient_of_the_penalty_is_rho_times_w_minus_z_plus_u(before, after, count, updates):
    module = dense(before)
    admm = Admm(keep(count), rho=0.25, growth=1.5)
    admm.start(module)
    for epoch in range(updates):
        with torch.no_grad():
            module.weights["w"].copy_(torch.from_numpy(after))
        admm.after_epoch(epoch)
    torch.autograd.backward(admm.penalty())
    expected = admm.rho * (after - admm.z["w"].numpy() + admm.u["w"].numpy())
    np.testing.assert_allclose(module.weights["w"].grad, expected, rtol=1e-5, atol=1e-5)


def test_an_update_projects_w_plus_u_and_adds_the_gap_to_the_dual():
    module = dense(np.array([[4.0, 3.0, -1.0]], np.float32))
    admm = Admm(keep(1), rho=1.0)
    admm.start(module)
    admm.after_epoch(0)
    assert admm.z["w"].tolist() == [[4, 0, 0]]
    assert admm.u["w"].tolist() == [[0, 3, -1]]
    admm.after_epoch(1)
    assert admm.z["w"].tolist() == [[0, 6, 0]]
    assert admm.u["w"].tolist() == [[4, 0, -2]]


def test_the_dual_shrinks_as_rho_grows():
    module = dense(np.array([[4.0, 3.0, -1.0]], np.float32))
    admm = Admm(keep(1), rho=0.5, growth=2.0)
    admm.start(module)
    admm.after_epoch(0)
    assert admm.rho == 1.0
    assert admm.u["w"].tolist() == [[0, 1.5, -0.5]]


def test_rho_grows_to_its_limit_and_the_dual_shrinks_by_what_rho_grew():
    module = dense(np.array([[4.0, 3.0, -1.0]], np.float32))
    admm = Admm(keep(1), rho=80.0, growth=2.0)
    admm.start(module)
    admm.after_epoch(0)
    assert admm.rho == MOST_RHO == 100
    assert admm.u["w"].tolist() == [[0, np.float32(2.4), np.float32(-0.8)]]
    before = admm.u["w"]
    admm.after_epoch(1)
    assert admm.rho == 100
    np.testing.assert_array_equal(admm.u["w"], before + module.weights["w"].detach() - admm.z["w"])


def test_rho_that_was_asked_for_stays_though_it_is_above_the_limit():
    admm = Admm(keep(1), rho=500.0, growth=1.5)
    admm.start(dense(np.array([[4.0, 3.0, -1.0]], np.float32)))
    admm.after_epoch(0)
    assert admm.rho == 500


def test_hundreds_of_updates_stay_finite():
    module = dense(np.array([[4.0, 3.0, -1.0]], np.float32))
    admm = Admm(keep(1), rho=0.002, growth=1.6)
    admm.start(module)
    for epoch in range(2000):
        admm.after_epoch(epoch)
    assert np.isfinite([admm.rho, admm.penalty().item(), *admm.residuals]).all()


def test_z_and_u_rest_between_updates():
    module = dense(np.array([[4.0, 3.0, -1.0]], np.float32))
    admm = Admm(keep(1), rho=0.5, growth=2.0, every=3)
    admm.start(module)
    admm.after_epoch(0)
    admm.after_epoch(1)
    assert (admm.rho, admm.u["w"].abs().sum().item()) == (0.5, 0)
    admm.after_epoch(2)
    assert admm.rho == 1.0


def test_it_finds_the_nearest_sparse_point_of_a_quadratic():
    """Minimising |W - A|^2 exactly in every epoch, W and Z meet at the projection of A."""
    goal = np.array([[5.0, -3.0, 1.0, 0.5]], np.float32)
    module = dense(goal)
    admm = Admm(keep(2), rho=2.0, tolerance=1e-4)
    admm.start(module)
    for epoch in range(100):
        pull = admm.z["w"] - admm.u["w"]
        with torch.no_grad():
            module.weights["w"].copy_((2 * torch.from_numpy(goal) + admm.rho * pull) / 4)
        admm.after_epoch(epoch)
        if admm.done:
            break
    assert admm.done
    assert epoch < 99
    np.testing.assert_allclose(admm.z["w"], [[5, -3, 0, 0]], atol=1e-3)
    np.testing.assert_allclose(module.weights["w"].detach(), [[5, -3, 0, 0]], atol=1e-3)


def test_going_on_from_a_saved_state_gives_the_same():
    def moved(admm, module, epochs):
        for epoch in epochs:
            with torch.no_grad():
                module.weights["w"].mul_(1.1).add_(0.1)
            admm.after_epoch(epoch)

    weight = np.array([[4.0, 3.0, -1.0], [0.5, 2.0, -3.0]], np.float32)
    whole, halves = dense(weight), dense(weight)
    first, second, third = (Admm(keep(2), rho=0.5, growth=1.3) for _ in range(3))
    first.start(whole)
    moved(first, whole, range(4))
    second.start(halves)
    moved(second, halves, range(2))
    third.restore(halves, second.state())
    moved(third, halves, range(2, 4))
    assert torch.equal(first.z["w"], third.z["w"])
    assert torch.equal(first.u["w"], third.u["w"])
    assert (first.rho, first.residuals) == (third.rho, third.residuals)


@given(matrices, st.integers(1, 11))
def test_hard_projects_the_weights_themselves(weight, count):
    module = dense(weight)
    Hard(keep(count)).start(module)
    np.testing.assert_array_equal(module.weights["w"].detach(), largest(weight, count))
