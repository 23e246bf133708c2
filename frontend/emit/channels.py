"""Constants that broadcast over an activation, and ops whose parameters run along any axes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ...errors import ImportModelError
from ...ir.numeric import Array, narrowest
from ...ir.ops_layout import Ints
from ...ir.ops_pointwise import channel_shape
from .layout import reshape, swap, transpose
from .pick import broadcast
from .site import Coded, Constant, Site, weight


def along(site: Site, x: str, constant: Constant) -> tuple[str, Array, Ints]:
    """The axes of x along which a broadcast constant varies: x, values ``(elements,)``, the axes.

    Values ``()`` and no axes when it does not vary at all. x is repeated where the constant is
    greater, which needs a source without a batch.
    """
    x, places, axes = _places(site, x, constant)
    return x, weight(site, constant).array.reshape(-1)[places], axes


def exact_along(site: Site, x: str, constant: Constant) -> tuple[str, Constant, Ints]:
    """``along`` with the values as a constant, which stays codes if it is."""
    x, places, axes = _places(site, x, constant)
    coded = constant.coded
    if coded is None:
        values = weight(site, constant).array.reshape(-1)
        return x, Constant(constant.name, values[places]), axes
    scale, zero = (
        np.broadcast_to(
            channel_shape(each, coded.codes.ndim, coded.axis), coded.codes.shape
        ).reshape(-1)[places]
        if each.size > 1
        else each.reshape(())
        for each in (coded.scale, coded.zero_point)
    )
    kept = Coded(coded.codes.reshape(-1)[places], coded.dtype, scale, zero)
    return x, Constant.of_codes(constant.name, kept), axes


def negated(constant: Constant) -> Constant:
    """The constant with the other sign."""
    name, coded = f"{constant.name}.negated", constant.coded
    if coded is None:
        return Constant(name, -constant.array)
    codes, zero = (-each.astype(np.int64) for each in (coded.codes, coded.zero_point))
    dtype = narrowest(-coded.dtype.hi, -coded.dtype.lo)
    return Constant.of_codes(name, Coded(codes, dtype, coded.scale, zero))


def _places(site: Site, x: str, constant: Constant) -> tuple[str, Array, Ints]:
    """``along`` with the places of the values in the flat constant."""
    values = weight(site, constant).array
    if not site.draft.batched:
        values = values[None]
        x = _grown(site, x, constant, values)
    shape = site.type_of(x).shape
    values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    limits = (site.draft.batch or 1, *site.type_of(x).sample_shape)
    if values.ndim > len(shape) or any(
        size not in (1, limit) for size, limit in zip(values.shape, limits, strict=True)
    ):
        raise _misfit(site, x, constant, "does not fit")
    varying = [a for a in range(values.ndim) if np.any(values != values.take([0], axis=a))]
    if 0 in varying:
        raise _misfit(site, x, constant, "varies along the batch of")
    every = np.arange(values.size).reshape(values.shape)
    kept = every[tuple(slice(None) if a in varying else 0 for a in range(values.ndim))]
    return x, kept.reshape(-1) if varying else np.asarray(kept), tuple(varying)


def _grown(site: Site, x: str, constant: Constant, values: Array) -> str:
    """x repeated to what it and values ``(1, ...)`` broadcast to."""
    try:
        sizes = np.broadcast_shapes(site.type_of(x).sample_shape, values.shape[1:])
    except ValueError as error:
        raise _misfit(site, x, constant, "does not fit") from error
    return broadcast(site, x, sizes)


def _misfit(site: Site, x: str, constant: Constant, verb: str) -> ImportModelError:
    return site.fail(
        f"The constant '{constant.name}' of shape {constant.array.shape} {verb} {site.type_of(x)}.",
        "A constant may vary along all axes but the batch.",
    )


def over_channels(site: Site, x: str, axes: Ints, apply: Callable[[Site, str], str]) -> str:
    """``apply`` to x with ``axes`` merged into axis 1, in their order; the shape is x's again."""
    if axes in ((), (1,)):
        return apply(site, x)
    if len(axes) == 1:
        inner = apply(site.step("inner"), swap(site.step("in"), x, axes[0]))
        return swap(site, inner, axes[0])
    sizes = site.type_of(x).sample_shape
    rest = [axis for axis in range(1, len(sizes) + 1) if axis not in axes]
    order = (0, *axes, *rest)
    front = transpose(site.step("front"), x, order)
    moved = site.type_of(front).sample_shape
    flat = (prod(moved[: len(axes)]), *moved[len(axes) :])
    made = apply(site.step("inner"), reshape(site.step("in"), front, flat))
    back = reshape(site.step("back"), made, moved)
    return transpose(site, back, tuple(order.index(axis) for axis in range(len(order))))
