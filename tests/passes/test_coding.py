"""Which levels a coding gives to each layer, and what it refuses."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.ir.tensor import real
from intaglio.passes.coding import KINDS, Coding, LayerCoding
from intaglio.passes.projections.levels import PowerOfTwoLevels, UniformLevels

from .test_target import network


def levels(coding, graph=None, *, prunes=False):
    return coding.levels(graph or network(), prunes=prunes)


def with_a_zero(name):
    graph = network()
    array = graph.constants[name].array.copy()
    array.flat[0] = 0
    return replace(graph, constants={**graph.constants, name: real(array)})


def failing(message, make):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make()


WHOLE = {
    Coding("uniform", 4): UniformLevels(7, zeros="level"),
    Coding("uniform", 1): UniformLevels(1, zeros="level"),
    Coding("uniform", 8): UniformLevels(127, zeros="level"),
    Coding("power-of-two", 4): PowerOfTwoLevels(7, zeros="level"),
    Coding("power-of-two", 3, per_channel=True): PowerOfTwoLevels(
        3, zeros="level", per_channel=True
    ),
    Coding("ternary"): UniformLevels(1, zeros="level"),
    Coding("binary", per_channel=True): UniformLevels(1, zeros="never", per_channel=True),
}
PRUNED = {
    Coding("uniform", 4): UniformLevels(8),
    Coding("uniform", 1): UniformLevels(1),
    Coding("uniform", 8): UniformLevels(127),
    Coding("power-of-two", 3): PowerOfTwoLevels(4),
    Coding("power-of-two", 8): PowerOfTwoLevels(7),
    Coding("ternary", per_channel=True): UniformLevels(1, per_channel=True),
    Coding("binary"): UniformLevels(1),
}


@pytest.mark.parametrize("coding", WHOLE, ids=str)
def test_levels_of_layers_without_zeros_have_zero_among_them(coding):
    assert levels(coding) == dict.fromkeys(("w1", "w2", "w3"), WHOLE[coding])


@pytest.mark.parametrize("coding", PRUNED, ids=str)
def test_levels_of_layers_that_are_pruned_leave_zero_out(coding):
    assert levels(coding, prunes=True) == dict.fromkeys(("w1", "w2", "w3"), PRUNED[coding])


def test_one_zero_makes_a_layer_pruned():
    found = levels(Coding("uniform", 4), with_a_zero("w2"))
    assert [found[name].top for name in ("w1", "w2", "w3")] == [7, 8, 7]
    assert [found[name].zeros for name in ("w1", "w2", "w3")] == ["level", "pruned", "level"]


@given(st.sampled_from(KINDS[1:]), st.integers(2, 8), st.booleans())
def test_a_weight_is_one_of_as_many_values_as_its_bits_can_tell_apart(kind, bits, pruned):
    weight = np.random.default_rng(bits).normal(size=(8, 500)).astype(np.float32)
    if pruned:
        weight[np.abs(weight) < 0.3] = 0
    each = Coding(kind, bits)._levels(bits, pruned=pruned)
    values = np.unique(each.project(weight))
    assert np.count_nonzero(values) <= 2**bits
    assert (0 in values) == (kind != "binary" or pruned)


def test_bits_by_layer_and_the_last_match_wins():
    layers = (LayerCoding("*", 3), LayerCoding("/a/Conv", 8), LayerCoding("y", 2))
    found = levels(Coding("uniform", 4, layers=layers))
    assert [found[name].top for name in ("w1", "w2", "w3")] == [127, 3, 1]


def test_epochs_of_all_phases():
    assert Coding("uniform", epochs=3, rounds=4, each=2).total_epochs == 11
    assert Coding("none", epochs=3).total_epochs == 0


def test_a_layer_that_does_not_exist_is_refused_and_the_nearest_is_named():
    coding = Coding("uniform", layers=(LayerCoding("/fc/Gem", 2),))
    failing(
        "No layer with weights matches '/fc/Gem'. Did you mean '/fc/Gemm'? "
        "The layers are: /a/Conv, /c/Conv, /fc/Gemm.",
        lambda: coding.check(network()),
    )
    Coding("uniform", layers=(LayerCoding("/fc/*", 2),)).check(network())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "float"},
            "There is no coding 'float'. Kinds: none, uniform, power-of-two, ternary, binary.",
        ),
        ({"bits": 0}, "bits of a coding is 0. Choose 1 to 8."),
        ({"layers": (LayerCoding("a", 9),)}, "bits of a coding is 9. Choose 1 to 8."),
        ({"epochs": -1}, "epochs of a coding is -1. Choose 0 or more."),
        ({"rounds": 0}, "rounds of a coding is 0. Choose 1 or more."),
        ({"each": 0}, "each of a coding is 0. Choose 1 or more."),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    failing(message, lambda: Coding(**options))
