"""A network as a torch module of Brevitas layers, a quantizer after each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas import quant
from torch import nn
from torch.nn import functional

from .reals import CLIP
from .spec import Array, Dialect, Grid, Layer, Network

DIALECT = Dialect(
    "brevitas",
    (
        *("conv", "conv_transpose", "dense", "add", "sub", "mul", "concat", "average_pool"),
        *("global_average", "max_pool", "resize", "pad", "reshape", "flatten", "softmax"),
        *("transpose", "slice", "relu", "clip", "leaky_relu", "sigmoid", "tanh", "hard_swish"),
        *("elu",),
    ),
    activations=((8, True), (8, False), (6, True), (4, True), (4, False), (3, True), (2, False)),
    weights=((8, True), (8, True), (5, True), (4, True), (3, True)),
    zeros=False,
    padding=("VALID", "EVEN"),
    bordered_pools=False,
)


def live_layers(network: Network) -> list[int]:
    """The values of layers that outputs depend on, ascending."""
    needed = set(network.outputs)
    for index in range(len(network.layers), 0, -1):
        if index in needed:
            needed.update(network.layers[index - 1].sources)
    return sorted(needed - {0})


class Module(nn.Module):
    """The network; ``quantizers`` belong to the input and to live layers, in order."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.live = network, live_layers(network)
        quantized = [each for each in (0, *self.live) if each not in network.unquantized]
        self.quantizers = nn.ModuleDict(
            {
                f"v{each}": (_rectifier if self.rectifies(each) else _quantizer)(
                    network.grid_of(each)
                )
                for each in quantized
            }
        )
        self.linear = nn.ModuleDict(
            {f"v{each}": _linear(network.layers[each - 1], network) for each in self.live}
        )

    def rectifies(self, index: int) -> bool:
        """Whether the ReLU of a layer is that of its quantizer."""
        kind = self.network.layers[index - 1].kind if index else ""
        return kind == "relu" and index % 2 == 0 and index not in self.network.unquantized

    def forward(self, x: Any) -> Any:
        values = {0: self.quantizers["v0"](x)}
        for index in self.live:
            layer, name = self.network.layers[index - 1], f"v{index}"
            operands = [values[each] for each in layer.sources]
            if self.rectifies(index):
                made = operands[0]
            else:
                made = _fused(layer, _value(layer, operands, self.linear[name]))
            values[index] = self.quantizers[name](made) if name in self.quantizers else made
        found = tuple(values[each] for each in self.network.outputs)
        return found[0] if len(found) == 1 else found


def _quantizer(grid: Grid) -> Any:
    if grid.signed:
        reach = grid.scale * (1 << (grid.bits - 1))
        return qnn.QuantIdentity(
            act_quant=quant.Int8ActPerTensorFloatMinMaxInit,
            bit_width=grid.bits,
            min_val=-reach,
            max_val=reach,
        )
    return qnn.QuantIdentity(
        act_quant=quant.Uint8ActPerTensorFloatMaxInit,
        bit_width=grid.bits,
        max_val=grid.scale * grid.hi,
    )


def _rectifier(grid: Grid) -> Any:
    return qnn.QuantReLU(
        act_quant=quant.Uint8ActPerTensorFloatMaxInit,
        bit_width=grid.bits,
        max_val=grid.scale * max(grid.hi, 1),
    )


def _linear(layer: Layer, network: Network) -> Any:
    weight, options = layer.weight, layer.options
    if weight is None:
        return nn.Identity()
    single = weight.scale.size == 1
    wq = quant.Int8WeightPerTensorFloat if single else quant.Int8WeightPerChannelFloat
    given: dict[str, Any] = {"weight_quant": wq, "weight_bit_width": weight.bits}
    given["bias"] = weight.bias is not None
    if layer.kind == "dense":
        made = qnn.QuantLinear(weight.codes.shape[1], weight.codes.shape[0], **given)
    else:
        channels = network.shape_of(layer.sources[0])[0]
        window = {
            "kernel_size": options["kernel"],
            "stride": options["strides"],
            "padding": options["pads"][:2],
            "dilation": options["dilations"],
            "groups": options["groups"],
        }
        kinds = {"conv": qnn.QuantConv2d, "conv_transpose": qnn.QuantConvTranspose2d}
        more = {"output_padding": options["extra"]} if "extra" in options else {}
        made = kinds[layer.kind](channels, layer.shape[0], **window, **more, **given)
    rng = np.random.default_rng(len(network.layers))
    near = weight.reals + rng.uniform(-0.3, 0.3, weight.codes.shape) * float(weight.scale.min())
    made.weight.data = torch.from_numpy(near.astype(np.float32))
    if weight.bias is not None:
        step = network.grid_of(layer.sources[0]).scale
        made.bias.data = torch.from_numpy(
            (weight.bias * weight.bias_scale * step).astype(np.float32)
        )
    return made


def _fused(layer: Layer, x: Any) -> Any:
    if layer.fused == "relu":
        return torch.relu(x)
    return torch.clamp(x, *CLIP) if layer.fused == "clip" else x


def _value(layer: Layer, x: list[Any], linear: Any) -> Any:
    kind, options = layer.kind, layer.options
    if layer.weight is not None:
        return linear(x[0])
    simple: dict[str, Any] = {
        "add": lambda: x[0] + x[-1],
        "sub": lambda: x[0] - x[-1],
        "mul": lambda: x[0] * x[-1],
        "concat": lambda: torch.cat(x, dim=options["axis"]),
        "relu": lambda: torch.relu(x[0]),
        "clip": lambda: torch.clamp(x[0], *CLIP),
        "leaky_relu": lambda: functional.leaky_relu(x[0], options["alpha"]),
        "sigmoid": lambda: torch.sigmoid(x[0]),
        "tanh": lambda: torch.tanh(x[0]),
        "elu": lambda: functional.elu(x[0]),
        "hard_swish": lambda: functional.hardswish(x[0]),
        "global_average": lambda: x[0].mean((2, 3), keepdim=True),
        "max_pool": lambda: functional.max_pool2d(x[0], options["kernel"], options["strides"]),
        "average_pool": lambda: functional.avg_pool2d(x[0], options["kernel"], options["strides"]),
        "resize": lambda: functional.interpolate(x[0], scale_factor=options["factors"]),
        "softmax": lambda: torch.softmax(x[0], -1),
        "reshape": lambda: x[0].reshape(-1, *layer.shape),
        "flatten": lambda: x[0].flatten(1),
        "transpose": lambda: x[0].permute(0, *(axis + 1 for axis in options["order"])),
        "pad": lambda: functional.pad(x[0], _pads(options)),
    }
    if kind in simple:
        return simple[kind]()
    assert kind == "slice", kind
    bounds = zip(options["starts"], options["stops"], options["steps"], strict=True)
    return x[0][(slice(None), *(slice(*each) for each in bounds))]


def _pads(options: Any) -> list[int]:
    pairs = list(zip(options["before"], options["after"], strict=True))
    return [size for pair in pairs[::-1] for size in pair]


def emit_brevitas(network: Network) -> Module:
    """The module, in evaluation mode."""
    torch.manual_seed(0)
    return Module(network).eval()


def observed(module: Module, x: Array) -> tuple[list[Array], list[Array]]:
    """What each quantizer is given, after its own ReLU, and what it gives."""
    given: list[Array] = []
    made: list[Array] = []
    hooks = []
    for name, each in module.quantizers.items():

        def note(
            _: Any, inputs: Any, output: Any, rectify: bool = module.rectifies(int(name[1:]))
        ) -> None:
            before = inputs[0].detach().numpy()
            given.append(np.maximum(before, 0) if rectify else before)
            made.append(output.detach().numpy())

        hooks.append(each.register_forward_hook(note))
    with torch.no_grad():
        module(torch.from_numpy(x))
    for hook in hooks:
        hook.remove()
    return given, made
