"""The networks whose products are counted: ResNet-18 and -50, looking once or several times."""

from __future__ import annotations

from functools import cache

import torch
from kernel_networks import normalised, resnet18
from torch import nn

import intaglio
from intaglio import Glimpses, Graph, glimpse
from intaglio.ir.ops_linear import Conv, Dense
from intaglio.ir.ops_product import MatMul

FULL, LOOK = 224, 96
"""Pixels of a side of the image and samples of a side of a look: 224 // 2.33."""
FEATURES = {"ResNet-18": 512, "ResNet-50": 2048}


class Bottleneck(nn.Module):
    """Convs of 1x1, 3x3 and 1x1, and what goes around them."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        first = (*normalised(inputs, width, 1, 1), nn.ReLU())
        second = (*normalised(width, width, 3, stride), nn.ReLU())
        self.layers = nn.Sequential(*first, *second, *normalised(width, outputs, 1, 1))
        same = inputs == outputs and stride == 1
        self.around = nn.Sequential(*(() if same else normalised(inputs, outputs, 1, stride)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layers(x) + self.around(x))


def resnet50() -> nn.Module:
    """He et al., CVPR 2016, with the stride in the 3x3 convs."""
    stem = [*normalised(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks, before = [], 64
    for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for index in range(count):
            stride = 2 if width > 64 and index == 0 else 1
            blocks.append(Bottleneck(before, width, stride))
            before = 4 * width
    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000))
    return nn.Sequential(*stem, *blocks, *end)


@cache
def imported(name: str, size: int) -> Graph:
    """A backbone for images of a size, with random weights."""
    torch.manual_seed(0)
    module = resnet18() if name == "ResNet-18" else resnet50()
    return intaglio.import_model(module.eval(), (torch.zeros(1, 3, size, size),))


def products(graph: Graph) -> int:
    """Multiplications of convs, dense layers and of activations with each other, of a sample."""
    return sum(
        node.op.work(*map(graph.type_of, node.inputs)).macs
        for node in graph.nodes
        if isinstance(node.op, Conv | Dense | MatMul)
    )


def features(name: str, size: int) -> int:
    """Products of a backbone without its classifier."""
    graph = imported(name, size)
    last = graph.producers[graph.outputs[0]]
    return products(graph) - last.op.work(*map(graph.type_of, last.inputs)).macs


def looking(name: str, count: int) -> int:
    """Products of a network that looks ``count`` times, its heads for training left out.

    Keys and values of looks before are kept.
    """
    made = glimpse(imported(name, LOOK), (FULL, FULL), Glimpses(count=count))
    aux = sum(
        made.producers[each].op.work(*map(made.type_of, made.producers[each].inputs)).macs
        for each in made.outputs
        if each.startswith("aux")
    )
    return products(made) - aux


def published(name: str, count: int) -> int:
    """The same as the published code counts: every look attends anew, for all looks so far.

    Of n tokens of D features: 3 n D D for queries, keys and values, n D D to join, 2 n n D for
    shares and mixture.
    """
    width = FEATURES[name] + 3
    heads = (4 * n * width * width + 2 * n * n * width for n in range(1, count + 1))
    return count * features(name, LOOK) + sum(heads)
