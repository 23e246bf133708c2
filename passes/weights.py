"""Codes for weights: symmetric uniform levels, ternary-like two bits and bipolar one bit."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..ir.numeric import BIPOLAR, LEAST_SCALE, Array, NumericType, int_type, short_scale
from ..ir.tensor import Tensor, real

WeightMethod = Literal["mse", "max"]
WEIGHT_METHODS: tuple[WeightMethod, ...] = get_args(WeightMethod)
SHRINKS = np.linspace(1.0, 0.2, 81)


def weight_type(bits: int) -> NumericType:
    """bipolar for one bit, else a signed integer."""
    return BIPOLAR if bits == 1 else int_type(bits)


def weight_scale(weight: Array, bits: int, method: WeightMethod, *, per_channel: bool) -> Array:
    """float32 scales ``(co,)`` or ``(1,)``: the step between codes, always positive.

    ``max`` spans the greatest magnitude; ``mse`` searches the span of least squared error, which is
    none for weights that are multiples of a power of two, as those of averages and of resizing. One
    bit: the mean magnitude, which minimises the squared error of ``scale * sign(w)``, and of
    zeros the least scale, since their codes are +1 too.
    """
    rows = weight.reshape(len(weight) if per_channel else 1, -1).astype(np.float64)
    if bits == 1:
        return short_scale(np.maximum(np.abs(rows).mean(axis=1), LEAST_SCALE))
    top = (1 << (bits - 1)) - 1
    full = np.abs(rows).max(axis=1) / top
    if method == "max":
        return _positive(full)
    errors = [_error(rows, full * shrink, top) for shrink in SHRINKS]
    return _exact(rows, _positive(full * SHRINKS[np.argmin(errors, axis=0)]), top)


def _exact(rows: Array, scale: Array, top: int) -> Array:
    """The least power of two that reaches the greatest weight, where all are its multiples."""
    greatest = np.abs(rows).max(axis=1)
    with np.errstate(divide="ignore"):
        power = 2.0 ** np.ceil(np.log2(greatest / top))
    live = (greatest > 0) & (power > LEAST_SCALE)
    steps = rows / np.where(live, power, 1.0)[:, None]
    fits = live & (steps == np.rint(steps)).all(axis=1) & (np.abs(steps).max(axis=1) <= top)
    return np.where(fits, power, scale).astype(np.float32)


def _error(rows: Array, scale: Array, top: int) -> Array:
    step = _positive(scale)[:, None].astype(np.float64)
    error: Array = ((rows - step * np.clip(np.rint(rows / step), -top, top)) ** 2).sum(axis=1)
    return error


def _positive(scale: Array) -> Array:
    """Short scales, 1 where a channel is all zeros."""
    return short_scale(np.where(scale > 0, scale, 1.0))


def weight_codes(weight: Array, scale: Array, bits: int) -> Tensor:
    """The nearest code of each weight; levels are symmetric, ``-top..top``."""
    steps = weight / scale.astype(np.float64).reshape(-1, *(1,) * (weight.ndim - 1))
    if bits == 1:
        return Tensor(np.where(steps < 0, -1, 1).astype(np.int8), BIPOLAR)
    top = (1 << (bits - 1)) - 1
    dtype = weight_type(bits)
    return Tensor(np.clip(np.rint(steps), -top, top).astype(dtype.container), dtype)


def scale_tensor(scale: Array) -> Tensor:
    """The scale as a constant: a scalar when there is one."""
    return real(scale.reshape(()) if scale.size == 1 else scale)
