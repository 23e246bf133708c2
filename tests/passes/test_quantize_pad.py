"""What a pad inserts must be a code: calibration never sees it."""

import numpy as np
import pytest

import intaglio
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Pad
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.tensor import TensorType


@pytest.mark.parametrize("value", [50.0, -50.0, 0.25])
@pytest.mark.parametrize("pooled", [False, True])
def test_a_border_far_from_the_data_survives(value, pooled):
    b = Builder("g")
    x = b.input(Value("x", TensorType(("n", 1, 6, 6))))
    inner = b.node("m", MaxPool((2, 2)), x) if pooled else x
    y = b.node("y", Pad((0, 1, 1), (0, 1, 1), value), inner)
    graph = b.build((y,))
    data = np.random.default_rng(0).normal(size=(16, 1, 6, 6)).astype(np.float32)
    real = evaluate(graph, {"x": data})["y"]
    got = intaglio.compile(graph, data).run(data)
    assert np.abs(got.real - real).max() <= got.encoding.scale
