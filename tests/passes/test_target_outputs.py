"""What each layer keeps: the layers that make the outputs keep their filters."""

import numpy as np
import pytest

from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_linear import Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.tensor import TensorType, real
from intaglio.passes.projections.grid import FiltersAndColumns
from intaglio.passes.projections.sparse import Columns, Filters
from intaglio.passes.target import LayerTarget, Target


def two_layers():
    """A dense layer of 8 filters and one of 4 that makes the outputs, behind a ReLU."""
    builder = Builder("g")
    builder.input(Value("x", TensorType(("n", 16))))
    builder.constant("first.w", real(np.ones((8, 16))))
    builder.constant("last.w", real(np.ones((4, 8))))
    builder.node("first", Dense(), "x", "first.w")
    builder.node("relu", Relu(), "first")
    builder.node("last", Dense(), "relu", "last.w")
    builder.node("scores", Relu(), "last")
    return builder.build(("scores",))


def constraints(target, share=None):
    graph = two_layers()
    arrays = {name: each.array for name, each in graph.constants.items()}
    return target.constrain(graph, share)(arrays)


@pytest.mark.parametrize(
    ("scheme", "first", "last"),
    [
        ("filter", Filters(2), Filters(4)),
        ("filter+column", FiltersAndColumns(4, 8), Columns(2)),
        ("column", Columns(4), Columns(2)),
    ],
)
def test_a_layer_that_makes_outputs_keeps_its_filters(scheme, first, last):
    assert constraints(Target(scheme, rate=4)) == {"first.w": first, "last.w": last}


def test_on_the_way_to_the_rate_it_keeps_its_filters_too():
    assert constraints(Target("filter+column", rate=16), share=1 / 4)["last.w"] == Columns(2)


def test_filters_that_are_stated_are_those_that_stay():
    target = Target("filter", rate=4, layers=(LayerTarget("last", keep=3),))
    assert constraints(target) == {"first.w": Filters(2), "last.w": Filters(3)}
