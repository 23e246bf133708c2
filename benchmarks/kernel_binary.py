"""Networks of Brevitas: CNV of one bit, and small ones that three exact simulators run."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from kernel_networks import FOLDER
from kernel_peers import Run
from torch import nn

import intaglio


def exported(module: nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    """As QONNX, cleaned by its owner's tool."""
    from brevitas.export import export_qonnx
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(module, torch.zeros(shape), export_path=target)
    model = onnx.load_model_from_string(target.getvalue())
    return cleanup_model(ModelWrapper(model)).model


def binary_cnv() -> Path:
    """The blob of CNV with weights and activations of one bit, untrained."""
    from brevitas_examples.bnn_pynq.models import model_with_cfg

    path = FOLDER / "cnv-1w1a.intg"
    if not path.exists():
        torch.manual_seed(0)
        module, _ = model_with_cfg("cnv_1w1a", pretrained=False)
        path.write_bytes(intaglio.compile(exported(module.eval(), (1, 3, 32, 32))).blob)
    return path


def quantized_lenet() -> nn.Module:
    """LeNet-5 with weights and activations of 8 bits."""
    from brevitas import nn as qnn

    bits: dict[str, Any] = {"weight_bit_width": 8, "bias": False}
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        *(qnn.QuantConv2d(1, 6, 5, padding=2, **bits), qnn.QuantReLU(bit_width=8), nn.MaxPool2d(2)),
        *(qnn.QuantConv2d(6, 16, 5, **bits), qnn.QuantReLU(bit_width=8), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(qnn.QuantLinear(400, 120, **bits), qnn.QuantReLU(bit_width=8)),
        *(qnn.QuantLinear(120, 84, **bits), qnn.QuantReLU(bit_width=8)),
        qnn.QuantLinear(84, 10, **bits),
    )


def quantized_tfc() -> nn.Module:
    """Four dense layers with weights and activations of 8 bits."""
    from brevitas import nn as qnn

    layers: list[nn.Module] = [nn.Flatten(), qnn.QuantIdentity(bit_width=8)]
    for inputs, outputs in ((784, 64), (64, 64), (64, 64)):
        layers.append(qnn.QuantLinear(inputs, outputs, bias=False, weight_bit_width=8))
        layers.append(qnn.QuantReLU(bit_width=8))
    last = qnn.QuantLinear(64, 10, bias=False, weight_bit_width=8)
    return nn.Sequential(*layers, last)


EXACT = {"TFC": quantized_tfc, "LeNet-5": quantized_lenet}


def exact_simulators(name: str) -> dict[str, Run]:
    """The same network and sample in all of them."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    torch.manual_seed(0)
    torch.set_num_threads(1)
    module, image = EXACT[name](), torch.randn(1, 1, 28, 28)
    module.train()(torch.randn(32, 1, 28, 28))
    module.eval()
    model = exported(module, (1, 1, 28, 28))
    network, wrapper = intaglio.compile(model), ModelWrapper(model)
    codes, fed = network.encode(np.asarray(image)), {model.graph.input[0].name: np.asarray(image)}

    def brevitas() -> object:
        with torch.no_grad():
            return module(image)

    return {
        "ours": lambda: network.simulate(codes),
        "qonnx execute_onnx": lambda: execute_onnx(wrapper, fed),
        "Brevitas": brevitas,
    }
