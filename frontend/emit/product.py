"""Emitting products of two activations, and softmax."""

from __future__ import annotations

import numpy as np

from ...ir.ops_product import MatMul, Multiply
from ...ir.ops_softmax import Softmax
from .layout import axis_of
from .linear import affine
from .matmul import swap_last
from .site import Constant, Site


def multiply(site: Site, left: str, right: str) -> str:
    """Product of two activations of one rank; where axes differ, one of them must be 1."""
    sizes = tuple(site.type_of(each).elements for each in (left, right))
    x, y = (left, right) if sizes[0] >= sizes[1] else (right, left)
    return site.emit(Multiply(), x, y)


def softmax(site: Site, x: str, axis: int) -> str:
    """Softmax along one axis, counted from the batch; negative ones from the end."""
    place = axis_of(site, axis, len(site.type_of(x).shape))
    return site.emit(Softmax(place), x)


def attention(site: Site, query: str, key: str, value: str, scale: float) -> str:
    """``softmax(scale * query @ key.T) @ value`` for ``(n, ..., tokens, features)``."""
    turned = swap_last(site.step("keys"), key)
    products = site.step("products").emit(MatMul(), query, turned)
    factor, zero = (Constant(f"scalar_{v:g}", np.asarray(v, np.float32)) for v in (scale, 0.0))
    scores = affine(site.step("scores"), products, factor, zero)
    shares = softmax(site.step("softmax"), scores, -1)
    return site.emit(MatMul(), shares, value)
