"""Incremental hardening: more of the weights are fixed in each round, in the end all."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.passes.projections.levels import UniformLevels, binary
from intaglio.passes.training.harden import Harden

from .test_admm import dense

magnitudes = st.floats(0.0078125, 4, width=32)
signed = st.builds(lambda m, s: np.float32(m * s), magnitudes, st.sampled_from([1, -1]))
matrices = arrays(np.float32, (3, 4), elements=signed)


def push(module, harden, by):
    """What a step of training does: every weight moves, then what is fixed comes back."""
    with torch.no_grad():
        module.weights["w"].add_(by)
    harden.after_step()


def test_half_of_what_moves_is_fixed_each_round_the_nearest_first():
    module = dense(np.array([[1.0, 2.1, 2.9, -1.3]], np.float32))
    harden = Harden({"w": UniformLevels(4)}, rounds=3, each=2)
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    harden.restore(module, {"scales": {"w": torch.tensor([1.0])}, "fixed": {"w": nothing}})
    harden._snap(0)
    assert harden.fixed["w"].tolist() == [[True, True, False, False]]
    assert module.weights["w"].tolist()[0][:2] == [1, 2]
    push(module, harden, 0.05)
    assert [round(w, 2) for w in module.weights["w"].tolist()[0]] == [1, 2, 2.95, -1.25]
    assert harden.after_epoch(0) == {"fixed": 0.5}
    assert harden.after_epoch(1) == {"fixed": 0.75}
    assert harden.fixed["w"].tolist() == [[True, True, True, False]]
    harden.after_epoch(2)
    assert harden.after_epoch(3) == {"fixed": 1.0}
    assert module.weights["w"].tolist() == [[1, 2, 3, -1]]


@given(matrices, st.sampled_from([UniformLevels(3), UniformLevels(1), binary()]), st.integers(1, 3))
def test_at_the_end_every_weight_is_its_code_times_the_scale(weight, levels, rounds):
    module = dense(weight)
    harden = Harden({"w": levels}, rounds, each=1)
    harden.start(module)
    for epoch in range(rounds):
        push(module, harden, 0.1)
        harden.after_epoch(epoch)
    codes, scale = harden.codes()["w"]
    trained = module.weights["w"].detach().numpy()
    np.testing.assert_array_equal((codes.array * np.float64(scale[0])).astype(np.float32), trained)
    assert np.abs(codes.array).max() <= levels.most


def test_zeros_of_a_pruned_layer_cost_no_level_and_stay():
    module = dense(np.array([[0.0, 2.1, 0.0, -1.1]], np.float32))
    harden = Harden({"w": UniformLevels(2, zeros="pruned")}, rounds=1, each=1)
    harden.start(module)
    codes, _ = harden.codes()["w"]
    assert codes.array.tolist() == [[0, 2, 0, -1]]


def test_zeros_of_a_pruned_layer_are_not_counted_as_half_of_what_moves():
    module = dense(np.array([[1.0, 2.1, 2.8, -1.3] + 60 * [0.0]], np.float32))
    harden = Harden({"w": UniformLevels(4)}, rounds=3, each=1)
    nothing = torch.zeros(1, 64, dtype=torch.bool)
    harden.restore(module, {"scales": {"w": torch.tensor([1.0])}, "fixed": {"w": nothing}})
    harden._snap(0)
    assert harden.fixed["w"][0, :4].tolist() == [True, True, False, False]
    harden.after_epoch(0)
    assert harden.fixed["w"][0, :4].tolist() == [True, True, True, False]
    harden.after_epoch(1)
    assert module.weights["w"][0, :4].tolist() == [1, 2, 3, -1]


@given(matrices)
def test_going_on_from_a_saved_state_gives_the_same(weight):
    whole, halves = dense(weight), dense(weight)
    first, second, third = (Harden({"w": UniformLevels(2)}, rounds=3, each=1) for _ in range(3))
    first.start(whole)
    second.start(halves)
    for harden, module in ((first, whole), (second, halves)):
        push(module, harden, 0.2)
        harden.after_epoch(0)
    third.restore(halves, second.state())
    for harden, module in ((first, whole), (third, halves)):
        push(module, harden, 0.2)
        harden.after_epoch(1)
    assert torch.equal(whole.weights["w"], halves.weights["w"])
    assert first.codes()["w"][0] == third.codes()["w"][0]
