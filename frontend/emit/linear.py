"""Emitting what multiplies and adds: conv, dense, batch normalization."""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense
from ...ir.ops_pointwise import Affine
from .site import Constant, Site, derive, rearrange, weight
from .window import Window, over_2d


def conv(
    site: Site, x: str, kernel: Constant, bias: Constant | None, window: Window, groups: int
) -> str:
    """Convolution of ``(n, c, h, w)``, or of ``(n, c, l)`` as height 1.

    ``kernel`` is ``(co, c / groups, kh, kw)`` or ``(co, c / groups, k)``, ``bias`` ``(co,)``.
    """
    if kernel.array.ndim == 3:
        kernel = rearrange(site, kernel, "2d", lambda array: array[:, :, None, :])
    plane = window.planar()
    op = Conv(plane.strides, plane.pads, plane.dilations, groups)
    parameters = _add_parameters(site, kernel, bias)
    return over_2d(site, x, lambda inner, image: inner.emit(op, image, *parameters))


def dense(site: Site, x: str, matrix: Constant, bias: Constant | None) -> str:
    """``x @ matrix.T + bias`` for x ``(n, ..., k)``, matrix ``(co, k)`` and bias ``(co,)``."""
    return site.emit(Dense(), x, *_add_parameters(site, matrix, bias))


def _add_parameters(site: Site, kernel: Constant, bias: Constant | None) -> tuple[str, ...]:
    present = (kernel,) if bias is None else (kernel, bias)
    return tuple(site.constant(parameter) for parameter in present)


def gemm(
    site: Site, x: str, matrix: Constant, bias: Constant | None, alpha: float, beta: float
) -> str:
    """``alpha * x @ matrix.T + beta * bias``; the bias must be the same for all samples."""
    matrix = _scaled(site, matrix, alpha)
    if bias is not None:
        bias = _row(site, _scaled(site, bias, beta), matrix.array.shape[0])
    return dense(site, x, matrix, bias)


def transposed(site: Site, matrix: Constant) -> Constant:
    """The matrix ``(k, co)`` as ``(co, k)``."""
    if matrix.array.ndim != 2:
        raise site.fail(
            f"The weight '{matrix.name}' has the shape {matrix.array.shape}.",
            "Only matrices are supported.",
        )
    return rearrange(site, matrix, "T", np.transpose)


def _scaled(site: Site, constant: Constant, factor: float) -> Constant:
    if factor == 1:
        return constant
    return derive(site, constant, f"times_{factor:g}", lambda array: array * np.float64(factor))


def _row(site: Site, bias: Constant, length: int) -> Constant:
    """A bias that broadcasts over ``(n, length)`` as ``(length,)``."""
    shape = (1,) * (2 - bias.array.ndim) + bias.array.shape
    fits = len(shape) == 2 and shape[0] in (1, site.draft.batch) and shape[1] in (1, length)
    rows = bias.array.reshape(shape) if fits else bias.array
    if not fits or np.any(rows != rows[:1]):
        raise site.fail(
            f"The bias '{bias.name}' of shape {bias.array.shape} is not one number per output.",
            f"It must be a scalar or have {length} elements.",
        )
    if bias.array.shape == (length,):
        return bias
    return derive(site, bias, "row", lambda array: np.broadcast_to(rows[0], (length,)))


def batch_norm(
    site: Site,
    x: str,
    gamma: Constant,
    beta: Constant,
    mean: Constant,
    variance: Constant,
    epsilon: float,
) -> str:
    """Inference of batch normalization over axis 1: computed in float64, rounded once."""
    wide = [_wide(site, each) for each in (gamma, beta, mean, variance)]
    if len({each.shape for each in wide}) > 1:
        raise site.fail(
            f"Its parameters have the shapes {', '.join(str(each.shape) for each in wide)}.",
            "Scale, bias, mean and variance must be equally long.",
        )
    if np.any(wide[3] + epsilon <= 0):
        raise site.fail(
            f"Variance '{variance.name}' plus epsilon {epsilon:g} is not positive everywhere.",
            "Repair the running statistics of the layer.",
        )
    factor = wide[0] / np.sqrt(wide[3] + epsilon)
    scale = Constant(f"{gamma.name}.scale", factor)
    shift = Constant(f"{beta.name}.shift", wide[1] - wide[2] * factor)
    return affine(site, x, scale, shift)


def _wide(site: Site, constant: Constant) -> Array:
    return weight(site, constant).array.astype(np.float64)


def affine(site: Site, x: str, scale: Constant, shift: Constant) -> str:
    """``scale * x + shift`` with scalars or one number per channel (axis 1)."""
    return site.emit(Affine(), x, site.constant(scale), site.constant(shift))
