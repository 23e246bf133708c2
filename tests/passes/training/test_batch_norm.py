import re

import numpy as np
import pytest
import torch

from intaglio.errors import DataError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape, Transpose
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Affine, Relu
from intaglio.ir.ops_pool import AveragePool
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.training.batch_norm import insert_batch_norm
from intaglio.passes.training.module import to_torch

RNG = np.random.default_rng(0)
BATCHES = [{"x": RNG.normal(1, 2, size=(n, 2, 6, 6)).astype(np.float32)} for n in (20, 7)]
EVERY = torch.from_numpy(np.concatenate([batch["x"] for batch in BATCHES]))


def network():
    """A conv with affine, one that is pruned and has no bias, a dense over pixels, the last dense."""
    rng = np.random.default_rng(1)
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2, 6, 6))))

    def constant(name, *shape):
        return b.constant(name, real(rng.normal(size=shape)))

    a = b.node("a", Conv(), x, constant("a.w", 4, 2, 3, 3), constant("a.b", 4))
    a = b.node("a.affine", Affine(), a, constant("a.scale", 4), constant("a.shift", 4))
    pruned = rng.normal(size=(3, 4, 3, 3)) * (rng.random((3, 4, 3, 3)) < 0.3)
    c = b.node("c.d", Conv(), b.node("r", Relu(), a), b.constant("c.w", real(pruned)))
    pixels = b.node("turned", Transpose((0, 2, 3, 1)), c)
    dense = b.node("dense", Dense(), pixels, constant("dense.w", 5, 3), constant("dense.b", 5))
    turned = b.node("back", Transpose((0, 3, 1, 2)), dense)
    mean = b.node("flat", Reshape((5,)), b.node("mean", AveragePool((2, 2)), turned))
    last = b.node("last", Dense(), mean, constant("last.w", 3, 5), constant("last.b", 3))
    return verify(
        b.build((b.node("scores", Affine(), last, *(constant(n) for n in "uv")),)), "float"
    )


def normalized(graph=None):
    module = to_torch(graph or network())
    insert_batch_norm(module, BATCHES)
    return module


def test_every_layer_that_another_follows_gets_a_norm():
    assert list(normalized().norms) == ["/a", "/c%2Ed", "/dense"]


def test_the_function_is_unchanged_in_evaluation_mode():
    module = normalized()
    with torch.no_grad():
        result = module.eval()(EVERY).numpy()
    truth = evaluate(network(), {"x": EVERY.numpy()})["scores"]
    assert np.abs(result - truth).max() < 1e-5 * np.abs(truth).max()


def test_running_statistics_are_those_of_all_batches():
    norm = normalized().norms["/a"]
    weight, bias = (
        torch.from_numpy(network().constants[name].array.copy()) for name in ("a.w", "a.b")
    )
    result = torch.nn.functional.conv2d(EVERY, weight, bias)
    assert torch.allclose(norm.running_mean, result.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, result.var((0, 2, 3), correction=0), rtol=1e-5)
    assert torch.allclose(norm.weight, (norm.running_var + norm.eps).sqrt())


def test_training_mode_uses_the_batch_and_moves_the_running_statistics():
    module = normalized().train()
    before = module.norms["/a"].running_mean.clone()
    moved = module(EVERY + 1)
    assert torch.allclose(moved, module(EVERY), atol=1e-3)
    assert not torch.allclose(module.norms["/a"].running_mean, before)


def trained():
    """A module whose norms and weights moved; exact zeros are put back."""
    module = normalized().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)
    zeros = module.weights["c.w"].detach() == 0
    for _ in range(3):
        optimizer.zero_grad()
        module(EVERY).abs().mean().backward()
        optimizer.step()
        with torch.no_grad():
            module.weights["c.w"][zeros] = 0
    return module.eval()


def test_the_folded_graph_is_the_module_in_evaluation_mode():
    module = trained()
    with torch.no_grad():
        result = module(EVERY).numpy()
    graph = verify(module.to_graph(), "float")
    found = evaluate(graph, {"x": EVERY.numpy()})["scores"]
    assert np.abs(found - result).max() < 1e-5 * np.abs(result).max()
    assert [(node.name, node.op) for node in graph.nodes] == [
        (node.name, node.op) for node in network().nodes
    ]


def test_folding_keeps_exact_zeros_and_makes_a_bias_where_there_was_none():
    graph = trained().to_graph()
    old, new = network().constants["c.w"].array, graph.constants["c.w"].array
    assert np.array_equal(old == 0, new == 0)
    assert not (old == new)[old != 0].any()
    assert graph.producers["c.d"].inputs == ("r", "c.w", "c.d.bias")


def test_a_shared_weight_gets_no_norm():
    b = Builder("net")
    name = b.input(Value("x", TensorType((BATCH, 2))))
    weight = b.constant("w", real(np.eye(2)))
    for index in range(3):
        name = b.node(f"n{index}", Dense(), name, weight)
    module = to_torch(b.build((name,)))
    insert_batch_norm(module, [])
    assert not module.norms


def test_a_shared_bias_is_folded_for_each_layer_apart():
    b = Builder("net")
    name = b.input(Value("x", TensorType((BATCH, 2))))
    bias = b.constant("b", real(np.ones(2)))
    for index in range(3):
        weight = b.constant(f"w{index}", real(RNG.normal(size=(2, 2))))
        name = b.node(f"n{index}", Dense(), name, weight, bias)
    module = to_torch(b.build((name,)))
    x = torch.from_numpy(RNG.normal(size=(9, 2)).astype(np.float32))
    insert_batch_norm(module, [{"x": x}])
    with torch.no_grad():
        module.norms["/n1"].bias += 1
    result = module.eval()(x).detach().numpy()
    found = evaluate(module.to_graph(), {"x": x.numpy()})["n2"]
    assert np.allclose(found, result, atol=1e-5)


def test_the_module_keeps_its_mode_and_type():
    module = to_torch(network()).double().train()
    insert_batch_norm(module, [{"x": EVERY.double()}])
    assert module.training
    assert module(EVERY.double()).dtype == torch.float64


def test_without_data_there_is_nothing_to_measure():
    with pytest.raises(DataError) as error:
        insert_batch_norm(to_torch(network()), [])
    assert str(error.value) == (
        "There is no data to measure batch normalization on. Give at least one batch of inputs."
    )


def test_a_batch_of_one_value_a_channel_is_refused_by_the_layers_name():
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2))))
    hidden = b.node("hidden", Dense(), x, b.constant("v", real(np.ones((3, 2)))))
    graph = b.build((b.node("y", Dense(), hidden, b.constant("w", real(np.ones((2, 3))))),))
    module = to_torch(graph)
    insert_batch_norm(module, [{"x": np.eye(2, dtype=np.float32)}])
    message = (
        "Node 'hidden' (dense): A batch of one sample has no statistics to normalize by. "
        "Make batches greater, or have the loader drop a last one of one sample."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        module.train()(torch.ones(1, 2))
    assert module.train()(torch.ones(2, 2)).shape == (2, 2)
    assert module.eval()(torch.ones(1, 2)).shape == (1, 2)
