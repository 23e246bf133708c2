import copy
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import intaglio
from intaglio.errors import UsageError
from intaglio.ir.evaluate import evaluate
from intaglio.ir.graph import Builder, Value
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_pointwise import Add, Affine, PRelu, Relu
from intaglio.ir.tensor import BATCH, TensorType, real
from intaglio.passes.training.module import to_torch

ASSETS = Path(intaglio.__file__).parent / "examples" / "assets"
RNG = np.random.default_rng(0)


def shared_network(constant_output=False):
    """Two convs share a weight; affine, prelu, and an add with a constant of its own."""
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2, 4, 4))))
    weight = b.constant("conv.weight", real(RNG.normal(size=(2, 2, 3, 3))))
    bias = b.constant("bias", real(RNG.normal(size=2)))
    parameters = [
        b.constant(name, real(RNG.normal(size=2))) for name in ("scale", "shift", "slope")
    ]
    first = b.node("a", Conv(pads=(1, 1, 1, 1)), x, weight, bias, origin="/a/Conv")
    moved = b.node("moved", Affine(), first, *parameters[:2])
    bent = b.node("bent", PRelu(), moved, parameters[2])
    second = b.node("b", Conv(pads=(1, 1, 1, 1)), bent, weight, origin="/b/Conv")
    total = b.node("total", Add(), second, bent)
    return b.build((total, "a", "scale") if constant_output else (total,))


X = RNG.normal(size=(3, 2, 4, 4)).astype(np.float32)


def test_parameters_are_what_training_may_change_and_shared_ones_are_held_once():
    module = to_torch(shared_network())
    names = {name.replace("%2E", ".") for name, _ in module.named_parameters()}
    assert names == {f"constant/{n}" for n in ("conv.weight", "bias", "scale", "shift", "slope")}
    assert list(module.weights) == ["conv.weight"]
    assert module.weights["conv.weight"].shape == (2, 2, 3, 3)
    assert module.layers["conv.weight"].where == "Node '/a/Conv' (conv)"
    module(torch.from_numpy(X)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_other_constants_are_buffers_and_stay():
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 3))))
    weight = b.constant("w", real(np.eye(3)))
    one = b.node("one", Dense(), x, weight)
    two = b.node("two", Add(), one, one)
    graph = b.build((two, b.constant("free", real(np.ones(2)))))
    module = to_torch(graph)
    assert [name for name, _ in module.named_buffers()] == ["constant/free"]
    assert module(torch.zeros(1, 3))["free"].tolist() == [1, 1]


def test_several_outputs_come_by_name_and_may_be_inner_values_and_constants():
    graph = shared_network(constant_output=True)
    found = to_torch(graph)(torch.from_numpy(X))
    truth = evaluate(graph, {"x": X})
    assert list(found) == ["total", "a", "scale"]
    for name, result in found.items():
        assert np.allclose(result.detach().numpy(), truth[name], atol=1e-5)


def test_inputs_come_in_order_or_by_name():
    b = Builder("net")
    inputs = [b.input(Value(name, TensorType((BATCH, 2)))) for name in ("x", "y")]
    graph = b.build((b.node("sum", Add((1, 10)), *inputs),))
    module, x, y = to_torch(graph), torch.ones(1, 2), torch.full((1, 2), 2.0)
    assert module(x, y).tolist() == module({"y": y, "x": x}).tolist() == [[21, 21]]
    for given in ((x,), ({"x": x},), (x, y, x)):
        with pytest.raises(
            UsageError,
            match=r"^The module has the inputs x, y; \d of them were given\. Pass a tensor for each in this order, "
            r"or one dictionary by name\.$",
        ):
            module(*given)


def test_an_input_may_be_an_output():
    b = Builder("net")
    x = b.input(Value("x", TensorType((BATCH, 2))))
    module = to_torch(b.build((x, b.node("y", Relu(), x))))
    assert {k: v.tolist() for k, v in module(torch.tensor([[-1.0, 2.0]])).items()} == {
        "x": [[-1, 2]],
        "y": [[0, 2]],
    }


@pytest.mark.parametrize("name", ["lenet5-mnist", "lenet5-fashion-mnist"])
def test_a_network_keeps_its_logits_and_comes_back_equal(name):
    graph = intaglio.import_model(ASSETS / f"{name}.onnx")
    images = RNG.random((8, *graph.inputs[0].type.sample_shape)).astype(np.float32)
    module = intaglio.to_torch(graph).eval()
    with torch.no_grad():
        logits = module(torch.from_numpy(images)).numpy()
    (truth,) = evaluate(graph, {graph.inputs[0].name: images}).values()
    assert np.abs(logits - truth).max() < 2e-6 * np.abs(truth).max()
    assert module.to_graph() == graph


def test_a_step_of_training_moves_the_graph_the_same_way():
    graph = shared_network()
    module = to_torch(graph)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-5)
    module(torch.from_numpy(X)).square().sum().backward()
    optimizer.step()
    trained = module.to_graph()
    assert all(trained.constants[name] != old for name, old in graph.constants.items())
    assert (trained.nodes, trained.inputs, trained.outputs) == (
        graph.nodes,
        graph.inputs,
        graph.outputs,
    )
    result = module(torch.from_numpy(X)).detach().numpy()
    assert np.allclose(result, evaluate(trained, {"x": X})["total"], atol=1e-5)


def test_elements_of_a_float64_module_come_back_as_float32():
    graph = shared_network()
    assert to_torch(graph).double().to_graph() == graph


def test_the_module_can_be_copied_pickled_and_its_state_loaded():
    module = to_torch(shared_network())
    twin, again = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    with torch.no_grad():
        module.weights["conv.weight"].zero_()
    assert twin.to_graph() == again.to_graph() != module.to_graph()
    twin.load_state_dict(module.state_dict())
    assert twin.to_graph() == module.to_graph()


def test_under_autocast_the_results_are_near():
    module, x = to_torch(shared_network()), torch.from_numpy(X)
    with torch.autocast("cpu", torch.bfloat16):
        near = module(x)
    exact = module(x)
    assert near.dtype in (torch.bfloat16, torch.float32)
    assert (near.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_results_are_freed_after_their_last_use():
    b = Builder("chain")
    name = b.input(Value("x", TensorType((BATCH, 4))))
    for index in range(5):
        name = b.node(f"n{index}", Relu(), name)
    module, made, most = to_torch(b.build((name,))), [], 0
    with torch.no_grad():
        for _, result in module.walk({"x": torch.zeros(1, 4)}):
            made.append(weakref.ref(result))
            most = max(most, sum(ref() is not None for ref in made))
    assert most == 2


def test_importing_the_package_does_not_import_torch_and_without_it_the_error_says_so():
    program = (
        "import sys, intaglio.api\nprint('torch' in sys.modules)\nsys.modules['torch'] = None\n"
        "try:\n    intaglio.to_torch(None)\n"
        "except intaglio.errors.UsageError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == (
        "False\nPyTorch is not installed, and training needs it. "
        "Install it with: pip install intaglio[train]\n"
    )
