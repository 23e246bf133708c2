import numpy as np
import pytest

from intaglio.ir.evaluate import evaluate, walk
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Relu
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context
from intaglio.passes.correct import channel_means, correct_biases, first_samples
from intaglio.passes.quantize import Quantize

RNG = np.random.default_rng(3)
DATA = {"x": RNG.normal(1, 1, size=(64, 2, 5, 5)).astype(np.float32)}


def network(bias):
    rng = np.random.default_rng(1)
    new = Builder("net")
    x = new.input(Value("x", TensorType((BATCH, 2, 5, 5))))

    def layer(name, op, source, *shape):
        operands = [new.constant(f"{name}.w", real(rng.normal(0.3, 1, size=shape)))]
        operands += [new.constant(f"{name}.b", real(rng.normal(size=shape[0])))] if bias else []
        return new.node(name, op, source, *operands)

    a = new.node("r", Relu(), layer("a", Conv(), x, 3, 2, 3, 3))
    b = new.node("s", Relu(), layer("b", Conv(), a, 4, 3, 3, 3))
    return new.build((layer("c", Dense(), new.node("f", Reshape((4,)), b), 5, 4),))


def means(graph, names=("a", "b", "c")):
    return {
        node.name: channel_means(result) for node, result in walk(graph, DATA) if node.name in names
    }


def quantized(graph, bits):
    options = Quantize(weight_bits=bits, activation_bits=8, bias_correction=False)
    return options.run(graph, Context([DATA]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_each_layer_gets_the_channel_means_of_the_float_network(bias, bits):
    graph = network(bias)
    before = quantized(graph, bits)
    after = verify(correct_biases(graph, before, Context([DATA])), "quantized")
    truth, was, now = means(graph), means(before), means(after)
    for name in truth:
        assert np.allclose(now[name], truth[name], rtol=1e-4, atol=1e-4 * np.abs(truth[name]).max())
        assert np.abs(now[name] - truth[name]).sum() < np.abs(was[name] - truth[name]).sum()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_correction_brings_the_outputs_closer(bits):
    graph = network(bias=True)
    before = quantized(graph, bits)
    after = correct_biases(graph, before, Context([DATA]))
    truth, was, now = (evaluate(each, DATA)[each.outputs[0]] for each in (graph, before, after))
    assert np.square(now - truth).mean() < np.square(was - truth).mean()


def test_only_biases_change():
    graph = network(bias=True)
    before = quantized(graph, 3)
    after = correct_biases(graph, before, Context([DATA]))
    assert [(n.name, n.op) for n in after.nodes] == [(n.name, n.op) for n in before.nodes]
    changed = {
        tensor.type.shape
        for tensor in after.constants.values()
        if tensor not in before.constants.values()
    }
    assert changed == {(3,), (4,), (5,)}


def test_means_are_taken_along_every_axis_but_the_channels():
    image = np.arange(48.0).reshape(2, 3, 2, 4)
    assert channel_means(image).tolist() == [image[:, c].mean() for c in range(3)]
    rows = np.arange(24.0).reshape(2, 3, 4)
    assert channel_means(rows).tolist() == [rows[..., c].mean() for c in range(4)]


@pytest.mark.parametrize("sizes", [[10], [3, 4, 5], [1] * 9, [7, 9]])
def test_the_first_samples_come_from_as_many_batches_as_needed(sizes):
    graph = network(bias=True)
    every = RNG.normal(size=(sum(sizes), 2, 5, 5)).astype(np.float32)
    batches = [{"x": part} for part in np.split(every, np.cumsum(sizes)[:-1])]
    assert np.array_equal(first_samples(graph, Context(batches), 7)["x"], every[:7])
