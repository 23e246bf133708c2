"""Single Brevitas layers, their exports, and their own outputs as the oracle."""

from __future__ import annotations

from dataclasses import dataclass

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant import binary, fixed_point, scaled_int
from torch import nn

ROUNDINGS = ("ROUND", "FLOOR", "CEIL", "ROUND_TO_ZERO", "DPU")
LAYERS = {
    "conv1d": (qnn.QuantConv1d, (4, 9), {"kernel_size": 3, "padding": 1}),
    "conv2d": (qnn.QuantConv2d, (4, 6, 5), {"kernel_size": 3, "padding": 1}),
    "depthwise": (qnn.QuantConv2d, (4, 6, 5), {"kernel_size": 3, "groups": 2}),
    "transpose1d": (qnn.QuantConvTranspose1d, (4, 5), {"kernel_size": 3, "stride": 2}),
    "transpose2d": (qnn.QuantConvTranspose2d, (4, 5, 4), {"kernel_size": 3, "stride": 2}),
    "linear": (qnn.QuantLinear, (4,), {}),
}
LAST_CODES = "y"


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
                "weight_float_to_int_impl_type": rounding,
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
    generator = torch.Generator().manual_seed(hash(repr(case).encode()) % (1 << 31))
    torch.manual_seed(sum(repr(case).encode()))
    module = Layer(case)
    if case.powers and case.bias:
        with torch.no_grad():
            module.layer.bias.copy_(torch.round(module.layer.bias * 64) / 64)
    x = torch.randn(batch, *case.shape, generator=generator)
    module.train()
    for _ in range(3):
        module(x)
    return module.eval(), torch.randn(batch, *case.shape, generator=generator)
