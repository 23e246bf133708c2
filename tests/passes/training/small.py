"""A small network and labelled images that it can learn within a few epochs."""

from functools import partial
from pathlib import Path

import numpy as np

from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.passes.base import Context, Training
from intaglio.passes.pipeline import Pipeline

CLASSES = 3


def network(seed=0, origins=("/conv1/Conv", "/fc/Gemm")):
    """conv, relu, reshape, dense: (n, 1, 6, 6) to 3 scores."""
    rng = np.random.default_rng(seed)
    b = Builder("small")
    x = b.input(Value("x", TensorType((BATCH, 1, 6, 6))))
    w1, b1 = b.constant("w1", real(rng.normal(size=(4, 1, 3, 3)) / 3)), b.constant("b1", zeros(4))
    conv = b.node("conv", Conv(), x, w1, b1, origin=origins[0])
    flat = b.node("flat", Reshape((64,)), b.node("relu", Relu(), conv))
    w2, b2 = b.constant("w2", real(rng.normal(size=(3, 64)) / 8)), b.constant("b2", zeros(3))
    return b.build((b.node("y", Dense(), flat, w2, b2, origin=origins[1]),))


def zeros(size):
    return real(np.zeros(size))


def images(count=256, seed=0):
    """Noise with a bright pair of columns, which is the class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    x = rng.random((count, 1, 6, 6)).astype(np.float32) * 0.5
    for image, label in zip(x, y, strict=True):
        image[0, :, 2 * label : 2 * label + 2] += 0.5
    return x, y


def trained(recipe, graph=None, progress=None, **training):
    """The graph after the recipe, trained on ``images``."""
    labelled = Training(**{"train": images(), "test": images(60, seed=1)} | training)
    context = Context(training=labelled, **({"progress": progress} if progress else {}))
    return Pipeline.parse(recipe).run(network() if graph is None else graph, context)


def arrays(graph):
    return {name: tensor.array for name, tensor in graph.constants.items()}


def same(one, other):
    """Whether two graphs hold the same constants, bit for bit."""
    one, other = arrays(one), arrays(other)
    return list(one) == list(other) and all(map(partial(equal, one, other), one))


def equal(one, other, name):
    return one[name].tobytes() == other[name].tobytes()


def only(folder: Path, ending: str) -> Path:
    (found,) = folder.glob(f"*{ending}")
    return found
