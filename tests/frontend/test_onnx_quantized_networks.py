"""A small network through onnxruntime's quantizer, imported and compiled in both formats."""

import io
import logging
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import intaglio

ort = pytest.importorskip("onnxruntime", reason="it quantizes and executes the network")


class Small(nn.Module):
    """Every shape of layer that the quantizer treats in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU6())
        self.depth = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.LeakyReLU(0.1))
        self.gate = nn.Sequential(nn.Conv2d(6, 6, 1), nn.Sigmoid())
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(6, 5, 3, padding=1), nn.ReLU())
        self.up = nn.Upsample(scale_factor=2)
        self.last = nn.Sequential(nn.Conv2d(11, 8, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.depth(x)
        x = x * self.gate(x)
        return self.head(self.last(torch.cat([x, self.up(self.deep(x))], 1)))


class Batches:
    """Calibration data as onnxruntime reads it."""

    def __init__(self, images):
        self.left = iter(np.split(images, 4))

    def get_next(self):
        batch = next(self.left, None)
        return None if batch is None else {"image": batch}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(64, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, images):
    """The model in a format, with weights per channel or not and int8 or uint8 activations."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    torch.manual_seed(0)
    stream = io.BytesIO()
    names = {"input_names": ["image"], "dynamic_axes": {"image": {0: "n"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter uses what torch itself deprecates
        example = (torch.zeros(1, 3, 8, 8),)
        torch.onnx.export(Small().eval(), example, stream, dynamo=False, opset_version=17, **names)
    folder = tmp_path_factory.mktemp("models")
    (folder / "float.onnx").write_bytes(stream.getvalue())

    def make(form, per_channel, signed):
        path = folder / f"{form}{per_channel}{signed}.onnx"
        logging.disable(logging.WARNING)  # advice about preprocessing
        try:
            quantize_static(
                folder / "float.onnx",
                path,
                Batches(images),
                quant_format=QuantFormat[form],
                per_channel=per_channel,
                activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(path)

    return make


@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("signed", [False, True], ids=["uint8", "int8"])
@pytest.mark.parametrize("form", ["QOperator", "QDQ"])
def test_a_network_gives_the_codes_of_onnxruntime(quantized, images, form, per_channel, signed):
    model = quantized(form, per_channel, signed)
    network = intaglio.compile(model)
    assert all(certificate.proved for certificate in network.certificates.values())
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": images})
    found = network.run(images)
    steps = np.rint((found.real - expected) / found.encoding.step)
    if form == "QOperator":
        assert not steps.any()
    else:  # its fused kernels do not round correctly near ties
        assert np.abs(steps).max() <= 1
