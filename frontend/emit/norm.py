"""Emitting layer normalization and what it is made of, and the index of the greatest element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_arg import ArgMax
from ...ir.ops_layout import Ints
from ...ir.ops_norm import LayerNorm
from ...ir.ops_pointwise import PRelu, Unary
from .arithmetic import combine, number
from .channels import along, over_channels
from .layout import reshape
from .linear import affine
from .pool import mean
from .site import Constant, Site, weight


def layer_norm(
    site: Site,
    x: str,
    axes: Ints,
    scale: Constant | None,
    shift: Constant | None,
    epsilon: float,
) -> str:
    """Mean 0 and variance 1 over ``axes`` together, counted from the batch, then scale and shift.

    Scale and shift broadcast to the sizes of the axes.
    """
    sizes = tuple(site.type_of(x).sample_shape[axis - 1] for axis in axes)
    parameters = [
        None if each is None else Constant(each.name, _spread(site, each, sizes))
        for each in (scale, shift)
    ]
    bare = parameters == [None, None]
    factor, addend = parameters[0] or number(1.0), parameters[1] or number(0.0)

    def apply(inner: Site, flat: str) -> str:
        core = inner if bare else inner.step("normal")
        normal = core.emit(LayerNorm(1), flat, inner.constant(number(epsilon)))
        return normal if bare else affine(inner, normal, factor, addend)

    return over_channels(site, x, axes, apply)


def _spread(site: Site, constant: Constant, sizes: Ints) -> Array:
    """The elements of a parameter for all elements of the axes, ``(elements,)``."""
    array = weight(site, constant).array
    try:
        return np.broadcast_to(array, sizes).reshape(-1)
    except ValueError as error:
        raise site.fail(
            f"The parameter '{constant.name}' of shape {array.shape} does not fit the sizes "
            f"{sizes}.",
            "It must have the sizes of the axes that are normalized.",
        ) from error


def inverse_deviation(site: Site, x: str, axes: Sequence[int], epsilon: float) -> str:
    """``1 / sqrt(variance + epsilon)`` over ``axes``, which stay with size 1."""
    center = mean(site.step("mean"), x, axes, keepdims=True)
    rest = combine(site.step("centered"), "sub", x, center)
    squares = combine(site.step("squares"), "mul", rest, rest)
    variance = mean(site.step("variance"), squares, axes, keepdims=True)
    return site.emit(Unary("rsqrt", float(np.float32(epsilon))), variance)


def arg_max(site: Site, x: str, axis: int, *, keepdims: bool, last: bool = False) -> str:
    """The index of the first or last greatest element along ``axis``, counted from the batch."""
    kept = site if keepdims else site.step("kept")
    found = kept.emit(ArgMax(axis, int(last)), x)
    if keepdims:
        return found
    sizes = site.type_of(found).sample_shape
    return reshape(site, found, (*sizes[: axis - 1], *sizes[axis:]))


def arg_min(site: Site, x: str, axis: int, *, keepdims: bool, last: bool = False) -> str:
    """The index of the first or last least element: the greatest of the negated."""
    negated = combine(site.step("negated"), "mul", x, number(-1.0))
    return arg_max(site, negated, axis, keepdims=keepdims, last=last)


def prelu(site: Site, x: str, slope: Constant) -> str:
    """``x`` where it is positive, else ``slope * x``; the slope broadcasts to x."""
    x, values, axes = along(site, x, slope)
    parameter = site.constant(Constant(slope.name, values))
    return over_channels(site, x, axes, lambda inner, flat: inner.emit(PRelu(), flat, parameter))
