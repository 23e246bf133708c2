"""Allocation by measuring: a layer whose weights do not matter gives way, within the budget."""

from dataclasses import replace

import numpy as np
import pytest

from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Concat, Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.passes.target import weight_layers
from intaglio.passes.training.probe import _uses

from .small import arrays, trained

ONE = 'magnitude{"target": {"rate": 4%s}, "retrain": 1}'


def two_paths():
    """Two convs side by side, the second with greater weights, of which the scores take nothing."""
    rng = np.random.default_rng(0)
    b = Builder("two")
    x = b.input(Value("x", TensorType((BATCH, 1, 6, 6))))
    paths = []
    for name, size in (("used", 1.0), ("spare", 5.0)):
        weight = b.constant(f"{name}.w", real(size * rng.normal(size=(4, 1, 3, 3)) / 3))
        paths.append(b.node(f"{name}.relu", Relu(), b.node(name, Conv(), x, weight)))
    flat = b.node("flat", Reshape((128,)), b.node("both", Concat(1), *paths))
    scores = rng.normal(size=(3, 128)) / 8
    scores[:, 64:] = 0
    return b.build((b.node("y", Dense(), flat, b.constant("scores.w", real(scores))),))


COSTS = {"used.w": 36, "spare.w": 36, "scores.w": 384}
ENERGY = {"used.w": 36 * 16, "spare.w": 36 * 16, "scores.w": 384}


@pytest.fixture(scope="module")
def learned():
    """The two paths, trained: the scores' zeros stay."""
    return trained('train{"epochs": 6, "optimizer": {"learning_rate": 0.01}}', two_paths())


def kept(graph):
    return {name: np.count_nonzero(arrays(graph)[name]) for name in COSTS}


@pytest.mark.parametrize(("allocate", "costs"), [("storage", COSTS), ("energy", ENERGY)])
def test_a_layer_that_matters_keeps_more_and_all_keep_to_the_budget(allocate, costs, learned):
    graph = trained(ONE % f', "allocate": "{allocate}"', learned)
    counts = kept(graph)
    spent = sum(costs[name] * count / arrays(graph)[name].size for name, count in counts.items())
    assert 0.5 * sum(costs.values()) / 4 < spent <= sum(costs.values()) / 4
    assert counts["used.w"] >= 4 * counts["spare.w"]


def test_magnitudes_alone_are_mistaken_here(learned):
    counts = kept(trained(ONE % ', "allocate": "global"', learned))
    assert counts["spare.w"] > counts["used.w"]


def test_filters_are_measured_by_filter_and_outputs_keep_all(learned):
    target = '"target": {"rate": 1.07, "scheme": "filter", "allocate": "storage"}'
    graph = trained(f'magnitude{{{target}, "retrain": 0}}', learned)
    used, spare = (arrays(graph)[name].any(axis=(1, 2, 3)).sum() for name in ("used.w", "spare.w"))
    assert (used, spare) == (3, 1)
    np.testing.assert_array_equal(arrays(graph)["scores.w"], arrays(learned)["scores.w"])


def test_a_stated_layer_keeps_what_it_states(learned):
    layers = '"allocate": "storage", "layers": [{"match": "spare", "keep": 30}]'
    assert kept(trained(ONE % f", {layers}", learned))["spare.w"] == 30


def test_measuring_changes_nothing_and_is_told(learned):
    told = []
    recipe = ONE.replace('"retrain": 1', '"retrain": 0') % ', "allocate": "energy"'
    graph = trained(recipe, learned, progress=lambda *step: told.append(step))
    assert told == [("Measure layers", done, 3) for done in (1, 2, 3)]
    for name in COSTS:
        pruned, before = arrays(graph)[name], arrays(learned)[name]
        np.testing.assert_array_equal(pruned, np.where(pruned != 0, before, 0))


def test_layers_of_one_origin_are_measured_each(learned):
    nodes = [
        replace(node, value=replace(node.value, origin="/path")) if node.name != "y" else node
        for node in learned.nodes
    ]
    shared = replace(learned, nodes=tuple(nodes))
    recipe = ONE % ', "allocate": "storage"'
    assert kept(trained(recipe, shared)) == kept(trained(recipe, learned))


def test_a_weight_of_a_dense_on_rows_is_used_once_a_row():
    b = Builder("rows")
    x = b.input(Value("x", TensorType((BATCH, 9, 4))))
    graph = b.build((b.node("y", Dense(), x, b.constant("w", real(np.ones((7, 4))))),))
    assert _uses(graph.producers["y"]) == 9
    assert [_uses(node) for node in weight_layers(two_paths()).values()] == [16, 16, 1]
