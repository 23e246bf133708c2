"""Emitting resizing: nearest neighbors as slices, all else as a constant matrix along each axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .layout import transpose
from .linear import dense
from .pick import pick
from .resize_rule import WHOLE, Axis, Rule, nearest_places, shares
from .site import Constant, Site, charge


def resize(site: Site, x: str, axes: Mapping[int, Axis], rule: Rule) -> str:
    """x resized along ``axes``, counted from the batch."""
    changed = [axis for axis, each in axes.items() if not _keeps(each)]
    for axis in changed:
        inner = site if axis == changed[-1] else site.step(f"axis{axis}")
        if rule.mode == "nearest":
            x = pick(inner, x, axis, nearest_places(axes[axis], rule))
        else:
            x = _mix(inner, x, axis, axes[axis], rule)
    return x


def _keeps(axis: Axis) -> bool:
    return axis.size == axis.result and axis.factor == 1 and axis.crop == WHOLE


def _mix(site: Site, x: str, axis: int, along: Axis, rule: Rule) -> str:
    charge(site, along.size * along.result)
    matrix, constant = shares(along, rule)
    name = f"{site.name}.shares"
    bias = Constant(f"{name}.outside", constant.astype(np.float32)) if constant.any() else None
    rank = len(site.type_of(x).shape)
    order = (*(each for each in range(rank) if each != axis), axis)
    moved = transpose(site.step("in"), x, order)
    mixed = dense(site.step("mixed"), moved, Constant(name, matrix.astype(np.float32)), bias)
    return transpose(site, mixed, tuple(order.index(each) for each in range(rank)))
