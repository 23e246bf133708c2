import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that torch's users know)
from torch import nn

from intaglio.errors import ImportModelError, UsageError
from intaglio.frontend.compare import compare_torch
from intaglio.frontend.torch.importer import import_torch
from intaglio.ir.evaluate import evaluate
from intaglio.ir.tensor import TensorType
from intaglio.ir.text import from_text, to_text


class Call(nn.Module):
    """A module whose forward is any function of its inputs."""

    def __init__(self, function, **children):
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x):
        return self.function(self, x)


def call(function, **children):
    return Call(function, **children).eval()


def refused(module, *examples, error=ImportModelError):
    with pytest.raises(error) as caught:
        import_torch(module, examples)
    return str(caught.value)


IMAGE = torch.zeros(2, 4, 6, 6)


@pytest.mark.parametrize("name", ["lenet", "resnet", "mobile"])
def test_small_networks_equal_torch(networks, check_torch, name):
    network, shape = networks[name]
    graph = check_torch(network, torch.zeros(3, *shape))
    assert graph.inputs[0].type == TensorType(("n", *shape))
    assert from_text(to_text(graph)) == graph


def test_values_come_from_the_modules_that_make_them(networks):
    network, shape = networks["resnet"]
    graph = import_torch(network, (torch.zeros(1, *shape),))
    origins = [node.value.origin for node in graph.nodes]
    assert origins[:5] == ["conv1", "bn1", "relu", "layer1.0.conv1", "layer1.0.bn1"]
    assert "layer2.0.pad" in origins
    assert origins[-3:] == ["avg_pool2d", "view", "linear"]
    assert graph.nodes[3].where == "Node 'layer1.0.conv1' (conv)"
    assert "layer1.0.conv1.weight" in graph.constants


def test_the_shortcut_without_parameters_is_one_slice_and_one_pad(networks):
    network, shape = networks["resnet"]
    graph = import_torch(network, (torch.zeros(1, *shape),))
    shortcut = [node.op.name for node in graph.nodes if node.value.origin.startswith("layer2.0.")]
    assert shortcut.count("slice") == shortcut.count("pad") == 1


@pytest.mark.parametrize("depth", ["resnet20-12fca82f", "resnet32-d509ac18"])
def test_trained_resnets_give_their_published_logits(data, resnet_cifar, depth):
    folder = data / "models" / "cifar_resnet"
    network = resnet_cifar.load(folder / f"{depth}.th")
    graph = import_torch(network, (torch.zeros(1, 3, 32, 32),))
    reference = np.load(folder / f"{depth}.ref.npz")
    images = resnet_cifar.normalize(torch.from_numpy(cifar_images(data, 4))).numpy()
    (logits,) = evaluate(graph, {"x": images}).values()
    assert np.max(np.abs(logits - reference["logits"][:4])) <= 1e-5 * np.ptp(reference["logits"])
    assert compare_torch(network, graph).worst.relative <= 1e-5


def test_normalization_as_the_first_layer_equals_normalized_images(resnet_cifar, check_torch):
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    network = resnet_cifar.resnet20().eval()
    whole = resnet_cifar.on_pixels(network)
    with torch.no_grad():
        difference = whole(images / 255) - network(resnet_cifar.normalize(images))
    assert difference.abs().max() < 1e-4
    graph = check_torch(whole, torch.zeros(1, 3, 32, 32))
    assert graph.nodes[0].value.origin == "normalization"


def cifar_images(folder, count):
    """The first images of the test set, stored as differences along rows, columns and colors."""
    import lzma

    with lzma.open(folder / "cifar10" / "test.grad.xz") as stream:
        steps = np.frombuffer(stream.read(count * 3072), np.uint8).reshape(count, 3, 32, 32)
    images = steps.cumsum(2, dtype=np.uint8).cumsum(3, dtype=np.uint8)
    images[:, 0] += images[:, 1]
    images[:, 2] += images[:, 1]
    return images


LAYERS = [
    nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
    nn.Conv2d(4, 8, 3, groups=4, bias=False),
    nn.Conv2d(4, 4, 2, padding="same"),
    nn.Conv2d(4, 4, 2, padding="valid"),
    nn.BatchNorm2d(4),
    nn.BatchNorm2d(4, affine=False),
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.Hardtanh(-0.5, 0.25),
    nn.LeakyReLU(0.2),
    nn.ELU(0.7),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.SiLU(),
    nn.MaxPool2d(3, 2, 1, 1),
    nn.MaxPool2d(2, 3, 1, ceil_mode=True),
    nn.MaxPool2d((2, 3), dilation=(1, 2)),
    nn.AvgPool2d(3, 2, 1),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.AvgPool2d((2, 3), (3, 2), (1, 1), ceil_mode=True, count_include_pad=False),
    nn.AdaptiveAvgPool2d(1),
    nn.AdaptiveAvgPool2d((3, 2)),
    nn.AdaptiveAvgPool2d((None, 1)),
    nn.Dropout(),
    nn.Dropout2d(),
    nn.Identity(),
    nn.Flatten(),
    nn.Flatten(2),
    nn.ZeroPad2d((1, 2, 0, 3)),
    nn.ConstantPad2d((1, -1, 0, 0), 0.5),
    nn.Linear(6, 3),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_over_two_axes_equal_torch(check_torch, layer):
    check_torch(layer.eval(), IMAGE)


LINE_LAYERS = [
    nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2),
    nn.Conv1d(4, 4, 3, groups=2, padding="same"),
    nn.BatchNorm1d(4),
    nn.MaxPool1d(3, 2, 1),
    nn.MaxPool1d(2, ceil_mode=True),
    nn.AvgPool1d(3, 2, 1),
    nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    nn.AdaptiveAvgPool1d(3),
    nn.Linear(9, 2),
]


@pytest.mark.parametrize("layer", LINE_LAYERS, ids=repr)
def test_layers_over_one_axis_equal_torch(check_torch, layer):
    check_torch(layer.eval(), torch.zeros(2, 4, 9))


class Weights(nn.Module):
    """A parameter and a buffer to compute with."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(6, 5))
        self.register_buffer("b", torch.randn(6), persistent=False)


FUNCTIONS = {
    "linear": lambda m, x: F.linear(x, m.p.w[:, :4], m.p.b),
    "addmm": lambda m, x: torch.addmm(m.p.b[:5], x[:, 0], m.p.w[:4], beta=0.5, alpha=2),
    "mm": lambda m, x: torch.mm(x[:, 1], m.p.w[:4]),
    "matmul": lambda m, x: x @ m.p.w[:4],
    "computed weights": lambda m, x: F.linear(x, (m.p.w * 2).exp()[:, 1:] + m.p.b[:, None]),
    "a number read from a weight": lambda m, x: x * m.p.w[0, 0].item(),
    "a stack of weights": lambda m, x: F.linear(x, torch.stack([m.p.b[:4], m.p.b[2:]])),
    "a split weight": lambda m, x: F.linear(x, m.p.w[:, :4].chunk(2)[1]),
    "add": lambda m, x: x + 2 * x + 1 - m.p.b[:4],
    "add with a factor": lambda m, x: torch.add(x, torch.relu(x), alpha=3),
    "add a constant with a factor": lambda m, x: torch.add(x, m.p.b[:4], alpha=3),
    "subtract": lambda m, x: x - torch.relu(x) - 0.5,
    "subtract from a constant": lambda m, x: 1 - x,
    "multiply": lambda m, x: 3 * x * m.p.b[:3, None],
    "divide": lambda m, x: x / 3 / m.p.b[:4],
    "in place": lambda m, x: (x * 2).add_(x).mul_(3).relu_(),
    "in place through a view": lambda m, x: seen_through_a_view(x),
    "clamp": lambda m, x: x.clamp(-0.5, 0.5) + x.clamp(min=0) + x.clamp(max=0.1),
    "clamp_min": lambda m, x: x.clamp_min(-0.25).clamp_max(0.25),
    "abs exp sqrt neg": lambda m, x: torch.sqrt(torch.exp(-torch.abs(x))),
    "silu by hand": lambda m, x: x * torch.sigmoid(x),
    "mean": lambda m, x: x[:, :, None].mean((2, 3)) + x.mean(-1),
    "mean that keeps axes": lambda m, x: x.mean(2, keepdim=True),
    "view": lambda m, x: x.view(x.size(0), -1) + x.reshape(-1, 12) + x.flatten(1),
    "view of sizes": lambda m, x: x.view(x.shape[0], x.shape[2], x.shape[1]),
    "permute": lambda m, x: x.permute(0, 2, 1) + x.transpose(1, 2) + x.transpose(-1, 1),
    "squeeze": lambda m, x: x.unsqueeze(1).unsqueeze(-1).squeeze(-1).squeeze((1, 2)),
    "squeeze of everything": lambda m, x: x[:, :1].squeeze(),
    "cat": lambda m, x: torch.cat([x, torch.relu(x), x], 1),
    "slice": lambda m, x: x[:, 1:, ::2][:, :, 1:] + x[:, -2:, 2:3],
    "select": lambda m, x: x[:, 0] + x[:, -1],
    "split": lambda m, x: x.split(2, 1)[1],
    "split with sizes": lambda m, x: torch.cat(x.split([1, 3], 2)[::-1], 2),
    "chunk": lambda m, x: x.chunk(2, 2),
    "pad": lambda m, x: F.pad(F.pad(x, (1, 2)), (0, 0, 1, 0), value=0.5),
    "dtype": lambda m, x: x.double().float().contiguous().clone().detach(),
    "convolution": lambda m, x: torch.ops.aten.convolution(
        x, m.p.w[:3, :3, None], None, [1], [0], [1], False, [0], 1
    ),
    "a pad of zeros": lambda m, x: torch.ops.aten.constant_pad_nd(x, [1, 2, 0, 1]),
    "operators of torch's own": lambda m, x: torch.ops.aten._unsafe_view(
        torch.ops.aten.alias(x), [x.shape[0], 12]
    ),
    "dropout that keeps everything": lambda m, x: torch.ops.aten.native_dropout(x, 0.5, False)[0],
    "relu6": lambda m, x: F.relu6(x * 9),
    "a tree of outputs": lambda m, x: {"a": x + 1, "b": [x, (x * 2, x + 1)]},
    "a scalar per sample": lambda m, x: torch.sigmoid(x[:, 0, 0]) * 2,
}


def test_the_inner_form_of_the_adaptive_pool(check_torch):
    check_torch(call(lambda m, x: torch.ops.aten._adaptive_avg_pool2d(x, [3, 2])), IMAGE)


def seen_through_a_view(x):
    y = x * 2
    flat = y.view(-1, 12)
    y.relu_()
    return flat + 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_equal_torch(check_torch, name):
    check_torch(call(FUNCTIONS[name], p=Weights()), torch.zeros(2, 3, 4))


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_examples_may_have_any_batch(check_torch, batch):
    graph = check_torch(call(lambda m, x: x.view(x.size(0), -1)), torch.zeros(batch, 3, 4))
    assert graph.inputs[0].type == TensorType(("n", 3, 4))


def test_several_inputs_keep_their_names_and_order(check_torch):
    class Two(nn.Module):
        def forward(self, left, right):
            return left - right.mean(2)

    graph = check_torch(Two().eval(), torch.zeros(2, 3), torch.zeros(2, 3, 4))
    assert [value.name for value in graph.inputs] == ["left", "right"]


def test_forward_may_take_any_number_of_inputs(check_torch):
    class Sum(nn.Module):
        def forward(self, first, *others):
            return first + others[0] - others[1]

    graph = check_torch(Sum().eval(), *(torch.zeros(2, 3) for _ in range(3)))
    assert len(graph.inputs) == 3


def test_a_module_that_writes_a_batch_of_one_is_traced_with_one(check_torch):
    class Checked(nn.Module):
        def forward(self, x):
            if x.shape[0] != 1:
                raise ValueError("one sample at a time")
            return x.view(1, -1) + 1

    graph = check_torch(Checked().eval(), torch.zeros(1, 3, 4))
    assert graph.type_of(graph.outputs[0]) == TensorType(("n", 12))


def test_a_double_module_becomes_float32(check_torch):
    graph = check_torch(nn.Linear(3, 2).double().eval(), torch.zeros(1, 3, dtype=torch.double))
    assert str(graph.constants["weight"].type) == "float32[2,3]"


def test_a_half_module_becomes_float32():
    graph = import_torch(nn.Linear(3, 2).bfloat16().eval(), (torch.zeros(1, 3).bfloat16(),))
    assert str(graph.constants["weight"].type) == "float32[2,3]"


def test_a_module_used_twice_shares_its_weights(check_torch):
    graph = check_torch(call(lambda m, x: m.fc(m.fc(x)), fc=nn.Linear(4, 4)), torch.zeros(1, 4))
    assert [node.inputs[1:] for node in graph.nodes] == [("fc.weight", "fc.bias")] * 2


KEEP = "Each sample must keep its own rows: axis 0 is the batch, and nothing may merge or move it."
ACTIVATION = "is computed from the inputs of the network. Only a constant is supported there."


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda m, x: torch.erf(x),
            "Module 'Call' (aten.erf.default): The ATen operator 'erf' is not supported. No "
            "supported operator has a similar name; 'intaglio ops' lists them all. Replace it in "
            "the module's forward.",
        ),
        (
            lambda m, x: m.inner(x),
            "Module 'inner' (aten.gelu.default): The ATen operator 'gelu' is not supported. "
            "Nearest supported operators: elu, relu, relu6. Replace it in the module's forward.",
        ),
        (
            lambda m, x: x.reshape(-1, 2),
            "Module 'Call' (aten.view.default): It reshapes float32[n,4,6,6] to (-1, 2). " + KEEP,
        ),
        (
            lambda m, x: x.view(x.size(0) * 4, 36),
            "Module 'Call' (mul): The batch size takes part in arithmetic: n * "
            "4. Keep the batch as an axis of its own and compute with the other sizes only.",
        ),
        (
            lambda m, x: x.permute(1, 0, 2, 3),
            "Module 'Call' (aten.permute.default): It transposes float32[n,4,6,6] to the order "
            "(1, 0, 2, 3). " + KEEP,
        ),
        (
            lambda m, x: F.pad(x, (0, x.shape[0])),
            "Module 'Call' (aten.pad.default): Its argument 'pad' depends on the batch size. Use "
            "numbers there.",
        ),
        (
            lambda m, x: x[:, x.shape[0] :],
            "Module 'Call' (aten.slice.Tensor): Its slice n::1 has n, the batch size, for a bound. "
            "Give numbers instead.",
        ),
        (
            lambda m, x: torch.cat([x, x], 0),
            "Module 'Call' (aten.cat.default): It works along axis 0, the batch. " + KEEP,
        ),
        (
            lambda m, x: x @ x[:, 0],
            "Module 'Call' (aten.matmul.default): It multiplies float32[n,4,6,6] and "
            "float32[n,6,6]. Both must have equally many axes, at least 3 with the batch in front.",
        ),
        (
            lambda m, x: F.conv2d(x, x[0:1]),
            "Module 'Call' (aten.slice.Tensor): It slices the batch: 0:1:1. " + KEEP,
        ),
        (
            lambda m, x: x / torch.relu(x),
            "Module 'Call' (aten.div.Tensor): It divides two activations, 'x' and 'relu'. Only "
            "division by constants is supported.",
        ),
        (
            lambda m, x: F.batch_norm(x, torch.zeros(4), torch.ones(4), training=True),
            "Module 'Call' (aten._native_batch_norm_legit_functional.default): The ATen operator "
            "'_native_batch_norm_legit_functional' is not supported. Nearest supported operators: "
            "_native_batch_norm_legit_no_training. Replace it in the module's forward.",
        ),
        (
            lambda m, x: F.dropout(x),
            "Module 'Call' (aten.native_dropout.default): Argument 'train' = True is not "
            "supported. Supported: train = False.",
        ),
        (
            lambda m, x: F.avg_pool2d(x, 2, divisor_override=3),
            "Module 'Call' (aten.avg_pool2d.default): Argument 'divisor_override' = 3 is not "
            "supported. Supported: divisor_override = None.",
        ),
        (
            lambda m, x: torch.div(x, 2, rounding_mode="floor"),
            "Module 'Call' (aten.div.Tensor_mode): Argument 'rounding_mode' = 'floor' is not "
            "supported. Supported: leave it out.",
        ),
        (
            lambda m, x: F.conv_transpose3d(x[:, :, None], torch.ones(4, 2, 1, 3, 3)),
            "Module 'Call' (aten.conv_transpose3d.input): The ATen operator 'conv_transpose3d' is "
            "not supported. Nearest supported operators: conv_transpose2d, conv_transpose1d, "
            "transpose. Replace it in the module's forward.",
        ),
        (
            lambda m, x: F.max_pool2d(x, 2, return_indices=True)[1].float(),
            "Module 'Call' (getitem): Its output 1 is read. Only its first output is supported.",
        ),
        (
            lambda m, x: F.adaptive_avg_pool2d(x, 4),
            "Module 'Call' (aten.adaptive_avg_pool2d.default): It pools (6, 6) to (4, 4). "
            "Supported are sizes that divide the input's.",
        ),
        (
            lambda m, x: x.mean(),
            "Module 'Call' (aten.mean.default): It takes the mean of float32[n,4,6,6] over axes "
            "(). Name the axes, all of them after the batch.",
        ),
        (
            lambda m, x: x.view(torch.float32) + x,
            "Module 'Call' (aten.view.dtype): Argument 'dtype' = torch.float32 is not supported. "
            "Supported: leave it out.",
        ),
        (
            lambda m, x: x * x.shape[0],
            "Module 'Call' (aten.mul.Tensor): Its argument 'other' is the batch size. Use a number "
            "there.",
        ),
        (
            lambda m, x: torch.clamp(x, torch.ones(4, 1, 1)),
            "Module 'Call' (aten.clamp.Tensor): Its argument 'min' is a tensor. Use a number "
            "there.",
        ),
        (
            lambda m, x: x.long().float(),
            "Module 'Call' (aten._to_copy.default): It converts to torch.int64. Only conversions "
            "to floats are supported.",
        ),
        (
            lambda m, x: x * float("nan"),
            "Module 'Call' (aten.mul.Tensor): Weight 'scalar_nan' has 1 of 1 elements that are not "
            "finite in float32 (the first, at [], is nan). No integer stands for them: repair or "
            "retrain the weights.",
        ),
        (
            lambda m, x: (x, torch.ones(3)),
            "Module 'Call': It returns ones, which does not depend on the inputs. Return tensors "
            "computed from the inputs only.",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_module_and_operator(function, message):
    assert refused(call(function, inner=nn.GELU()), IMAGE) == message


def test_a_weight_that_is_not_finite_is_named_with_its_module():
    module = call(lambda m, x: m.features(x), features=nn.Sequential(nn.Linear(3, 2)))
    module.features[0].weight.data[1, 2] = float("inf")
    assert refused(module, torch.zeros(1, 3)) == (
        "Module 'features.0' (aten.linear.default): Weight 'features.0.weight' has 1 of 6 elements "
        "that are not finite in float32 (the first, at [1, 2], is inf). No integer stands for "
        "them: repair or retrain the weights."
    )


def test_a_module_in_training_mode():
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout())
    assert refused(module, IMAGE, error=UsageError) == (
        "Module 'Sequential': It is in training mode, in which batch normalization and dropout "
        "differ (3 modules, the first is 'Sequential'). Call module.eval() before importing it."
    )
    module.eval()[1].train()
    assert refused(module, IMAGE, error=UsageError) == (
        "Module 'Sequential': It is in training mode, in which batch normalization and dropout "
        "differ (1 modules, the first is '1'). Call module.eval() before importing it."
    )


def test_a_module_that_branches_on_values():
    module = call(lambda m, x: x if x.sum() > 0 else -x)
    message = refused(module, IMAGE)
    assert message.startswith("Module 'Call': torch.export cannot trace it: ")
    assert message.endswith(
        " Its forward must not branch on values and must accept the example inputs."
    )


def test_a_module_that_keeps_state():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x):
            self.count += 1
            return x + 1

    assert refused(Counter().eval(), IMAGE) == (
        "Module 'Counter': Its forward changes the buffer 'count'. A network must not keep state "
        "between calls."
    )


@pytest.mark.parametrize(
    ("example", "shown"),
    [
        (3, "int"),
        (torch.zeros(2, 3, dtype=torch.int64), "(2, 3) of torch.int64"),
        (torch.tensor(1.0), "() of torch.float32"),
        (torch.zeros(0, 3), "(0, 3) of torch.float32"),
    ],
)
def test_examples_must_be_float_tensors_with_a_batch(example, shown):
    assert refused(nn.ReLU().eval(), example, error=UsageError) == (
        f"Example input 0 is {shown}. Pass one float tensor per argument of forward, axis 0 the "
        "batch."
    )


def test_a_function_is_not_a_module():
    assert refused(torch.relu, IMAGE, error=UsageError) == (
        "A builtin_function_or_method is not a torch.nn.Module. Pass a module and examples."
    )


def output_of(program):
    run = [sys.executable, "-c", program]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout


def test_without_torch_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from intaglio.errors import UsageError\n"
        "from intaglio.frontend.torch.importer import import_torch\n"
        "try:\n    import_torch(object(), ())\n"
        "except UsageError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == (
        "PyTorch is not installed, and a torch module was given. Install it with: pip install "
        "intaglio[torch]\n"
    )


def test_importing_the_frontends_does_not_import_torch():
    program = (
        "import sys, intaglio.frontend.torch.importer, intaglio.frontend.onnx.importer\n"
        "import intaglio.frontend.compare\n"
        "print('torch' in sys.modules, 'onnxruntime' in sys.modules, 'numba' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False False False\n"
