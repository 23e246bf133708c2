"""hard_swish of TFLite: fixed point of 16 bits (reference/hard_swish.h, activations.cc)."""

from __future__ import annotations

import numpy as np

from ...ir.fixed_point import divide_by_power
from ...ir.numeric import Array
from .arithmetic import Multiplier
from .model import Tensor

_LEAST, _MOST = -(1 << 15), (1 << 15) - 1


def hard_swish(x: Tensor, y: Tensor, codes: Array) -> Array:
    """``x * relu6(x + 3) / 6`` for every code of x; not cut to y's type."""
    fine = np.float32(1 / 128) * x.scale
    out, out_shift = _narrow(float(fine / y.scale))
    relu, relu_shift = _narrow(float(fine / np.float32(3 / 32768)))
    value = (codes - x.zero_point) << 7
    scaled = _rounded_product(value, out)
    gate = value
    if relu_shift > 0:
        gate = _saturated(gate << (relu_shift - 1))
    gate = _rounded_product(gate, relu)
    if relu_shift > 0:
        gate = _saturated(gate << 1)
    if relu_shift < 0:
        gate = divide_by_power(gate, -relu_shift)
    gate = (gate + (1 << 15)) >> 1
    product = gate * scaled
    cut = np.sign(product) * (np.abs(product) >> 15)
    return divide_by_power(cut, -out_shift) + y.zero_point


def _narrow(real: float) -> tuple[int, int]:
    """The multiplier with 15 bits (DownScaleInt32ToInt16Multiplier), and its shift."""
    given = Multiplier.of(real)
    most = (1 << 31) - 1 - (1 << 15)
    factor = 0x7FFF if given.factor >= most else (given.factor + (1 << 15)) >> 16
    return factor, given.shift


def _rounded_product(x: Array, factor: int) -> Array:
    product = x * factor
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.sign(nudged) * (np.abs(nudged) >> 15)


def _saturated(x: Array) -> Array:
    return np.clip(x, _LEAST, _MOST)
