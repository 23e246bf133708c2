"""The seven small PyTorch models that newcomers try first: compiled, run and checked."""

import numpy as np
import pytest
import torch
from torch import nn

import intaglio
from intaglio.ir.ops_product import MatMul
from intaglio.ir.ops_softmax import Softmax

IMAGE = (3, 12, 12)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        y = self.first(x)
        y = torch.relu(y + self.second(y))
        return self.head(torch.flatten(self.pool(y), 1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(-1, -2) / 4
        return self.head((torch.softmax(scores, -1) @ self.v(x)).mean(1))


def lenet():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def depthwise():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6()),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.Conv2d(8, 10, 1)),
    )


def grouped():
    return nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Conv2d(6, 8, 3, groups=2))


def dilated():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=2, dilation=2), nn.ReLU(), nn.Conv2d(8, 4, 1))


def transposed():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1)),
    )


MODELS = {
    "depthwise": (depthwise, IMAGE),
    "grouped": (grouped, IMAGE),
    "dilated": (dilated, IMAGE),
    "transposed": (transposed, IMAGE),
    "residual": (Residual, IMAGE),
    "attention": (Attention, (6, 16)),
    "lenet": (lenet, (1, 28, 28)),
}


def built(name):
    """The model in evaluation mode with fixed weights, and inputs for it."""
    torch.manual_seed(0)
    make, shape = MODELS[name]
    return make().eval(), torch.randn(16, *shape)


@pytest.fixture(scope="module", params=MODELS)
def compiled(request):
    """A model, inputs and the compiled network."""
    model, x = built(request.param)
    return model, x, intaglio.compile(model, x.numpy(), example_inputs=(x,))


def test_every_rescaling_is_proved(compiled):
    _, _, network = compiled
    assert network.certificates
    assert all(proof.proved for proof in network.certificates.values())


def test_the_simulator_equals_the_reference_at_every_activation(compiled):
    _, x, network = compiled
    activations = sum(network.program.slots[s.output].type.elements for s in network.program.steps)
    codes = sum(network.program.slots[i].type.elements for i in network.program.inputs)
    assert network.check(x.numpy()) == len(x) * (activations + codes)


def test_the_integers_follow_the_floats(compiled):
    model, x, network = compiled
    expected = model(x).detach().numpy()
    error = np.abs(network.run(x.numpy()).real - expected).max()
    assert error <= 0.03 * np.abs(expected).max()


def test_the_blob_read_back_computes_the_same(compiled, tmp_path):
    _, x, network = compiled
    network.save(tmp_path / "net.intg")
    again = intaglio.load(tmp_path / "net.intg").run(x.numpy())
    assert np.array_equal(np.asarray(again), np.asarray(network.run(x.numpy())))


def test_attention_multiplies_and_divides_in_integers():
    model, x = built("attention")
    network = intaglio.compile(model, x.numpy(), example_inputs=(x,))
    ops = [type(step.op) for step in network.program.steps]
    assert ops.count(MatMul) == 2
    assert ops.count(Softmax) == 1
