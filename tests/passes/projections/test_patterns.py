import re
from itertools import combinations, product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import UsageError
from intaglio.passes.projections.patterns import Patterns


def masked(kernel, mask):
    return [number if place in mask else 0 for place, number in enumerate(kernel)]


def nearest_distance(weight, library, kernels):
    """Over every choice of kernels and of a mask for each."""
    flat = weight.reshape(-1, weight.shape[2] * weight.shape[3])
    distances = []
    for chosen in combinations(range(len(flat)), kernels):
        for masks in product(library, repeat=kernels):
            point = np.zeros_like(flat)
            for index, mask in zip(chosen, masks, strict=True):
                point[index] = masked(flat[index], mask)
            distances.append(((flat - point) ** 2).sum())
    return min(distances)


@st.composite
def cases(draw):
    """A weight of whole numbers, so of many ties, with a library and how many kernels stay."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 2), st.just(2), st.integers(1, 2)))
    numbers = st.lists(st.integers(-4, 4), min_size=prod(shape), max_size=prod(shape))
    weight = np.array(draw(numbers), np.float32).reshape(shape)
    size = shape[2] * shape[3]
    entries = draw(st.integers(1, size))
    masks = list(combinations(range(size), entries))
    library = draw(st.lists(st.sampled_from(masks), min_size=1, max_size=3, unique=True))
    kernels = draw(st.integers(1, shape[0] * shape[1]))
    return weight, Patterns(entries, min(3, len(masks)), kernels, tuple(library))


@given(cases())
def test_a_given_library_gives_the_nearest_point(case):
    weight, patterns = case
    point = patterns.project(weight)
    distance = ((weight - point) ** 2).sum()
    assert distance == nearest_distance(weight, patterns.library, patterns.kernels)
    for kernel in point.reshape(-1, weight.shape[2] * weight.shape[3]):
        assert any(set(np.flatnonzero(kernel)) <= set(mask) for mask in patterns.library)
    assert patterns.project(point).tolist() == point.tolist()


def test_the_first_mask_and_the_first_kernels_win_among_equals():
    weight = np.ones((2, 2, 2, 2), np.float32)
    point = Patterns(2, 2, 3, ((1, 2), (0, 3))).project(weight)
    assert point.reshape(4, 4).tolist() == [[0, 1, 1, 0]] * 3 + [[0, 0, 0, 0]]


def test_the_library_is_what_most_kernels_need():
    left, right, rare = [5, 4, 0, 0, 1, 0], [0, 1, 0, 5, 4, 0], [0, 0, 1, 0, 0, 2]
    weight = np.array([left, right, rare, left, right, left], np.float32).reshape(3, 2, 2, 3)
    patterns = Patterns(2, 2, 6)
    assert patterns.chosen(weight).library == ((0, 1), (3, 4))
    point = patterns.project(weight).reshape(6, 6)
    assert point[0].tolist() == [5, 4, 0, 0, 0, 0]
    assert point[1].tolist() == [0, 0, 0, 5, 4, 0]
    assert patterns.chosen(weight).project(weight).tolist() == patterns.project(weight).tolist()


def test_kernels_that_go_have_no_say_in_the_library():
    weight = np.array([[9, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0]], np.float32).reshape(3, 1, 2, 2)
    assert Patterns(1, 1, 1).chosen(weight).library == ((0,),)


def test_the_chosen_library_is_near_the_best_one():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        weight = rng.normal(size=(rng.integers(3, 12), 1, 2, 2)).astype(np.float32)
        kernels = int(rng.integers(1, len(weight) + 1))
        libraries = combinations(combinations(range(4), 2), 2)
        best = max((Patterns(2, 2, kernels, each).project(weight) ** 2).sum() for each in libraries)
        shares.append((Patterns(2, 2, kernels).project(weight) ** 2).sum() / best)
    assert min(shares) > 0.9
    assert np.mean(shares) > 0.99
    assert max(shares) < 1 + 1e-6


@pytest.mark.parametrize(
    ("shape", "patterns"),
    [((16, 16, 3, 3), Patterns(4, 6, 200)), ((8, 4, 5, 5), Patterns(6, 8, 30))],
    ids=["every mask", "masks of the kernels"],
)
def test_a_point_with_few_patterns_stays_where_it_is(shape, patterns):
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    point = patterns.project(weight)
    places = (point != 0).reshape(-1, shape[2] * shape[3])
    assert np.count_nonzero(places.any(axis=1)) == patterns.kernels
    assert places.sum() == patterns.kernels * patterns.entries
    assert len(np.unique(places[places.any(axis=1)], axis=0)) <= patterns.patterns
    assert patterns.project(point).tolist() == point.tolist()
    assert patterns.chosen(weight).project(point).tolist() == point.tolist()


@pytest.mark.parametrize(
    ("patterns", "text"),
    [
        (Patterns(0, 1, 1), "entries is 0, but the layer has 4 weights per kernel. Choose 1 to 4."),
        (Patterns(5, 1, 1), "entries is 5, but the layer has 4 weights per kernel. Choose 1 to 4."),
        (Patterns(2, 1, 7), "kernels is 7, but the layer has 6 kernels. Choose 1 to 6."),
        (Patterns(2, 7, 1), "patterns is 7, but the layer has 6 masks. Choose 1 to 6."),
        (
            Patterns(2, 2, 1, ((0, 1), (3, 4))),
            "The mask (3, 4) does not have up to 2 places in 0..3. "
            "Choose the library for this layer.",
        ),
        (
            Patterns(1, 2, 1, ((0, 1),)),
            "The mask (0, 1) does not have up to 1 places in 0..3. "
            "Choose the library for this layer.",
        ),
    ],
)
def test_what_the_layer_does_not_have_is_refused(patterns, text):
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        patterns.project(np.ones((2, 3, 2, 2), np.float32))


def test_dense_layers_have_no_patterns():
    text = "Only kernels of convolutions have patterns. Use another scheme for dense layers."
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Patterns(1, 1, 1).project(np.ones((2, 3), np.float32))
