"""ResNet-20 and ResNet-32 for CIFAR-10, with the parameter-free shortcuts of the original paper.

He et al., "Deep residual learning for image recognition", section 4.2 (option A). The layout of the
``state_dict`` is that of the checkpoints published at github.com/akamaster/pytorch_resnet_cifar10.

    network = load("resnet20-12fca82f.th")
    logits = network(normalize(images))           # images uint8 (n, 3, 32, 32)
    logits = on_pixels(network)(images / 255)     # the same with normalization as the first layer
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812  (the name that torch's users know)
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
CLASSES = 10


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut that subsamples and pads with zero channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.added = (outputs - inputs) // 2  # zero channels before and after

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h / stride, w / stride)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added, self.added))
        return F.relu(y + x)


class ResNet(nn.Module):
    """A ResNet of ``6 * blocks + 2`` layers, from normalized images to logits."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, 3, 32, 32)`` to ``(n, 10)``."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.shape[3])
        return self.linear(x.flatten(1))


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
    return nn.Sequential(Block(inputs, outputs, stride), *rest)


def resnet20() -> ResNet:
    """An untrained ResNet-20: 269,722 parameters."""
    return ResNet(3)


def resnet32() -> ResNet:
    """An untrained ResNet-32: 464,154 parameters."""
    return ResNet(5)


def load(path: str | Path) -> ResNet:
    """The trained network of a published ``.th`` file, in evaluation mode."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    weights = {key.removeprefix("module."): w for key, w in checkpoint["state_dict"].items()}
    network = ResNet(sum(key.startswith("layer1") and "conv1" in key for key in weights))
    network.load_state_dict(weights)
    return network.eval()


def normalize(images: Tensor) -> Tensor:
    """uint8 images ``(n, 3, h, w)`` as the network wants them: divided by 255, centered, scaled."""
    return (images.float() / 255 - _channels(MEAN)) / _channels(STD)


def _channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)


def on_pixels(network: nn.Module) -> nn.Sequential:
    """The network for pixels in 0..1, with normalization as its first layer, in evaluation mode."""
    normalization = nn.BatchNorm2d(3, eps=0.0, affine=False)
    normalization.running_mean = torch.tensor(MEAN)
    normalization.running_var = torch.tensor(STD) ** 2
    layers = OrderedDict(normalization=normalization, network=network)
    return nn.Sequential(layers).eval()
