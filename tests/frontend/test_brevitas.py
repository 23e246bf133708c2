"""Brevitas modules: 0 LSB against their own outputs."""

import re

import numpy as np
import pytest

pytest.importorskip("brevitas", reason="Brevitas modules are what is imported")

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import QuantType
from brevitas.quant import binary, float, scaled_int, shifted_scaled_int, ternary
from brevitas.quant.mx_quant_ocp import MXInt8Weight
from torch import nn

import intaglio
from intaglio.errors import ImportModelError, PassError, UsageError
from intaglio.frontend.brevitas.points import is_brevitas
from intaglio.frontend.compare import compare_torch

from .brevitas_cases import LAYERS, ROUNDINGS, Case, build, compare

pytestmark = pytest.mark.filterwarnings("ignore")  # Brevitas and torch warn of each other
PACKED = {"return_quant_tensor": True}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_equals_brevitas(layer):
    found = compare(Case(4, True, True, layer=layer), "module")
    assert (found.differ, found.far) == (0, 0)


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_every_width_equals_brevitas(bits, signed):
    assert compare(Case(bits, signed, rounding="DPU", layer="linear"), "module").differ == 0


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_of_weights_and_activations_equals_brevitas(rounding):
    case = Case(5, rounding=rounding, weight_rounding=rounding, layer="linear")
    assert compare(case, "module").differ == 0


@pytest.mark.parametrize("per_channel", [True, False])
def test_any_scale_equals_brevitas_but_for_float32(per_channel):
    assert compare(Case(6, True, per_channel, "CEIL", powers=False), "module").far == 0


class Net(nn.Module):
    def __init__(self, call, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.call = call

    def forward(self, x):
        return self.call(self, x)


def identity(**options):
    return qnn.QuantIdentity(**PACKED, **options)


def check(module, shape=(4, 6, 6), calibrate=True):
    """The network, once its codes equal those of the module on new inputs."""
    torch.manual_seed(3)
    if calibrate:
        module.train()
        for _ in range(2):
            module(torch.randn(8, *shape))
    module.eval()
    x = torch.randn(32, *shape)
    network = intaglio.compile(module, example_inputs=(x[:1],))
    with torch.no_grad():
        y = module(x)
    got = network.run(x.numpy())
    steps = (getattr(y, "value", y).numpy() - got.real) / got.encoding.step
    assert np.abs(steps).max() < 0.01
    return network


def test_additions_of_what_one_quantizer_gives():
    def call(net, x):
        a = net.first(x)
        return net.last(net.first(net.conv(a)) + a)

    conv = qnn.QuantConv2d(4, 4, 3, padding=1)
    check(Net(call, first=identity(bit_width=4), conv=conv, last=qnn.QuantReLU(**PACKED)))


def test_eltwise_add_of_two_scales():
    def call(net, x):
        a = net.first(x)
        return net.add(net.conv(a), a)

    conv = qnn.QuantConv2d(4, 4, 3, padding=1)
    check(Net(call, first=identity(bit_width=4), conv=conv, add=qnn.QuantEltwiseAdd(**PACKED)))


def test_quant_cat_joins_what_its_input_quantizer_gives():
    """Brevitas 0.13 cannot run it: the codes are compared with those of its two quantizers."""

    def call(net, x):
        a = net.first(x)
        return net.cat([a, net.second(a)])

    cat = qnn.QuantCat(**PACKED)
    module = Net(call, first=identity(), second=identity(bit_width=4), cat=cat)
    x = torch.randn(8, 4, 5, 5)
    for quantizer in (module.first, module.second, cat.input_quant, cat.output_quant):
        quantizer.train()
        quantizer(x)
    module.eval()
    got = intaglio.compile(module, example_inputs=(x[:1],)).run(x.numpy())
    with torch.no_grad():
        first = module.first(x)
        parts = [cat.input_quant(each).value for each in (first, module.second(first))]
        expected = cat.output_quant(torch.cat(parts, 1))
    assert np.array_equal(got.codes, expected.int().numpy())


@pytest.mark.parametrize("name", ["QuantSigmoid", "QuantTanh", "QuantHardSwish"])
def test_functions_of_codes_are_tables(name):
    function = getattr(qnn, name)(**PACKED)
    module = Net(lambda net, x: net.function(net.first(x)), first=identity(), function=function)
    proofs = check(module).certificates.values()
    assert [proof.verdict for proof in proofs] == ["table"]


def test_a_hard_tanh_clips():
    tanh = qnn.QuantHardTanh(min_val=-1.0, max_val=1.0, **PACKED)
    conv = qnn.QuantConv2d(4, 4, 3)
    check(
        Net(lambda net, x: net.tanh(net.conv(net.first(x))), first=identity(), conv=conv, tanh=tanh)
    )


@pytest.mark.parametrize("mode", ["TruncTo8bit", "RoundTo8bit"])
@pytest.mark.parametrize("bits", [4, 8])
def test_truncating_pools_equal_brevitas(mode, bits):
    quantizer = {"trunc_quant": getattr(scaled_int, mode), "bit_width": bits}
    for pool in (qnn.TruncAvgPool2d(3, **quantizer), qnn.TruncAdaptiveAvgPool2d(1, **quantizer)):
        check(Net(lambda net, x: net.pool(net.first(x)), first=qnn.QuantReLU(**PACKED), pool=pool))


@pytest.mark.parametrize(
    "options",
    [
        {"weight_quant": ternary.SignedTernaryWeightPerTensorConst},
        {"weight_quant": shifted_scaled_int.ShiftedUint8WeightPerChannelFloat},
        {"weight_quant": scaled_int.Int8WeightPerChannelFloatDecoupled},
        {"weight_quant": scaled_int.Int8AccumulatorAwareWeightQuant},
        {"bias": True, "bias_quant": scaled_int.Int8Bias},
        {"bias": True, "bias_quant": scaled_int.Int32Bias, "weight_bit_width": 3},
    ],
)
def test_quantizers_of_parameters(options):
    conv = qnn.QuantConv2d(4, 4, 3, padding=1, **options)
    check(
        Net(
            lambda net, x: net.last(net.conv(net.first(x))),
            first=identity(bit_width=4),
            conv=conv,
            last=identity(),
        )
    )


@pytest.mark.parametrize(
    "options",
    [
        {"act_quant": ternary.SignedTernaryActPerTensorConst},
        {
            "act_quant": ternary.SignedTernaryActPerTensorConst,
            "quant_type": QuantType.TERNARY,
            "threshold": 0.3,
        },
        {"act_quant": binary.SignedBinaryActPerTensorConst},
        {"act_quant": shifted_scaled_int.ShiftedUint8ActPerTensorFloat},
    ],
)
def test_quantizers_of_activations(options):
    conv = qnn.QuantConv2d(4, 4, 3, weight_bit_width=3)
    module = Net(lambda net, x: net.conv(net.first(x)), first=identity(**options), conv=conv)
    check(module)


def test_binary_networks_with_batch_normalization():
    sign = binary.SignedBinaryActPerTensorConst
    layers = {
        "first": identity(act_quant=sign),
        "conv": qnn.QuantConv2d(4, 4, 3, weight_quant=binary.SignedBinaryWeightPerTensorConst),
        "norm": nn.BatchNorm2d(4),
        "last": identity(act_quant=sign),
    }
    check(Net(lambda net, x: net.last(net.norm(net.conv(net.first(x)))), **layers))


def test_values_and_errors_speak_of_the_paths_of_modules():
    module, x = build(Case(4))
    graph = intaglio.import_model(module, (x,))
    assert [node.name for node in graph.nodes][:2] == ["first.act_quant.codes", "first.act_quant"]
    assert {node.value.origin for node in graph.nodes} == {
        "first.act_quant",
        "layer",
        "last.act_quant",
    }
    assert is_brevitas(module)
    assert not is_brevitas(nn.Linear(2, 2))


def test_the_imported_graph_is_compared_with_the_module():
    module, x = build(Case(4))
    graph = intaglio.import_model(module, (x,))
    (difference,) = compare_torch(module, graph, {graph.inputs[0].name: x.numpy()}).outputs
    assert difference.absolute < 1e-5


def test_a_module_is_as_before_once_it_is_imported():
    module, x = build(Case(4))
    before = {name: (type(each), sorted(vars(each))) for name, each in module.named_modules()}
    with torch.no_grad():
        expected = module(x).value
    intaglio.import_model(module, (x,))
    with torch.no_grad():
        assert torch.equal(module(x).value, expected)
    after = {name: (type(each), sorted(vars(each))) for name, each in module.named_modules()}
    assert before == after


SUPPORTED = (
    "Supported are integer, binary and ternary quantizers with constant scales, one per tensor or "
    "per channel."
)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {
                "first": identity(act_quant=float.Fp8e4m3ActPerTensorFloat),
                "linear": nn.Linear(8, 4),
            },
            "Module 'first.act_quant': It quantizes by ActFloatQuantProxyFromInjector to "
            f"FloatQuantTensor. {SUPPORTED}",
        ),
        (
            {"first": identity(), "linear": qnn.QuantLinear(8, 4, True, weight_quant=MXInt8Weight)},
            "Module 'linear.weight_quant': It quantizes by GroupwiseWeightQuantProxyFromInjector to "
            f"GroupwiseIntQuantTensor. {SUPPORTED}",
        ),
        (
            {
                "first": identity(float_to_int_impl_type="stochastic_round"),
                "linear": nn.Linear(8, 4),
            },
            f"Module 'first.act_quant': It rounds by StochasticRoundSte. {SUPPORTED}",
        ),
        (
            {"first": nn.Identity(), "linear": qnn.QuantLinear(7, 4, True)},
            "Module 'Net': It cannot be run on the example: mat1 and mat2 shapes cannot be "
            "multiplied (1x8 and 7x4) Pass example_inputs that its forward accepts.",
        ),
    ],
)
def test_what_is_no_integer_quantizer_is_refused_with_its_path(layers, message):
    module = Net(lambda net, x: net.linear(net.first(x)), **layers).eval()
    with pytest.raises(ImportModelError, match=f"^{re.escape(message)}$"):
        intaglio.import_model(module, (torch.randn(1, 8),))


def test_compiled_quantizers_are_refused(monkeypatch):
    monkeypatch.setattr("brevitas.config.JIT_ENABLED", True)
    message = (
        "Module 'Layer': Brevitas compiles its quantizers (BREVITAS_JIT=1). Import it in a process "
        "in which BREVITAS_JIT is 0; the weights are the same."
    )
    module, x = build(Case(4))
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        intaglio.import_model(module, (x,))


@pytest.mark.parametrize("name", ["QuantSigmoid", "QuantTanh"])
def test_rising_functions_of_accumulators_are_thresholds(name):
    layers = {"first": identity(), "linear": qnn.QuantLinear(8, 4, True), "norm": nn.BatchNorm1d(4)}
    layers["last"] = getattr(qnn, name)(**PACKED)
    layers["norm"].weight.data[0] = -1.0
    module = Net(lambda net, x: net.last(net.norm(net.linear(net.first(x)))), **layers)
    methods = [proof.method for proof in check(module, (8,)).certificates.values()]
    assert methods[-1] == "threshold"


def test_another_function_of_an_accumulator_is_refused_with_its_module():
    layers = {"first": identity(), "linear": qnn.QuantLinear(8, 4, True)}
    layers["last"] = qnn.QuantHardSwish(**PACKED)
    module = Net(lambda net, x: net.last(net.linear(net.first(x))), **layers)
    with pytest.raises(PassError, match=re.escape("Node 'last.act_quant.hardswish' (unary)")):
        check(module, (8,))
