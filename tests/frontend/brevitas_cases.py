"""Single Brevitas layers, their exports, and their own outputs as the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from zlib import crc32

import brevitas.nn as qnn
import numpy as np
import onnx
import torch
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant import binary, fixed_point, scaled_int
from torch import nn

import intaglio

ROUNDINGS = ("ROUND", "FLOOR", "CEIL", "ROUND_TO_ZERO", "DPU")
LAYERS = {
    "conv1d": (qnn.QuantConv1d, (4, 9), {"kernel_size": 3, "padding": 1}),
    "conv2d": (qnn.QuantConv2d, (4, 6, 5), {"kernel_size": 3, "padding": 1}),
    "depthwise": (qnn.QuantConv2d, (4, 6, 5), {"kernel_size": 3, "groups": 2}),
    "transpose1d": (qnn.QuantConvTranspose1d, (4, 5), {"kernel_size": 3, "stride": 2}),
    "transpose2d": (qnn.QuantConvTranspose2d, (4, 5, 4), {"kernel_size": 3, "stride": 2}),
    "linear": (qnn.QuantLinear, (4,), {}),
}


@dataclass(frozen=True)
class Case:
    """A layer between two quantizers."""

    bits: int
    signed: bool = True
    per_channel: bool = False
    rounding: str = "ROUND"
    layer: str = "conv2d"
    powers: bool = True  # scales that are powers of two: float32 is exact, ties occur
    bias: bool = True
    weight_rounding: str = "ROUND"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return LAYERS[self.layer][1]


class Layer(nn.Module):
    """QuantIdentity, the layer, QuantIdentity or QuantReLU."""

    def __init__(self, case: Case):
        super().__init__()
        cls, sizes, options = LAYERS[case.layer]
        rounding = FloatToIntImplType[case.rounding]
        module = fixed_point if case.powers else scaled_int
        tail = "FixedPoint" if case.powers else "Float"
        if case.bits == 1:
            weight = {"weight_quant": binary.SignedBinaryWeightPerTensorConst}
            if case.powers:
                weight["weight_scaling_init"] = 0.25
        else:
            granularity = "PerChannel" if case.per_channel else "PerTensor"
            weight = {
                "weight_quant": getattr(module, f"Int8Weight{granularity}{tail}"),
                "weight_bit_width": case.bits,
                "weight_float_to_int_impl_type": FloatToIntImplType[case.weight_rounding],
            }
        names = ("in_features", "out_features")
        names = names if case.layer == "linear" else ("in_channels", "out_channels")
        self.first = qnn.QuantIdentity(
            act_quant=getattr(module, f"Int8ActPerTensor{tail}"), bit_width=4
        )
        channels = dict(zip(names, (sizes[0], 6), strict=True))
        self.layer = cls(**channels, bias=case.bias, **options, **weight)
        if case.bits == 1 and case.signed:
            scale = 0.25 if case.powers else 0.3
            act = {"act_quant": binary.SignedBinaryActPerTensorConst, "scaling_init": scale}
        else:
            sign = "Int8" if case.signed else "Uint8"
            act = {
                "act_quant": getattr(module, f"{sign}ActPerTensor{tail}"),
                "bit_width": case.bits,
                "float_to_int_impl_type": rounding,
            }
        last = qnn.QuantIdentity if case.signed else qnn.QuantReLU
        self.last = last(return_quant_tensor=True, **act)

    def forward(self, x):
        return self.last(self.layer(self.first(x)))


def build(case: Case, batch: int = 32):
    """The module in evaluation mode, its scales calibrated, and inputs that reach ties."""
    seed = crc32(repr(case).encode())
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    module = Layer(case)
    if case.powers and case.bias:
        with torch.no_grad():
            module.layer.bias.copy_(torch.round(module.layer.bias * 64) / 64)
    x = torch.randn(batch, *case.shape, generator=generator)
    module.train()
    for _ in range(3):
        module(x)
    return module.eval(), torch.randn(batch, *case.shape, generator=generator)


@contextmanager
def without_optimizer() -> Iterator[None]:
    """Brevitas' exporter demands onnxoptimizer for two clean-ups that no importer needs."""
    from brevitas.export.onnx import manager

    held = manager.onnx, manager.opt
    manager.onnx, manager.opt = onnx, Unoptimized()
    try:
        yield
    finally:
        manager.onnx, manager.opt = held


@contextmanager
def plain_outputs(module) -> Iterator[None]:
    """Scale, zero point and bit width are no outputs of an exported model."""
    layers = [each for each in module.modules() if getattr(each, "return_quant_tensor", False)]
    for layer in layers:
        layer.return_quant_tensor = False
    try:
        yield
    finally:
        for layer in layers:
            layer.return_quant_tensor = True


class Unoptimized:
    """The model as it is, in the place of onnxoptimizer."""

    @staticmethod
    def optimize(model, passes):
        return model


def export(module, x, dialect: str) -> onnx.ModelProto:
    """The module by Brevitas' own exporter: "qonnx" or "qcdq"."""
    from brevitas.export import export_onnx_qcdq, export_qonnx

    exporter = export_qonnx if dialect == "qonnx" else export_onnx_qcdq
    with NamedTemporaryFile(suffix=".onnx") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with without_optimizer(), plain_outputs(module):
            exporter(module, args=x, export_path=file.name, dynamo=False, opset_version=17)
        return onnx.load(file.name)


def codes_of(module, x) -> np.ndarray:
    """The codes of the module's own output, which must be whole."""
    with torch.no_grad():
        y = module(x)
    steps = (y.value.double() / y.scale.double() + y.zero_point.double()).numpy()
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    return np.rint(steps).astype(np.int64)


@dataclass(frozen=True)
class Result:
    """Codes compared, how many differ, and how many of these float32 does not explain."""

    codes: int
    differ: int
    far: int


NEAR = 2.0**-18  # of a code: what float32 can be off by in these layers
ROUTES = ("module", "qonnx", "qcdq")


def expressible(case: Case, route: str) -> bool:
    """Whether Brevitas' exporter writes what the module does.

    QONNX: one bit is always exported as bipolar. QCDQ: QuantizeLinear only rounds half to even.
    """
    if route == "qonnx":
        return (case.bits > 1 or case.signed) and case.weight_rounding == "ROUND"
    plain = (case.rounding, case.weight_rounding) == ("ROUND", "ROUND")
    return route == "module" or (plain and case.bits > 1)


def compare(case: Case, route: str) -> Result:
    """One layer through one route, against the module's own output."""
    module, x = build(case)
    expected = codes_of(module, x)
    if route == "module":
        network = intaglio.compile(module, example_inputs=(x[:1],))
    else:
        network = intaglio.compile(export(module, x, route))
    wrong = network.run(x.numpy()).codes != expected
    far = edge_distances(case, module, x)[wrong] > NEAR if wrong.any() else wrong[:0]
    return Result(wrong.size, int(wrong.sum()), int(np.count_nonzero(far)))


def edge_distances(case: Case, module, x) -> np.ndarray:
    """How far what the last quantizer rounds is from where its code changes, in float64."""

    def exact(tensor):
        scale = tensor.scale.double()
        return torch.round(tensor.value.double() / scale) * scale

    module.first.return_quant_tensor = True
    with torch.no_grad():
        x64, w64 = exact(module.first(x)), exact(module.layer.quant_weight())
        bias = module.layer.bias.double() if case.bias else None
        y = module.layer.inner_forward_impl(x64, w64, bias)
        steps = (y / module.last.act_quant.scale().double()).numpy()
    if case.bits == 1 and case.signed:
        return np.abs(steps)
    moved = steps if case.rounding in ("FLOOR", "CEIL", "ROUND_TO_ZERO") else steps + 0.5
    return np.abs(moved - np.rint(moved))
