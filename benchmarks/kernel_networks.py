"""The networks that kernels are raced on: a torch module each, compiled by intaglio and its peers.

Weights are random, batch normalization is that of random images: only speed means anything.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from torch import nn

import intaglio

IMAGES = 16
FOLDER = Path(gettempdir()) / "intaglio-kernels"
"""Compiled networks are kept here; those that are there are not made again."""
Shape = tuple[int, int, int]


class Residual(nn.Module):
    """Two convs of 3x3 and what goes around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*normalised(inputs, outputs, 3, stride), nn.ReLU())
        self.second = nn.Sequential(*normalised(outputs, outputs, 3, 1))
        same = inputs == outputs and stride == 1
        around = () if same else normalised(inputs, outputs, 1, stride)
        self.around = nn.Sequential(*around)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.around(x))


class Inverted(nn.Module):
    """An inverted residual of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int, wider: int) -> None:
        super().__init__()
        wide = inputs * wider
        widening = [] if wider == 1 else [*normalised(inputs, wide, 1, 1), nn.ReLU6()]
        self.layers = nn.Sequential(
            *widening,
            *normalised(wide, wide, 3, stride, wide),
            nn.ReLU6(),
            *normalised(wide, outputs, 1, 1),
        )
        self.kept = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.kept else y


def normalised(
    inputs: int, outputs: int, size: int, stride: int, groups: int = 1, pad: int | None = None
) -> list[nn.Module]:
    """A conv and its batch normalization."""
    border = size // 2 if pad is None else pad
    conv = nn.Conv2d(inputs, outputs, size, stride, border, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def residuals(widths: tuple[int, ...], blocks: int, first: list[nn.Module], last: int) -> nn.Module:
    """A ResNet of basic blocks."""
    made, before = list(first), widths[0]
    for width in widths:
        for index in range(blocks):
            made.append(Residual(before, width, 2 if index == 0 and width != widths[0] else 1))
            before = width
    return nn.Sequential(*made, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, last))


def cifar_resnet(blocks: int) -> nn.Module:
    """ResNet-8 and ResNet-20."""
    stem = [*normalised(3, 16, 3, 1), nn.ReLU()]
    return residuals((16, 32, 64), blocks, stem, 10)


def with_zeros(module: nn.Module, share: float) -> nn.Module:
    """So many of the weights of convs are 0, at random."""
    rng = torch.Generator().manual_seed(0)
    for each in module.modules():
        if isinstance(each, nn.Conv2d):
            kept = torch.rand(each.weight.shape, generator=rng) >= share
            each.weight.data *= kept
    return module


def resnet18(width: int = 64) -> nn.Module:
    """For images of 224."""
    stem = [*normalised(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return residuals((width, 2 * width, 4 * width, 8 * width), 2, stem, 1000)


def mobilenet() -> nn.Module:
    """MobileNetV2."""
    made: list[nn.Module] = [*normalised(3, 32, 3, 2), nn.ReLU6()]
    before = 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    for wider, width, count, stride in stages:
        for index in range(count):
            made.append(Inverted(before, width, stride if index == 0 else 1, wider))
            before = width
    made += [*normalised(before, 1280, 1, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*made, nn.Linear(1280, 1000))


def _dense(sizes: tuple[int, ...]) -> list[nn.Module]:
    """Dense layers between these sizes, each with a ReLU."""
    return [each for a, b in pairwise(sizes) for each in (nn.Linear(a, b), nn.ReLU())]


def cnv() -> nn.Module:
    """The topology of FINN, with ReLU."""
    made: list[nn.Module] = []
    before = 3
    for width, pooled in ((64, 0), (64, 1), (128, 0), (128, 1), (256, 0), (256, 0)):
        made += [*normalised(before, width, 3, 1, pad=0), nn.ReLU()]
        made += [nn.MaxPool2d(2)] if pooled else []
        before = width
    sizes = (256, 512, 512)
    return nn.Sequential(*made, nn.Flatten(), *_dense(sizes), nn.Linear(512, 10))


def lenet5() -> nn.Module:
    """Five layers for images of 28."""
    first = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    dense = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*first, *second, *dense)


def tfc() -> nn.Module:
    """Four dense layers for images of 28."""
    sizes = (784, 64, 64, 64)
    return nn.Sequential(nn.Flatten(), *_dense(sizes), nn.Linear(64, 10))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "TFC": (tfc, (1, 28, 28)),
    "LeNet-5": (lenet5, (1, 28, 28)),
    "ResNet-8": (lambda: cifar_resnet(1), (3, 32, 32)),
    "ResNet-20": (lambda: cifar_resnet(3), (3, 32, 32)),
    "CNV": (cnv, (3, 32, 32)),
    "MobileNetV2 96": (mobilenet, (3, 96, 96)),
    "ResNet-18": (resnet18, (3, 224, 224)),
    "MobileNetV2 224": (mobilenet, (3, 224, 224)),
}
"""Those that are raced."""
HALF = "ResNet-18 of half width"
ZEROS = {f"ResNet-20, {share} % zeros": share / 100 for share in (50, 80, 90, 95, 98)}
OTHERS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    HALF: (lambda: resnet18(32), (3, 224, 224)),
    **{
        name: (lambda share=share: with_zeros(cifar_resnet(3), share), (3, 32, 32))
        for name, share in ZEROS.items()
    },
}


@dataclass(frozen=True)
class Made:
    """A network in every form: ours, the float ONNX model, and onnxruntime's own int8 one."""

    name: str
    shape: Shape
    blob: Path
    real: Path
    int8: Path

    def module(self) -> nn.Module:
        """The network in torch, with the same weights."""
        torch.manual_seed(0)
        make, shape = (NETWORKS | OTHERS)[self.name]
        return _normalised(make(), shape)[0]


@cache
def made(name: str) -> Made:
    """The network, compiled unless it lies in FOLDER."""
    make, shape = (NETWORKS | OTHERS)[name]
    stem = FOLDER / re.sub(r"[^a-z0-9]+", "-", name.lower())
    found = Made(name, shape, *(stem.with_suffix(end) for end in (".intg", ".onnx", ".int8.onnx")))
    if not found.int8.exists():
        FOLDER.mkdir(exist_ok=True)
        module, images = _normalised(make(), shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _export(module, shape, found.real)
            network = intaglio.compile(module, images, example_inputs=(torch.zeros(1, *shape),))
            found.blob.write_bytes(network.blob)
            _quantized(found, images)
    return found


def _normalised(module: nn.Module, shape: Shape) -> tuple[nn.Module, np.ndarray]:
    """With the statistics of random images, and these."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(IMAGES, *shape)).astype(np.float32)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.from_numpy(images))
    return module.eval(), images


def _export(module: nn.Module, shape: Shape, path: Path) -> None:
    text = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    torch.onnx.export(module, (torch.zeros(1, *shape),), text, dynamo=False, **names)
    path.write_bytes(text.getvalue())


def _quantized(network: Made, images: np.ndarray) -> None:
    """As onnxruntime quantizes: QDQ, unsigned activations, signed weights by channel."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"x": batch[None]}

    prepared = network.int8.with_suffix(".prepared")
    quant_pre_process(str(network.real), str(prepared))
    quantize_static(
        str(prepared),
        str(network.int8),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()
