"""Models of one operator each, drawn from a seed: what the importer is compared with LiteRT on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .tflite_models import SAME, VALID, Written

Rng = np.random.Generator
Case = tuple[bytes, list[Any]]


def scale(rng: Rng, lo: float = 0.002, hi: float = 0.2, dtype: str = "int8") -> float:
    """A scale between the ends for int8; of int16 a 256th of it."""
    return float(np.float32(np.exp(rng.uniform(np.log(lo), np.log(hi))) / gain(dtype)))


def zero(rng: Rng, dtype: str = "int8") -> int:
    drawn = int(rng.choice([-128, 0, 127, int(rng.integers(-128, 128))]))
    return 0 if dtype == "int16" else drawn


def codes(rng: Rng, shape: tuple[int, ...], dtype: str = "int8", count: int = 6) -> Any:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, (count, *shape[1:])).astype(dtype)


def wide_bias(dtype: str) -> str:
    """The type of a bias beside activations of ``dtype``."""
    return "int64" if dtype == "int16" else "int32"


def gain(dtype: str) -> int:
    """How many steps of int16 one of int8 is, about."""
    return 256 if dtype == "int16" else 1


def activation(rng: Rng) -> int:
    return int(rng.integers(0, 4))


def _conv_shape(rng: Rng) -> tuple[int, int, int, int, int]:
    size, kernel, stride, dilation = (
        int(rng.integers(*ends)) for ends in ((5, 10), (1, 4), (1, 4), (1, 3))
    )
    if stride > 1:
        dilation = 1
    padding = int(rng.choice([SAME, VALID]))
    span = dilation * (kernel - 1) + 1
    out = -(-size // stride) if padding == SAME else (size - span) // stride + 1
    return size, kernel, stride, dilation, out if padding == SAME else -out


def conv(rng: Rng, dtype: str = "int8", depthwise: bool = False) -> Case:
    w = Written()
    size, kernel, stride, dilation, signed = _conv_shape(rng)
    padding, out = (SAME, signed) if signed > 0 else (VALID, -signed)
    channels, multiplier = int(rng.integers(1, 6)), int(rng.integers(1, 3))
    groups = 1 if depthwise or rng.random() < 0.8 else channels
    filters = channels * multiplier if depthwise or groups > 1 else int(rng.integers(1, 7))
    wide = dtype == "int16"
    sx, zx = scale(rng, dtype=dtype), 0 if wide else zero(rng)
    per_channel = rng.random() < 0.8
    sw = np.array(
        [scale(rng, 0.001, 0.05) for _ in range(filters if per_channel else 1)], np.float32
    )
    shape = (
        (1, kernel, kernel, filters) if depthwise else (filters, kernel, kernel, channels // groups)
    )
    fan_in = kernel * kernel * (1 if depthwise else channels // groups)
    span = 32767 if wide else 127
    sy = float(
        np.float32(sx * sw.mean() * span * 70 * np.sqrt(fan_in) / span / rng.uniform(0.3, 3))
    )
    x = w.tensor((1, size, size, channels), dtype, sx, zx)
    weight = w.tensor(shape, "int8", sw, 0, rng.integers(-127, 128, shape), 3 if depthwise else 0)
    bias = w.tensor(
        (filters,),
        "int64" if wide else "int32",
        sx * sw,
        0,
        rng.integers(-span * 30, span * 30, filters),
    )
    y = w.tensor((1, out, out, filters), dtype, sy, 0 if wide else zero(rng))
    options = {
        "padding": padding,
        "strideH": stride,
        "strideW": stride,
        "dilationHFactor": dilation,
        "dilationWFactor": dilation,
        "fusedActivationFunction": activation(rng),
    }
    if depthwise:
        options["depthMultiplier"] = multiplier
    w.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, weight, bias], [y], **options)
    return w.model([x], [y]), [codes(rng, (1, size, size, channels), dtype)]


def fully_connected(rng: Rng, dtype: str = "int8", per_channel: bool = False) -> Case:
    w = Written()
    depth, filters, rows = (
        int(rng.integers(1, 40)),
        int(rng.integers(1, 9)),
        int(rng.integers(1, 4)),
    )
    keep = rows > 1
    sx = scale(rng, dtype=dtype)
    sw = np.array(
        [scale(rng, 0.001, 0.05) for _ in range(filters if per_channel else 1)], np.float32
    )
    sy = float(np.float32(sx * sw.mean() * 70 * np.sqrt(depth) * rng.uniform(0.5, 3)))
    shape = (1, rows, depth) if keep else (1, depth)
    x = w.tensor(shape, dtype, sx, zero(rng, dtype))
    weight = w.tensor((filters, depth), "int8", sw, 0, rng.integers(-127, 128, (filters, depth)))
    bias = w.tensor(
        (filters,), wide_bias(dtype), sx * sw, 0, rng.integers(-4000, 4000, filters) * gain(dtype)
    )
    y = w.tensor((*shape[:-1], filters), dtype, sy, zero(rng, dtype))
    w.operator(
        "FULLY_CONNECTED",
        [x, weight, bias],
        [y],
        keepNumDims=keep,
        fusedActivationFunction=activation(rng),
    )
    return w.model([x], [y]), [codes(rng, shape, dtype, count=40)]


def transpose_conv(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    size, stride = int(rng.integers(3, 6)), int(rng.integers(1, 4))
    kernel = int(rng.integers(stride, 5))
    padding = int(rng.choice([SAME, VALID]))
    out = size * stride if padding == SAME else (size - 1) * stride + kernel
    channels, filters = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    sx, sw = (
        scale(rng, dtype=dtype),
        np.array([scale(rng, 0.001, 0.05) for _ in range(filters)], np.float32),
    )
    sy = float(np.float32(sx * sw.mean() * 100 * kernel * rng.uniform(0.5, 2)))
    shape = (filters, kernel, kernel, channels)
    x = w.tensor((1, size, size, channels), dtype, sx, zero(rng, dtype))
    weight = w.tensor(shape, "int8", sw, 0, rng.integers(-127, 128, shape))
    bias = w.tensor(
        (filters,), wide_bias(dtype), sx * sw, 0, rng.integers(-4000, 4000, filters) * gain(dtype)
    )
    y = w.tensor((1, out, out, filters), dtype, sy, zero(rng, dtype))
    w.operator(
        "TRANSPOSE_CONV",
        [w.ints([1, out, out, filters]), weight, x, bias],
        [y],
        padding=padding,
        strideH=stride,
        strideW=stride,
        fusedActivationFunction=activation(rng),
    )
    return w.model([x], [y]), [codes(rng, (1, size, size, channels), dtype)]


def pair(name: str, constant: str = "", dtype: str = "int8") -> Callable[[Rng], Case]:
    def draw(rng: Rng) -> Case:
        w = Written()
        shape = (1, 5, 4, 3)
        sx, sy = scale(rng, dtype=dtype), scale(rng, dtype=dtype)
        sz = max(sx, sy) * rng.uniform(0.5, 3) if name != "MUL" else sx * sy * rng.uniform(20, 200)
        if name == "MUL":
            sz *= gain(dtype)
        x = w.tensor(shape, dtype, sx, zero(rng, dtype))
        other = {"": shape, "scalar": (), "channels": (3,)}[constant]
        data = None if constant == "" else codes(rng, (1, *other), dtype, 1)[0]
        y = w.tensor(other, dtype, sy, zero(rng, dtype), data)
        z = w.tensor(shape, dtype, sz, zero(rng, dtype))
        operands = [x, y] if constant == "" or rng.random() < 0.7 else [y, x]
        w.operator(name, operands, [z], fusedActivationFunction=activation(rng))
        if constant:
            return w.model([x], [z]), [codes(rng, shape, dtype, count=30)]
        return w.model([x, y], [z]), [
            codes(rng, shape, dtype, count=60),
            codes(rng, shape, dtype, count=60),
        ]

    return draw


def gate(rng: Rng, dtype: str = "int8") -> Case:
    """A product with a channel's factor, as in squeeze and excitation."""
    w = Written()
    x = w.tensor((1, 5, 4, 3), dtype, scale(rng, dtype=dtype), zero(rng, dtype))
    sizes = (1 / 256, -128) if dtype == "int8" else (1 / 32768, 0)
    y = w.tensor((1, 1, 1, 3), dtype, *sizes)
    z = w.tensor((1, 5, 4, 3), dtype, scale(rng, dtype=dtype), zero(rng, dtype))
    w.operator("MUL", [x, y], [z])
    return w.model([x, y], [z]), [codes(rng, (1, 5, 4, 3), dtype), codes(rng, (1, 1, 1, 3), dtype)]


def pool(name: str, dtype: str = "int8") -> Callable[[Rng], Case]:
    def draw(rng: Rng) -> Case:
        w = Written()
        size, kernel, stride = (
            int(rng.integers(4, 9)),
            int(rng.integers(1, 5)),
            int(rng.integers(1, 4)),
        )
        padding = int(rng.choice([SAME, VALID]))
        out = -(-size // stride) if padding == SAME else (size - kernel) // stride + 1
        s, z = scale(rng, dtype=dtype), zero(rng, dtype)
        x = w.tensor((1, size, size, 3), dtype, s, z)
        y = w.tensor((1, out, out, 3), dtype, s, z)
        w.operator(
            name,
            [x],
            [y],
            padding=padding,
            strideH=stride,
            strideW=stride,
            filterHeight=kernel,
            filterWidth=kernel,
            fusedActivationFunction=activation(rng),
        )
        return w.model([x], [y]), [codes(rng, (1, size, size, 3), dtype)]

    return draw


def mean(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    shape = (1, int(rng.integers(1, 9)), int(rng.integers(1, 9)), 3)
    axes = [[1, 2], [1], [2], [3], [1, 2, 3]][int(rng.integers(0, 5))]
    keep = len(axes) == 3 or bool(rng.random() < 0.5)
    same = rng.random() < 0.5
    sx, zx = scale(rng, dtype=dtype), zero(rng, dtype)
    x = w.tensor(shape, dtype, sx, zx)
    out = tuple(1 if a in axes else s for a, s in enumerate(shape) if keep or a not in axes)
    y = w.tensor(
        out, dtype, *((sx, zx) if same else (sx * rng.uniform(0.3, 1.5), zero(rng, dtype)))
    )
    w.operator("MEAN", [x, w.ints(axes)], [y], keepDims=keep)
    return w.model([x], [y]), [codes(rng, shape, dtype, count=20)]


def unary(
    name: str, out: tuple[float, int] | None = None, dtype: str = "int8", **options: Any
) -> Callable[[Rng], Case]:
    def draw(rng: Rng) -> Case:
        w = Written()
        wide = dtype == "int16"
        sx = scale(rng, 2e-5, 5e-4) if wide else scale(rng, 0.005, 0.2)
        given = out or (sx * rng.uniform(0.5, 3), 0 if wide else zero(rng))
        every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
        x = w.tensor((1, every.size), dtype, sx, 0 if wide else zero(rng))
        y = w.tensor((1, every.size), dtype, *given)
        drawn = {
            key: float(np.float32(value(rng))) if callable(value) else value
            for key, value in options.items()
        }
        w.operator(name, [x], [y], **drawn)
        return w.model([x], [y]), [every[None]]

    return draw


def softmax(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    length = int(rng.integers(2, 40))
    steps, ends = (scale(rng, 0.01, 0.5), (1 / 256, -128))
    if dtype == "int16":
        steps, ends = scale(rng, 2e-5, 2e-3), (1 / 32768, 0)
    x = w.tensor((1, length), dtype, steps, zero(rng, dtype))
    y = w.tensor((1, length), dtype, *ends)
    w.operator("SOFTMAX", [x], [y], beta=1.0)
    return w.model([x], [y]), [codes(rng, (1, length), dtype, count=100)]


def prelu(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    x = w.tensor((1, 3, 4, 5), dtype, scale(rng, dtype=dtype), zero(rng, dtype))
    alpha = w.tensor((1, 1, 5), "int8", 0.01, 0, rng.integers(0, 128, (1, 1, 5)))
    y = w.tensor((1, 3, 4, 5), dtype, scale(rng, dtype=dtype), zero(rng, dtype))
    w.operator("PRELU", [x, alpha], [y])
    return w.model([x], [y]), [codes(rng, (1, 3, 4, 5), dtype, count=30)]


def concatenation(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    axis = int(rng.choice([1, 2, 3, -1]))
    shapes = [
        tuple(int(rng.integers(1, 4)) if a == axis % 4 else s for a, s in enumerate((1, 3, 4, 2)))
        for _ in range(3)
    ]
    s, z = scale(rng, dtype=dtype), zero(rng, dtype)
    parts = [w.tensor(shape, dtype, s, z) for shape in shapes]
    total = sum(shape[axis] for shape in shapes)
    y = w.tensor(tuple(total if a == axis % 4 else d for a, d in enumerate(shapes[0])), dtype, s, z)
    w.operator("CONCATENATION", parts, [y], axis=axis)
    return w.model(parts, [y]), [codes(rng, shape, dtype) for shape in shapes]


def moved(
    name: str,
    shape: tuple[int, ...],
    result: tuple[int, ...],
    *operands: Any,
    dtype: str = "int8",
    **options: Any,
) -> Callable[[Rng], Case]:
    """An operator that moves codes of ``shape`` to ``result``; ``operands`` are lists of int32."""

    def draw(rng: Rng) -> Case:
        w = Written()
        s, z = scale(rng, dtype=dtype), zero(rng, dtype)
        x = w.tensor(shape, dtype, s, z)
        y = w.tensor(result, dtype, s, z)
        w.operator(name, [x, *map(w.ints, operands)], [y], **options)
        return w.model([x], [y]), [codes(rng, shape, dtype)]

    return draw


def pad_with(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    s, z = scale(rng, dtype=dtype), zero(rng, dtype)
    x = w.tensor((1, 2, 3, 4), dtype, s, z)
    y = w.tensor((1, 5, 4, 5), dtype, s, z)
    value = w.tensor((1,), dtype, s, z, [int(rng.integers(-128, 128))])
    w.operator("PADV2", [x, w.ints([[0, 0], [1, 2], [0, 1], [1, 0]]), value], [y])
    return w.model([x], [y]), [codes(rng, (1, 2, 3, 4), dtype)]


def split(rng: Rng, dtype: str = "int8") -> Case:
    w = Written()
    s, z = scale(rng, dtype=dtype), zero(rng, dtype)
    axis = int(rng.choice([1, 2, 3, -1]))
    x = w.tensor((1, 4, 6, 2), dtype, s, z)
    part = tuple(d // 2 if a == axis % 4 else d for a, d in enumerate((1, 4, 6, 2)))
    parts = [w.tensor(part, dtype, s, z) for _ in range(2)]
    w.operator("SPLIT", [w.ints(axis), x], parts, numSplits=2)
    return w.model([x], parts), [codes(rng, (1, 4, 6, 2), dtype)]


def resize(name: str, dtype: str = "int8") -> Callable[[Rng], Case]:
    def draw(rng: Rng) -> Case:
        w = Written()
        s, z = scale(rng, dtype=dtype), zero(rng, dtype)
        shape = (1, int(rng.integers(2, 7)), int(rng.integers(2, 7)), 3)
        new = [int(rng.integers(1, 13)), int(rng.integers(1, 13))]
        corners = bool(rng.random() < 0.3)
        half = not corners and bool(rng.random() < 0.5)
        x = w.tensor(shape, dtype, s, z)
        y = w.tensor((1, *new, 3), dtype, s, z)
        w.operator(name, [x, w.ints(new)], [y], alignCorners=corners, halfPixelCenters=half)
        return w.model([x], [y]), [codes(rng, shape, dtype)]

    return draw


CASES: dict[str, Callable[[Rng], Case]] = {
    "conv": conv,
    "depthwise": lambda rng: conv(rng, depthwise=True),
    "fully_connected": fully_connected,
    "transpose_conv": transpose_conv,
    "add": pair("ADD"),
    "sub": pair("SUB"),
    "mul": pair("MUL"),
    "add_scalar": pair("ADD", "scalar"),
    "sub_channels": pair("SUB", "channels"),
    "add_channels": pair("ADD", "channels"),
    "mul_channels": pair("MUL", "channels"),
    "mul_scalar": pair("MUL", "scalar"),
    "gate": gate,
    "max_pool": pool("MAX_POOL_2D"),
    "average_pool": pool("AVERAGE_POOL_2D"),
    "mean": mean,
    "logistic": unary("LOGISTIC", (1 / 256, -128)),
    "tanh": unary("TANH", (1 / 128, 0)),
    "hard_swish": unary("HARD_SWISH"),
    "leaky_relu": unary("LEAKY_RELU", alpha=lambda rng: rng.uniform(0.01, 0.5)),
    "relu": unary("RELU"),
    "relu6": unary("RELU6"),
    "relu_n1_to_1": unary("RELU_N1_TO_1"),
    "relu_0_to_1": unary("RELU_0_TO_1"),
    "requantize": unary("QUANTIZE"),
    "softmax": softmax,
    "prelu": prelu,
    "concatenation": concatenation,
    "reshape": moved("RESHAPE", (1, 2, 3, 4), (1, 6, 4), [1, 6, 4]),
    "flatten": moved("RESHAPE", (1, 2, 3, 4), (1, 24), [-1, 24]),
    "unflatten": moved("RESHAPE", (1, 24), (1, 2, 3, 4), [1, 2, 3, 4]),
    "squeeze": moved("SQUEEZE", (1, 1, 3, 4), (1, 3, 4), squeezeDims=np.array([1], np.int32)),
    "expand_dims": moved("EXPAND_DIMS", (1, 3, 4), (1, 3, 1, 4), [2]),
    "transpose": moved("TRANSPOSE", (1, 2, 3, 4), (1, 4, 2, 3), [0, 3, 1, 2]),
    "pad": moved("PAD", (1, 2, 3, 4), (1, 3, 6, 4), [[0, 0], [1, 0], [1, 2], [0, 0]]),
    "pad_with": pad_with,
    "slice": moved("SLICE", (1, 5, 6, 4), (1, 3, 5, 2), [0, 1, 1, 2], [1, 3, -1, 2]),
    "strided_slice": moved(
        "STRIDED_SLICE",
        (1, 5, 6, 4),
        (1, 2, 4, 4),
        [0, 1, -5, 0],
        [1, 5, 5, 4],
        [1, 2, 1, 1],
        beginMask=9,
        endMask=9,
    ),
    "shrinking_slice": moved(
        "STRIDED_SLICE",
        (1, 5, 6, 4),
        (1, 6, 4),
        [0, 2, 0, 0],
        [1, 3, 6, 4],
        [1, 1, 1, 1],
        beginMask=13,
        endMask=13,
        shrinkAxisMask=2,
    ),
    "split": split,
    "nearest": resize("RESIZE_NEAREST_NEIGHBOR"),
    "bilinear": resize("RESIZE_BILINEAR"),
}
