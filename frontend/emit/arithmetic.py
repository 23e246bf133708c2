"""Emitting sums, differences, products and quotients of two operands, and other pointwise ops."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...ir.ops_layout import Ints
from ...ir.ops_linear import Dense
from ...ir.ops_pointwise import Add, Clip, Relu, Unary
from .channels import exact_along, negated, over_channels
from .layout import reshape
from .linear import affine
from .pick import broadcast
from .product import multiply
from .site import Constant, Operand, Site

Arithmetic = Literal["add", "sub", "mul", "div"]
LARGEST = float(np.finfo(np.float32).max)
_VERBS = {"add": "adds", "sub": "subtracts", "mul": "multiplies", "div": "divides"}


def clip(site: Site, x: str, lo: float | None, hi: float | None) -> str:
    """``min(max(x, lo), hi)``; a bound that is missing or infinite does not bind."""
    least = -LARGEST if lo is None else max(float(np.float32(lo)), -LARGEST)
    greatest = LARGEST if hi is None else min(float(np.float32(hi)), LARGEST)
    if np.isnan(least) or np.isnan(greatest):
        raise site.fail("A bound is not a number.", "Give finite bounds, or leave them out.")
    if (least, greatest) == (0.0, LARGEST):
        return site.emit(Relu(), x)
    return site.emit(Clip(least, greatest), x)


def hard_sigmoid(site: Site, x: str, alpha: float, beta: float) -> str:
    """``max(0, min(1, alpha * x + beta))``."""
    if beta == 0.5:
        return site.emit(Unary("hard_sigmoid", alpha), x)
    line = affine(site.step("line"), x, number(alpha), number(beta))
    return clip(site, line, 0.0, 1.0)


def number(value: float) -> Constant:
    """A scalar constant; equal numbers become one constant of the graph."""
    return Constant(f"scalar_{value:g}", np.asarray(value, dtype=np.float32))


def combine(site: Site, operator: Arithmetic, left: Operand, right: Operand) -> str:
    """Arithmetic of two activations or of an activation and a constant, as add, affine or unary."""
    if isinstance(left, str):
        if isinstance(right, str):
            return _activations(site, operator, left, right)
        return _with_constant(site, operator, left, right)
    return _constant_first(site, operator, left, site.need_activation(right))


def _activations(site: Site, operator: Arithmetic, left: str, right: str) -> str:
    for x, gate in ((left, right), (right, left)):
        function = _gated(site, x, gate) if operator == "mul" else ""
        if function:
            return site.emit(Unary(function), x)
    if operator == "div":
        raise site.fail(
            f"It {_VERBS[operator]} two activations, '{left}' and '{right}'.",
            "Only division by constants is supported.",
        )
    left, right, sizes = _aligned(site, left, right)
    if operator == "mul":
        if site.type_of(left).sample_shape != sizes != site.type_of(right).sample_shape:
            left = broadcast(site.step("left"), left, sizes)
        return multiply(site, left, right)
    left, right = (
        broadcast(site.step(side), each, sizes) for side, each in (("left", left), ("right", right))
    )
    return site.emit(Add((1, 1 if operator == "add" else -1)), left, right)


def _aligned(site: Site, left: str, right: str) -> tuple[str, str, Ints]:
    """Both operands with equally many axes, and the sample shape to which they broadcast."""
    shapes = [site.type_of(each).sample_shape for each in (left, right)]
    rank = max(map(len, shapes))
    if site.draft.batched and len(shapes[0]) != len(shapes[1]):
        types = " and ".join(str(site.type_of(each)) for each in (left, right))
        raise site.fail(
            f"It broadcasts {types}: the batch of one meets another axis of the other.",
            "Insert axes of size 1 after the batch.",
        )
    full = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    if any(a != b and 1 not in (a, b) for a, b in zip(*full, strict=True)):
        types = " and ".join(str(site.type_of(each)) for each in (left, right))
        raise site.fail(
            f"It combines {types}.", "Sizes of an axis must be equal, or one of them 1."
        )
    names = (
        reshape(site.step(side), each, shape)
        for side, each, shape in zip(("left", "right"), (left, right), full, strict=True)
    )
    return (*names, tuple(map(max, *full)))  # type: ignore[return-value]


def _gated(site: Site, x: str, gate: str) -> str:
    """The function of x that ``x * gate`` is, when gate is a sigmoid of x; else ''."""
    node = site.producer(gate)
    if node is None or node.inputs != (x,) or not isinstance(node.op, Unary):
        return ""
    if node.op.function == "hard_sigmoid" and np.float32(node.op.alpha) != np.float32(1 / 6):
        return ""
    return {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}.get(node.op.function, "")


def _constant_first(site: Site, operator: Arithmetic, constant: Constant, x: str) -> str:
    if operator == "div":
        raise site.fail(
            f"It divides the constant '{constant.name}' by the activation '{x}'.",
            "Only division by constants is supported.",
        )
    if operator != "sub":
        return _with_constant(site, operator, x, constant)
    x, values, axes = exact_along(site, x, constant)
    return _affine_along(site, x, number(-1.0), values, axes)


def _with_constant(site: Site, operator: Arithmetic, x: str, constant: Constant) -> str:
    x, values, axes = exact_along(site, x, constant)
    if operator in ("add", "sub"):
        shift = values if operator == "add" else negated(values)
        return _affine_along(site, x, number(1.0), shift, axes)
    if operator == "mul":
        return _affine_along(site, x, values, number(0.0), axes)
    if np.any(values.array == 0):
        raise site.fail(f"It divides by '{constant.name}', which holds zeros.", "Repair the model.")
    inverse = Constant(f"{constant.name}.inverse", 1 / values.array.astype(np.float64))
    return _affine_along(site, x, inverse, number(0.0), axes)


def _affine_along(site: Site, x: str, scale: Constant, shift: Constant, axes: Ints) -> str:
    """Affine whose parameters run along ``axes``: as a bias of a dense layer, or by moving them."""
    if axes in ((), (1,)):
        return affine(site, x, scale, shift)
    rank = len(site.type_of(x).shape)
    node = site.producer(x)
    unbiased = node is not None and isinstance(node.op, Dense) and len(node.inputs) == 2
    if node is not None and unbiased and axes == (rank - 1,) and np.all(scale.array == 1):
        return site.emit(Dense(), *node.inputs, site.constant(shift))
    return over_channels(site, x, axes, lambda inner, flat: affine(inner, flat, scale, shift))
