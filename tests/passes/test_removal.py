"""A pruned network, compiled: removal changes no code, and the blob holds only what counts."""

import numpy as np
import pytest

import intaglio
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.ops_pool import MaxPool
from intaglio.ir.tensor import BATCH, TensorType, real

LOWERED = 'canonicalize,equalize,quantize{"weight_bits": %d},lower'


def pruned(rng, *shape, filters=0.5, columns=0.7):
    """Weights without some filters and without some columns of the matrix."""
    weight = rng.normal(size=shape).reshape(shape[0], -1) / np.sqrt(np.prod(shape[1:]))
    weight[rng.permutation(shape[0])[: int(filters * shape[0])]] = 0
    weight[:, rng.permutation(weight.shape[1])[: int(columns * weight.shape[1])]] = 0
    return weight.reshape(shape)


def lenet(rng, pads):
    """LeNet-5 as of Caffe, narrower, with filters and columns pruned and biases left as they are."""
    b = Builder("lenet")
    x = b.input(Value("image", TensorType((BATCH, 1, 28, 28))))

    def layer(name, op, x, weight):
        bias = rng.normal(size=len(weight)) / 4
        operands = (b.constant(f"{name}.w", real(weight)), b.constant(f"{name}.b", real(bias)))
        return b.node(name, op, x, *operands, origin=f"/{name}")

    def pooled(name, x):
        return b.node(f"{name}.pool", MaxPool((2, 2), (2, 2)), b.node(f"{name}.relu", Relu(), x))

    x = pooled("conv1", layer("conv1", Conv(pads=pads), x, pruned(rng, 10, 1, 5, 5, columns=0.2)))
    x = pooled("conv2", layer("conv2", Conv(pads=pads), x, pruned(rng, 20, 10, 5, 5)))
    size = b.type_of(x).elements
    x = layer("fc1", Dense(), b.node("flat", Reshape((size,)), x), pruned(rng, 100, size))
    x = layer("fc2", Dense(), b.node("fc1.relu", Relu(), x), pruned(rng, 10, 100, filters=0))
    return b.build((x,))


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (2, 2, 2, 2)])
def test_a_pruned_lenet_computes_the_same_codes_from_fewer_bytes(pads, bits):
    rng = np.random.default_rng(bits)
    graph, images = lenet(rng, pads), rng.random((24, 1, 28, 28), np.float32)
    lowered = LOWERED % bits
    every, fewer, least = (
        intaglio.compile(graph, images, recipe=lowered + removal, storage="dense")
        for removal in ("", ",dead_channels", ",dead_channels,columns")
    )
    assert every.run(images).codes.std() > 0
    np.testing.assert_array_equal(fewer.run(images).codes, every.run(images).codes)
    np.testing.assert_array_equal(least.run(images).codes, every.run(images).codes)
    assert least.check(images[:4]) > 0
    assert len(least.blob) < 0.8 * len(fewer.blob) < 0.6 * len(every.blob)
    assert "gather_conv" in [step.op.name for step in least.program.steps]


def test_a_purified_lenet_is_smaller_and_means_the_same():
    rng = np.random.default_rng(0)
    graph, images = lenet(rng, (0, 0, 0, 0)), rng.random((24, 1, 28, 28), np.float32)
    recipe = f"canonicalize,purify,{LOWERED % 8},dead_channels,columns"
    purified = intaglio.compile(graph, images, recipe=recipe)
    usual = intaglio.compile(graph, images)
    assert len(purified.blob) < 1.01 * len(usual.blob)
    step = max(usual.outputs[0].encoding.step, purified.outputs[0].encoding.step)
    largest = np.abs(usual.run(images).real).max()
    assert np.abs(purified.run(images).real - usual.run(images).real).max() < 0.03 * largest + step
