import numpy as np
import pytest
import torch

from intaglio.errors import DataError, PassError, UsageError
from intaglio.ir.evaluate import evaluate, walk
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_layout import Reshape
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Relu
from intaglio.ir.ops_pool import AveragePool, MaxPool
from intaglio.ir.ops_quant import Quantize as QuantizeOp
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.ir.verify import verify
from intaglio.passes.base import Context, Training
from intaglio.passes.canonicalize import Canonicalize
from intaglio.passes.coded import code_weights
from intaglio.passes.lower import Lower
from intaglio.passes.optimizer import Optimizer
from intaglio.passes.pipeline import Pipeline
from intaglio.passes.qat import Qat
from intaglio.passes.quantize import Layer, Quantize
from intaglio.passes.training.module import to_torch
from intaglio.passes.training.qat import shadowed, with_codes

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 96)
PATTERNS = RNG.normal(size=(4, 2, 6, 6))
X = (PATTERNS[LABELS] + RNG.normal(size=(96, 2, 6, 6))).astype(np.float32)
DATA = {"x": X}


def network():
    """conv, relu, pool; a pruned conv added to it; average; dense of four classes."""
    rng = np.random.default_rng(1)
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2, 6, 6))))

    def layer(name, op, source, *shape):
        weight = b.constant(f"{name}.weight", real(rng.normal(size=shape) / np.sqrt(shape[1])))
        bias = b.constant(f"{name}.bias", real(rng.normal(size=shape[0]) / 10))
        return b.node(name, op, source, weight, bias, origin=f"/{name}/Op")

    a = b.node("a.relu", Relu(), layer("a", Conv(pads=(1, 1, 1, 1)), x, 4, 2, 3, 3))
    a = b.node("a.pool", MaxPool((2, 2), (2, 2)), a)
    pruned = rng.normal(size=(4, 4, 3, 3)) * (rng.random((4, 4, 3, 3)) < 0.4)
    c = b.node("b", Conv(pads=(1, 1, 1, 1)), a, b.constant("b.weight", real(pruned)))
    total = b.node("sum", Add(), c, a)
    flat = b.node("flat", Reshape((4,)), b.node("mean", AveragePool((3, 3)), total))
    return b.build((layer("c", Dense(), flat, 4, 4),))


def context(**options):
    training = Training((X, LABELS), **options)
    return Context([DATA], training=training)


def quantized(graph, **options):
    return Quantize(**options).run(graph, Context([DATA]))


def trained(graph, epochs=3, learning_rate=0.01, **options):
    optimizer = Optimizer(batch=32, learning_rate=learning_rate)
    each = Qat(epochs, Quantize(**options), optimizer)
    return verify(each.run(graph, context()), "quantized")


def loss(graph):
    (scores,) = evaluate(graph, DATA).values()
    shifted = scores - scores.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log[np.arange(len(X)), LABELS].mean()


def weight_codes(graph):
    found = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv | Dense):
            found[node.name] = graph.constants[graph.producers[node.inputs[1]].inputs[0]]
    return found


BITS = [
    {"weight_bits": 8},
    {"weight_bits": 3, "activation_bits": 4},
    {"weight_bits": 1, "activation_bits": 2},
    {"weight_bits": 2, "per_channel": False, "activation_bits": 10},
]


@pytest.mark.parametrize("options", BITS, ids=str)
def test_before_training_the_module_is_the_quantized_graph(options):
    graph = network()
    made = quantized(graph, **options)
    module = to_torch(verify(shadowed(graph, made), "quantized"))
    assert list(module.weights) == ["a.weight", "b.weight", "c.weight"]
    assert module.layers["a.weight"].where == "Node '/a/Op' (conv)"
    assert with_codes(module) == made
    assert to_torch(made).to_graph() == made


def results(module, x):
    with torch.no_grad():
        given = {"x": torch.from_numpy(x).to(next(module.parameters()).dtype)}
        return {node.name: result.numpy() for node, result in module.walk(given)}


def is_code(graph, name):
    return isinstance(graph.producers[name].op, QuantizeOp)


@pytest.mark.parametrize("options", BITS, ids=str)
def test_after_training_the_codes_of_the_graph_are_those_of_the_module(options):
    """In float64 all of them; in float32 but for sums that round to the other side of a tie."""
    graph = network()
    module = moved(to_torch(shadowed(graph, quantized(graph, **options))))
    made = verify(with_codes(module), "quantized")
    exact = {n.name: r for n, r in walk(made, {"x": X.astype(np.float64)}, np.float64)}
    single, double = results(module, X), results(to_torch(made).double(), X)
    codes = [name for name in exact if is_code(made, name)]
    assert len(codes) == 6
    for name in codes:
        assert np.array_equal(double[name], exact[name])
        off = np.abs(single[name].astype(np.int64) - exact[name])
        assert (off != 0).mean() < 0.001
        assert off.max() <= 1


def moved(module):
    """A module after steps at random, as training makes them."""
    random = torch.Generator().manual_seed(3)
    zeros = module.weights["b.weight"].detach() == 0
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter += 0.1 * noise
        module.weights["b.weight"][zeros] = 0
    return module.eval()


def test_training_moves_weights_biases_and_scales_and_lowers_the_loss():
    graph = network()
    options = {"weight_bits": 2, "activation_bits": 3}
    before, after = quantized(graph, **options), trained(graph, epochs=6, **options)
    assert loss(after) < loss(before) - 0.05
    assert [node.name for node in after.nodes] == [node.name for node in before.nodes]
    fixed = {"x.scale", "c.scale"}
    scales = {name for name in before.constants if name.endswith("scale")} - fixed
    for name in (*scales, "a.bias", "c.bias"):
        assert after.constants[name] != before.constants[name], name
    for name in (*fixed, "sum.zero_point"):
        assert after.constants[name] == before.constants[name]
    assert any(codes != weight_codes(before)[n] for n, codes in weight_codes(after).items())


def test_zero_weights_stay_zero():
    graph = network()
    codes = weight_codes(trained(graph, weight_bits=4))["b"].array
    zeros = graph.constants["b.weight"].array == 0
    assert not codes[zeros].any()
    assert codes[~zeros].any()


def test_coded_weights_keep_codes_and_scales():
    graph = network()
    made = quantized(graph, weight_bits=3)
    codes = weight_codes(made)["b"]
    scale = made.constants["b.weight_scale"].array
    coded = verify(code_weights(graph, {"b.weight": (codes, scale)}), "float")
    after = trained(coded, weight_bits=5)
    assert weight_codes(after)["b"] == codes
    assert np.array_equal(after.constants["b.weight.scale"].array, scale)
    assert str(weight_codes(after)["a"].dtype) == "int5"


@pytest.mark.parametrize("options", BITS, ids=str)
def test_what_was_trained_lowers_with_proof_and_computes_the_same_codes(options):
    graph = Canonicalize().run(network(), Context())
    made = trained(graph, epochs=1, **options)
    integers = verify(Lower().run(made, Context()), "integer")
    proofs = [node.certificate for node in integers.nodes if node.certificate]
    assert len(proofs) >= 4
    assert all(proof.proved for proof in proofs)
    exact = {n.name: r for n, r in walk(made, {"x": X.astype(np.float64)}, np.float64)}
    image = exact["x.codes"]
    assert np.array_equal(evaluate(integers, {"x": image})["c"], exact["c.codes"])


def test_layers_may_have_bits_of_their_own():
    after = trained(network(), epochs=1, weight_bits=4, layers=(Layer("/a/*", 8, 0),))
    assert [str(codes.dtype) for codes in weight_codes(after).values()] == ["int8", "int4", "int4"]


def test_the_pass_is_data():
    text = 'canonicalize,qat{"epochs": 1, "quantize": {"weight_bits": 4}},lower'
    pipeline = Pipeline.parse(text)
    assert pipeline.passes[1] == Qat(1, Quantize(weight_bits=4))
    assert Pipeline.parse(str(pipeline)) == pipeline
    integers = pipeline.run(network(), context())
    assert all(value.type.dtype.is_integer for value in integers.values.values())


def test_it_knows_its_epochs():
    assert Qat(7).total_epochs == 7


def test_training_is_the_same_for_the_same_seed():
    assert trained(network(), epochs=1) == trained(network(), epochs=1)


def test_what_cannot_be_is_named():
    with pytest.raises(UsageError) as error:
        Qat(0)
    assert str(error.value) == "epochs is 0. Choose 1 or more."
    with pytest.raises(DataError) as missing:
        Pipeline((Qat(),)).run(network(), Context([DATA]))
    assert str(missing.value) == (
        "Pass 'qat' trains, but there is no labelled data. "
        "Give images and labels: --train, or training=Training(...) in Python."
    )


def test_weights_that_are_no_numbers_are_named():
    graph = network()
    module = to_torch(shadowed(graph, quantized(graph)))
    with torch.no_grad():
        module.weights["a.weight"][0, 0, 0, 0] = torch.nan
    with pytest.raises(PassError) as error:
        with_codes(module)
    assert str(error.value) == "Node '/a/Op' (quantize): Its weights are no numbers after training."


def test_training_goes_on_from_a_checkpoint(tmp_path):
    graph = network()
    whole = Qat(2, optimizer=Optimizer(batch=32)).run(graph, context())
    half = context(folder=tmp_path)

    def stop(label, done, total, detail=""):
        if label == "train quantized" and done == 5:
            raise KeyboardInterrupt

    each = Qat(2, optimizer=Optimizer(batch=32))
    with pytest.raises(KeyboardInterrupt):
        each.run(graph, Context([DATA], stop, half.training))
    assert each.run(graph, context(folder=tmp_path, resume=True)) == whole


def test_a_checkpoint_of_other_calibration_data_is_not_used(tmp_path):
    graph, each = network(), Qat(1, optimizer=Optimizer(batch=32))
    wider = [{"x": X * np.float32(1.5)}]
    first = context(folder=tmp_path, resume=True).training
    each.run(graph, Context([DATA], training=first))
    made = each.run(graph, Context(wider, training=first))
    assert made == each.run(graph, Context(wider, training=context().training))
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert made == each.run(graph, Context(wider, training=first))
    assert len(list(tmp_path.glob("*.pt"))) == 2
