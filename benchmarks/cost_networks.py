"""Layers of networks that others have published figures of, as loops and as programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from intaglio.cost_models.loops import Loops
from intaglio.ir.graph import Builder, Value
from intaglio.ir.numeric import int_type
from intaglio.ir.ops_linear import Conv
from intaglio.ir.program import Program
from intaglio.ir.tensor import BATCH, Tensor, TensorType
from intaglio.passes.schedule import schedule

Layers = dict[str, Loops]


def conv(m: int, c: int, size: int, kernel: int, stride: int = 1) -> Loops:
    """A conv of a square image, padded so that each place of it is a centre."""
    pad = kernel // 2
    out = (size + 2 * pad - kernel) // stride + 1
    shape = (1, m, c, out, out, kernel, kernel, size, size)
    return Loops(*shape, 1, (stride, stride), (1, 1), (pad, pad))


def dense(m: int, c: int) -> Loops:
    """A dense layer of one sample."""
    return Loops(1, m, c, 1, 1, 1, 1, 1, 1)


def resnet18() -> Layers:
    """He et al., CVPR 2016, for ImageNet."""
    found = {"conv1": conv(64, 3, 224, 7, 2)}
    size, before = 56, 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        stride = 1 if width == before else 2
        found[f"layer{stage}.0.conv1"] = conv(width, before, size, 3, stride)
        if stride > 1:
            found[f"layer{stage}.0.downsample"] = conv(width, before, size, 1, stride)
        size //= stride
        for name in ("0.conv2", "1.conv1", "1.conv2"):
            found[f"layer{stage}.{name}"] = conv(width, width, size, 3)
        before = width
    return found | {"fc": dense(1000, 512)}


def resnet50() -> Layers:
    """The same with bottlenecks, as torchvision has it."""
    found = {"conv1": conv(64, 3, 224, 7, 2)}
    size, before = 56, 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            found[f"{name}.conv1"] = conv(width, before, size, 1)
            found[f"{name}.conv2"] = conv(width, width, size, 3, stride)
            if block == 0:
                found[f"{name}.downsample"] = conv(4 * width, before, size, 1, stride)
            size //= stride
            found[f"{name}.conv3"] = conv(4 * width, width, size, 1)
            before = 4 * width
    return found | {"fc": dense(1000, 2048)}


def alexnet() -> Layers:
    """Krizhevsky et al., NIPS 2012: three of its convs in two groups."""
    return {
        "conv1": Loops(1, 96, 3, 55, 55, 11, 11, 227, 227, 1, (4, 4)),
        "conv2": replace(conv(128, 48, 27, 5), groups=2),
        "conv3": conv(384, 256, 13, 3),
        "conv4": replace(conv(192, 192, 13, 3), groups=2),
        "conv5": replace(conv(128, 192, 13, 3), groups=2),
        "fc6": dense(4096, 9216),
        "fc7": dense(4096, 4096),
        "fc8": dense(1000, 4096),
    }


def eyeriss_alexnet() -> dict[str, tuple[int, Loops]]:
    """The convs of the first AlexNet, in how many equal parts; 4 samples, padded images."""
    return {
        "conv1": (2, Loops(4, 48, 3, 55, 55, 11, 11, 227, 227, 1, (4, 4))),
        "conv2": (2, Loops(4, 128, 48, 27, 27, 5, 5, 31, 31)),
        "conv3": (2, Loops(4, 192, 256, 13, 13, 3, 3, 15, 15)),
        "conv4": (2, Loops(4, 192, 192, 13, 13, 3, 3, 15, 15)),
        "conv5": (2, Loops(4, 128, 192, 13, 13, 3, 3, 15, 15)),
    }


def program(name: str, layers: Layers, bits: int = 8) -> Program:
    """The layers side by side, each with an input of its own; all codes have ``bits``."""
    type_ = int_type(bits)
    rng, b, outputs = np.random.default_rng(0), Builder(name), []
    for label, loops in layers.items():
        channels = loops.groups * loops.c
        image = TensorType((BATCH, channels, loops.height, loops.width), type_)
        x = b.input(Value(f"{label}.x", image, label))
        shape = (loops.groups * loops.m, loops.c, loops.r, loops.s)
        weight = Tensor(rng.integers(-127, 128, shape, f"int{bits}"), type_)
        after = _after(loops)
        op = Conv(loops.stride, (*loops.pad, *after), loops.dilation, loops.groups)
        outputs.append(b.node(label, op, x, b.constant(f"{label}.w", weight), origin=label))
    return _narrow(schedule(b.build(tuple(outputs))), bits)


def _after(loops: Loops) -> tuple[int, int]:
    """Border below and to the right, of which the last window needs so much."""
    rows = (loops.p - 1) * loops.stride[0] + loops.r - loops.height - loops.pad[0]
    columns = (loops.q - 1) * loops.stride[1] + loops.s - loops.width - loops.pad[1]
    return max(rows, 0), max(columns, 0)


def _narrow(found: Program, bits: int) -> Program:
    """The program as if its sums were written as ``bits``; it cannot be executed."""
    slots = list(found.slots)
    for index in found.outputs:
        slots[index] = replace(slots[index], type=slots[index].type.with_dtype(int_type(bits)))
    return replace(found, slots=tuple(slots))
