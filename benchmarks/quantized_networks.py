"""Networks quantized by onnxruntime's own quantizer, in both of its formats."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
import torch
from data import cifar10, folder
from networks import normalised, resnet_module
from torch import nn

CALIBRATION = 128
Format = Literal["QDQ", "QOperator"]


@dataclass(frozen=True)
class Source:
    """A float model and how its images are prepared."""

    name: str
    model: onnx.ModelProto
    pixels: Literal["raw", "normalised"]

    def images(self, split: str, count: int) -> np.ndarray[Any, Any]:
        """The first images of CIFAR-10 as the network takes them."""
        images = cifar10(split)[0][:count]
        found = images * 255 if self.pixels == "raw" else normalised(images)
        return found.astype(np.float32)


class Inverted(nn.Module):
    """An inverted residual of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.layers = nn.Sequential(
            *block(inputs, wide, 1),
            *block(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, outputs, 1),
        )
        self.kept = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.kept else y


def block(
    inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution and ReLU6."""
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups), nn.ReLU6()]


def mobile() -> nn.Module:
    """A small MobileNetV2."""
    stages = [(8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 24, 2), (24, 24, 1)]
    return nn.Sequential(
        *block(3, 8, 3),
        *(Inverted(*stage) for stage in stages),
        *block(24, 64, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Branches(nn.Module):
    """Two resolutions that meet in a concatenation, with an upsampling in between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU())
        self.deep = nn.Sequential(
            nn.MaxPool2d(2), nn.Conv2d(12, 20, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)
        )
        self.last = nn.Sequential(nn.Conv2d(32, 24, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(24, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.head(self.last(torch.cat([x, self.deep(x)], 1)))


def trained(network: nn.Module, steps: int = 60) -> nn.Module:
    """The network after a few steps on CIFAR-10, always the same ones."""
    images, labels = cifar10("train1")
    x, y = torch.from_numpy(normalised(images[:3840])), torch.from_numpy(labels[:3840])
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(steps):
        at = slice(64 * step % len(x), 64 * step % len(x) + 64)
        loss = nn.functional.cross_entropy(network(x[at]), y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def exported(network: Any) -> onnx.ModelProto:
    """The network as torch writes it, with a free batch."""
    stream = io.BytesIO()
    axes = {"image": {0: "n"}, "logits": {0: "n"}}
    names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": axes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter uses what torch itself deprecates
        torch.onnx.export(
            network, (torch.zeros(1, 3, 32, 32),), stream, dynamo=False, opset_version=17, **names
        )
    return onnx.load_model_from_string(stream.getvalue())


def resnet8() -> onnx.ModelProto:
    """MLPerf Tiny's ResNet-8 up to its logits."""
    model = onnx.load(folder() / "models" / "mlperf_tiny" / "pretrainedResnet.onnx")
    kept = [node for node in model.graph.node if node.op_type not in ("Softmax", "Identity")]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(kept)
    logits = onnx.helper.make_tensor_value_info("v42", onnx.TensorProto.FLOAT, ["N", 10])
    model.graph.output.append(logits)
    return model


@cache
def sources() -> tuple[Source, ...]:
    """The four float networks."""
    torch.manual_seed(0)
    return (
        Source("ResNet-8", resnet8(), "raw"),
        Source("ResNet-20", exported(resnet_module()), "normalised"),
        Source("MobileNetV2-like", exported(trained(mobile())), "normalised"),
        Source("Concat and Resize", exported(trained(Branches())), "normalised"),
    )


@dataclass
class Reader:
    """Calibration images, one batch at a time, as onnxruntime asks for them."""

    name: str
    batches: Iterator[Any]

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch}


def quantized(source: Source, form: Format, *, per_channel: bool, signed: bool) -> onnx.ModelProto:
    """The model that ``quantize_static`` writes; activations uint8, or int8 if ``signed``."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = source.images("train1", CALIBRATION)
    reader = Reader(source.model.graph.input[0].name, iter(np.split(images, CALIBRATION // 32)))
    with TemporaryDirectory() as place:
        plain, ready, result = (
            str(Path(place) / f"{n}.onnx") for n in ("plain", "ready", "result")
        )
        onnx.save(source.model, plain)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            result,
            reader,
            quant_format=QuantFormat[form],
            per_channel=per_channel,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(result)
