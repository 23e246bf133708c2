"""What a target asks of each layer: counts by scheme, single layers, allocations, refusals."""

import re

import numpy as np
import pytest

from intaglio.errors import UsageError
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.passes.projections.grid import FiltersAndColumns
from intaglio.passes.projections.patterns import Patterns
from intaglio.passes.projections.sparse import (
    Blocks,
    Channels,
    Columns,
    Filters,
    NOfM,
    NonStructured,
)
from intaglio.passes.target import LayerTarget, Target

SHAPES = {"w1": (8, 4, 3, 3), "w2": (16, 8, 1, 1), "w3": (10, 64)}
SIZES = {"w1": 288, "w2": 128, "w3": 640}


def network(shapes=SHAPES):
    """conv 3x3, relu, conv 1x1, reshape, dense."""
    rng = np.random.default_rng(0)
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, shapes["w1"][1], 4, 4))))
    w1, w2, w3 = (b.constant(name, real(rng.normal(size=shape))) for name, shape in shapes.items())
    a = b.node("a.relu", Relu(), b.node("a", Conv(), x, w1, origin="/a/Conv"))
    c = b.node("c", Conv(), a, w2, origin="/c/Conv")
    flat = b.node("flat", Reshape((shapes["w3"][1],)), c)
    return b.build((b.node("y", Dense(), flat, w3, origin="/fc/Gemm"),))


def constraints(target, share=None, weights=None):
    graph = network()
    arrays = {name: graph.constants[name].array for name in SHAPES}
    found = target.constrain(graph, share)(arrays | (weights or {}))
    assert list(found) == list(SHAPES)
    return list(found.values())


def kept(target, share=None, weights=None):
    return [each.keep for each in constraints(target, share, weights)]


def failing(message, make):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make()


SCHEMES = {
    "non-structured": [NonStructured(72), NonStructured(32), NonStructured(160)],
    "filter": [Filters(2), Filters(4), Filters(10)],
    "channel": [Channels(1), Channels(2), Channels(16)],
    "column": [Columns(9), Columns(2), Columns(16)],
    "filter+column": [FiltersAndColumns(4, 18), FiltersAndColumns(8, 4), Columns(16)],
    "block": [Blocks(4, 4, 4), Blocks(2, 4, 4), Blocks(12, 4, 4)],
    "n:m": [NOfM(2, 4)] * 3,
    "pattern": [Patterns(4, 8, 18), Blocks(32, 1, 1), Blocks(160, 1, 1)],
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_rate_gives_every_layer_a_count_of_what_the_scheme_prunes(scheme):
    assert constraints(Target(scheme, rate=4)) == SCHEMES[scheme]


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "n:m"])
def test_a_projected_layer_keeps_its_share_of_the_weights(scheme):
    graph = network()
    arrays = {name: graph.constants[name].array for name in SHAPES}
    found = Target(scheme, rate=4).constrain(graph)(arrays)
    for name in ("w1", "w2"):
        left = np.count_nonzero(found[name].project(arrays[name]))
        assert left == pytest.approx(SIZES[name] / 4, rel=0.12)


def test_the_options_of_schemes_reach_the_layers():
    assert constraints(Target("block", rate=2, block=(2, 8)))[0] == Blocks(10, 2, 8)
    assert constraints(Target("n:m", n_of_m=(1, 8)))[0] == NOfM(1, 8)
    assert constraints(Target("pattern", rate=3, patterns=(3, 6)))[0] == Patterns(3, 6, 32)


def test_single_layers_are_stated_by_name_or_origin_and_the_last_match_wins():
    layers = (
        LayerTarget("*", rate=2),
        LayerTarget("/fc/*", keep=7),
        LayerTarget("c", rate=16),
        LayerTarget("y", keep=9),
    )
    assert kept(Target(rate=4, layers=layers)) == [144, 8, 9]


def test_a_layer_states_filters_and_columns_of_its_own():
    layers = (LayerTarget("a", filters=3, columns=5), LayerTarget("y", filters=10))
    assert constraints(Target("filter+column", rate=4, layers=layers)) == [
        FiltersAndColumns(3, 5),
        FiltersAndColumns(8, 4),
        FiltersAndColumns(10, 32),
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_layer_of_rate_1_stays_whole(scheme):
    layers = (LayerTarget("a", rate=1),)
    target = Target(scheme, rate=4, block=(16, 2), layers=layers)
    whole = network().constants["w1"].array
    assert np.array_equal(constraints(target)[0].project(whole), whole)


def test_a_layer_keeps_no_more_than_it_has():
    assert kept(Target(rate=4, layers=(LayerTarget("a", keep=9999),))) == [288, 32, 160]


@pytest.mark.parametrize(("share", "counts"), [(0.5, [30, 32, 320]), (0.25, [15, 16, 160])])
def test_at_a_greater_share_stated_layers_keep_as_much_more(share, counts):
    layers = (LayerTarget("a", keep=6), LayerTarget("c", rate=20))
    assert kept(Target(rate=10, layers=layers), share) == counts


def test_at_a_great_share_a_stated_layer_is_whole():
    layers = (LayerTarget("a", keep=100), LayerTarget("c", rate=3))
    assert kept(Target(rate=10, layers=layers), 0.9) == [288, 128, 576]


def test_patterns_grow_with_the_share():
    target = Target("pattern", rate=4)
    assert constraints(target, 0.25) == constraints(target)
    assert constraints(target, 4 / 9)[0] == Patterns(4, 8, 32)
    assert constraints(target, 1)[0] == Patterns(4, 8, 32)


@pytest.mark.parametrize("allocate", ["global", "lamp"])
@pytest.mark.parametrize("rate", [1, 2, 7.3, 100])
def test_the_layers_together_keep_exactly_one_in_rate(allocate, rate):
    assert sum(kept(Target(rate=rate, allocate=allocate))) == round(1056 / rate)


def test_global_keeps_more_of_layers_with_greater_weights_and_lamp_does_not_see_their_size():
    graph = network()
    larger = {"w2": graph.constants["w2"].array * 8}
    by_size, by_share = (Target(rate=4, allocate=each) for each in ("global", "lamp"))
    assert kept(by_size, weights=larger)[1] > 100 > kept(by_size)[1]
    assert kept(by_share, weights=larger) == kept(by_share)


def test_a_fraction_of_one_layer():
    graph = network()
    node = graph.producers["a"]
    assert Target(rate=4).of_layer(graph, node, SHAPES["w1"], 0.5) == NonStructured(144)
    assert Target("filter", rate=4).of_layer(graph, node, SHAPES["w1"], 0.5) == Filters(4)


EMPTY = [
    ({"scheme": "non-structured", "rate": 1000}, "/a/Conv' (conv)", "288 weights"),
    ({"scheme": "filter", "rate": 17}, "/a/Conv' (conv)", "8 filters"),
    ({"scheme": "channel", "rate": 9}, "/a/Conv' (conv)", "4 input channels"),
    ({"scheme": "column", "rate": 20}, "/c/Conv' (conv)", "8 columns"),
    ({"scheme": "filter+column", "rate": 300}, "/a/Conv' (conv)", "8 filters"),
    ({"scheme": "block", "rate": 20}, "/c/Conv' (conv)", "8 blocks of 4 by 4"),
    ({"scheme": "pattern", "rate": 200}, "/a/Conv' (conv)", "32 kernels"),
    ({"scheme": "pattern", "rate": 2000, "patterns": (9, 1)}, "/a/Conv' (conv)", "32 kernels"),
]


@pytest.mark.parametrize(("options", "where", "what"), EMPTY, ids=str)
def test_a_layer_that_would_be_empty_is_refused_by_name(options, where, what):
    failing(
        f"Node '{where}: A rate of {options['rate']} leaves none of its {what}. "
        "Prune less, or state in 'layers' what this layer keeps.",
        lambda: Target(**options).check(network()),
    )


def test_the_rate_that_a_layer_states_is_the_one_that_is_refused():
    layers = (LayerTarget("/c/Conv", rate=500),)
    failing(
        "Node '/c/Conv' (conv): A rate of 500 leaves none of its 128 weights. "
        "Prune less, or state in 'layers' what this layer keeps.",
        lambda: Target(rate=4, layers=layers).check(network()),
    )


def test_a_layer_too_small_for_the_scheme_is_refused_by_name():
    shapes = SHAPES | {"w1": (8, 1, 3, 3)}
    failing(
        "Node '/a/Conv' (conv): m is 16, but the layer has 9 columns. Choose 1 to 9.",
        lambda: Target("n:m", n_of_m=(2, 16)).check(network(shapes)),
    )
    failing(
        "Node '/a/Conv' (conv): rows is 16, but the layer has 8 rows. Choose 1 to 8.",
        lambda: Target("block", block=(16, 2)).check(network()),
    )


def test_a_layer_that_does_not_exist_is_refused_and_the_nearest_is_named():
    layers = (LayerTarget("/a/Con", keep=3),)
    failing(
        "No layer with weights matches '/a/Con'. Did you mean '/a/Conv'? "
        "The layers are: /a/Conv, /c/Conv, /fc/Gemm.",
        lambda: Target(layers=layers).check(network()),
    )
    failing(
        "No layer with weights matches 'zzz'. The layers are: /a/Conv, /c/Conv, /fc/Gemm.",
        lambda: Target(allocate="energy", layers=(LayerTarget("zzz"),)).check(network()),
    )


SCHEME_NAMES = "non-structured, filter, channel, column, filter+column, block, n:m, pattern"
NAMES = f"Schemes: {SCHEME_NAMES}; allocations: uniform, global, lamp, storage, energy."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "row"}, f"There is no scheme 'row' with allocation 'uniform'. {NAMES}"),
        (
            {"allocate": "fair"},
            f"There is no scheme 'non-structured' with allocation 'fair'. {NAMES}",
        ),
        ({"rate": 0.5}, "rate is 0.5. Choose 1 to 1,000,000."),
        ({"rate": 1e7}, "rate is 1e+07. Choose 1 to 1,000,000."),
        ({"rate": float("nan")}, "rate is nan. Choose 1 to 1,000,000."),
        ({"layers": (LayerTarget("a", rate=0.9),)}, "rate is 0.9. Choose 1 to 1,000,000."),
        ({"block": (0, 4)}, "block is [0, 4]. Choose 1 or more for both."),
        ({"n_of_m": (2, 0)}, "n_of_m is [2, 0]. Choose 1 or more for both."),
        ({"patterns": (-1, 8)}, "patterns is [-1, 8]. Choose 1 or more for both."),
        (
            {"scheme": "filter", "allocate": "global"},
            "Allocation 'global' compares single weights, but the scheme is 'filter'. "
            "Use uniform, storage or energy, or state the layers.",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    failing(message, lambda: Target(**options))


def test_a_layer_keeps_no_negative_count():
    failing(
        "columns of layer 'a' is -1. Choose 1 or more, or leave it out.",
        lambda: LayerTarget("a", columns=-1),
    )
