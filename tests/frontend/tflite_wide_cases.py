"""Models of one operator each with 16-bit activations, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .tflite_cases import (
    Case,
    Rng,
    activation,
    codes,
    concatenation,
    conv,
    fully_connected,
    gate,
    mean,
    moved,
    pad_with,
    pair,
    pool,
    prelu,
    resize,
    softmax,
    split,
    transpose_conv,
    unary,
)
from .tflite_models import Written

WIDE = "int16"
SHARES = (2.0**-15, 0)


def powers(name: str, other: tuple[int, ...] | None = None) -> Callable[[Rng], Case]:
    """A sum whose scales are powers of two, which is shifted; ``other`` is a constant's shape."""

    def draw(rng: Rng) -> Case:
        w = Written()
        shape, last, apart = (1, 5, 4, 3), int(rng.integers(-14, -8)), int(rng.integers(0, 6))
        ends = (last, last - apart) if rng.random() < 0.5 else (last - apart, last)
        data = None if other is None else codes(rng, (1, *other), WIDE, 1)[0]
        x = w.tensor(shape, WIDE, 2.0 ** ends[0])
        y = w.tensor(shape if other is None else other, WIDE, 2.0 ** ends[1], 0, data)
        z = w.tensor(shape, WIDE, 2.0**last)
        w.operator(name, [x, y], [z], potScaleInt16=True, fusedActivationFunction=activation(rng))
        inputs = [x, y] if other is None else [x]
        return w.model(inputs, [z]), [codes(rng, shape, WIDE, count=30) for _ in inputs]

    return draw


def few_bits(name: str) -> Callable[[Rng], Case]:
    """A sum whose scales are small multiples of one number: both operands are factors of codes."""

    def draw(rng: Rng) -> Case:
        w, shape = Written(), (1, 5, 4, 3)
        x, y = (w.tensor(shape, WIDE, int(rng.integers(1, 9)) / 4096) for _ in range(2))
        z = w.tensor(shape, WIDE, 0.0021)
        w.operator(name, [x, y], [z])
        return w.model([x, y], [z]), [codes(rng, shape, WIDE, count=30) for _ in range(2)]

    return draw


def square(rng: Rng) -> Case:
    w = Written()
    x = w.tensor((1, 2000), WIDE, 0.001)
    y = w.tensor((1, 2000), WIDE, 0.03)
    w.operator("MUL", [x, x], [y])
    return w.model([x], [y]), [codes(rng, (1, 2000), WIDE, count=2)]


def narrowed(kind: str, source: str, target: str) -> Callable[[Rng], Case]:
    """A change of type and scale, of every code."""

    def draw(rng: Rng) -> Case:
        w = Written()
        info = np.iinfo(source)
        every = np.arange(info.min, info.max + 1).astype(source)
        step = 0.001 * float(rng.uniform(0.5, 2))
        x = w.tensor((1, every.size), source, step if source == WIDE else 256 * step)
        y = w.tensor((1, every.size), target, 0.001 if target == WIDE else 0.25)
        w.operator(kind, [x], [y])
        return w.model([x], [y]), [every[None]]

    return draw


def _options(lo: float, hi: float) -> dict[str, Any]:
    return {"alpha": lambda rng: rng.uniform(lo, hi)}


CASES: dict[str, Callable[[Rng], Case]] = {
    "conv": lambda rng: conv(rng, WIDE),
    "depthwise": lambda rng: conv(rng, WIDE, depthwise=True),
    "fully_connected": lambda rng: fully_connected(rng, WIDE),
    "fully_connected_channels": lambda rng: fully_connected(rng, WIDE, per_channel=True),
    "transpose_conv": lambda rng: transpose_conv(rng, WIDE),
    **{
        f"{name.lower()}{'_' if constant else ''}{constant}": pair(name, constant, WIDE)
        for name in ("ADD", "SUB", "MUL")
        for constant in ("", "scalar", "channels")
    },
    "add_few_bits": few_bits("ADD"),
    "sub_few_bits": few_bits("SUB"),
    "square": square,
    "gate": lambda rng: gate(rng, WIDE),
    "add_powers": powers("ADD"),
    "sub_powers": powers("SUB"),
    "sub_powers_channels": powers("SUB", (3,)),
    "max_pool": pool("MAX_POOL_2D", WIDE),
    "average_pool": pool("AVERAGE_POOL_2D", WIDE),
    "mean": lambda rng: mean(rng, WIDE),
    "logistic": unary("LOGISTIC", SHARES, WIDE),
    "tanh": unary("TANH", SHARES, WIDE),
    "leaky_relu": unary("LEAKY_RELU", dtype=WIDE, **_options(0.01, 0.5)),
    "relu": unary("RELU", dtype=WIDE),
    "relu6": unary("RELU6", dtype=WIDE),
    "requantize": unary("QUANTIZE", dtype=WIDE),
    "to_int8": narrowed("QUANTIZE", WIDE, "int8"),
    "from_int8": narrowed("QUANTIZE", "int8", WIDE),
    "softmax": partial(softmax, dtype=WIDE),
    "prelu": partial(prelu, dtype=WIDE),
    "concatenation": partial(concatenation, dtype=WIDE),
    "reshape": moved("RESHAPE", (1, 2, 3, 4), (1, 6, 4), [1, 6, 4], dtype=WIDE),
    "transpose": moved("TRANSPOSE", (1, 2, 3, 4), (1, 4, 2, 3), [0, 3, 1, 2], dtype=WIDE),
    "pad": moved("PAD", (1, 2, 3, 4), (1, 3, 6, 4), [[0, 0], [1, 0], [1, 2], [0, 0]], dtype=WIDE),
    "pad_with": partial(pad_with, dtype=WIDE),
    "slice": moved("SLICE", (1, 5, 6, 4), (1, 3, 5, 2), [0, 1, 1, 2], [1, 3, -1, 2], dtype=WIDE),
    "split": partial(split, dtype=WIDE),
    "nearest": resize("RESIZE_NEAREST_NEIGHBOR", WIDE),
    "bilinear": resize("RESIZE_BILINEAR", WIDE),
}
