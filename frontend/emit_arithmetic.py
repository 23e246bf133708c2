"""Emitting sums, differences, products and quotients of two operands, and other pointwise ops."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import ImportModelError
from ..ir.numeric import Array
from ..ir.ops_linear import Dense
from ..ir.ops_pointwise import Add, Clip, Relu, Unary
from .emit import Constant, Operand, Site, weight
from .emit_layout import swap
from .emit_linear import affine
from .emit_product import multiply

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
    if operator in ("add", "sub"):
        return _add(site, left, right, 1 if operator == "add" else -1)
    for x, gate in ((left, right), (right, left)):
        function = _gated(site, x, gate) if operator == "mul" else ""
        if function:
            return site.emit(Unary(function), x)
    if operator == "mul":
        return multiply(site, left, right)
    raise site.fail(
        f"It {_VERBS[operator]} two activations, '{left}' and '{right}'.",
        "Only division by constants is supported.",
    )


def _add(site: Site, left: str, right: str, sign: int) -> str:
    types = site.type_of(left), site.type_of(right)
    if types[0].shape != types[1].shape:
        raise site.fail(
            f"It broadcasts {types[0]} and {types[1]}.",
            "Two activations can be combined only when their shapes are equal.",
        )
    return site.emit(Add((1, sign)), left, right)


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
    values, axis = along(site, x, constant)
    return _affine_along(site, x, number(-1.0), Constant(constant.name, values), axis)


def _with_constant(site: Site, operator: Arithmetic, x: str, constant: Constant) -> str:
    values, axis = along(site, x, constant)
    if operator == "add":
        return _affine_along(site, x, number(1.0), Constant(constant.name, values), axis)
    if operator == "sub":
        negated = Constant(f"{constant.name}.negated", -values)
        return _affine_along(site, x, number(1.0), negated, axis)
    if operator == "mul":
        return _affine_along(site, x, Constant(constant.name, values), number(0.0), axis)
    if np.any(values == 0):
        raise site.fail(f"It divides by '{constant.name}', which holds zeros.", "Repair the model.")
    inverse = Constant(f"{constant.name}.inverse", 1 / values.astype(np.float64))
    return _affine_along(site, x, inverse, number(0.0), axis)


def along(site: Site, x: str, constant: Constant) -> tuple[Array, int]:
    """The one axis of x along which a broadcast constant varies: values ``(size,)`` and the axis.

    Values ``()`` and axis 1 when it does not vary at all.
    """
    shape = site.type_of(x).shape
    values = weight(site, constant).array
    values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    limits = (site.draft.batch or 1, *site.type_of(x).sample_shape)
    if values.ndim > len(shape) or any(
        size not in (1, limit) for size, limit in zip(values.shape, limits, strict=True)
    ):
        raise _misfit(site, x, constant, "does not fit")
    varying = [a for a in range(values.ndim) if np.any(values != values.take([0], axis=a))]
    if varying == [0] or len(varying) > 1:
        several = "the batch" if varying == [0] else "more than one axis"
        raise _misfit(site, x, constant, f"varies along {several} of")
    if not varying:
        return values.reshape(-1)[0].reshape(()), 1
    axis = varying[0]
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)[:, 0], axis


def _misfit(site: Site, x: str, constant: Constant, verb: str) -> ImportModelError:
    return site.fail(
        f"The constant '{constant.name}' of shape {constant.array.shape} {verb} {site.type_of(x)}.",
        "Supported are scalars and constants that vary along one axis after the batch.",
    )


def _affine_along(site: Site, x: str, scale: Constant, shift: Constant, axis: int) -> str:
    """Affine whose parameters run along ``axis``: as a bias of a dense layer, or by transposing."""
    if axis == 1:
        return affine(site, x, scale, shift)
    rank = len(site.type_of(x).shape)
    node = site.producer(x)
    unbiased = node is not None and isinstance(node.op, Dense) and len(node.inputs) == 2
    if node is not None and unbiased and axis == rank - 1 and np.all(scale.array == 1):
        return site.emit(Dense(), *node.inputs, site.constant(shift))
    inner = affine(site.step("affine"), swap(site.step("in"), x, axis), scale, shift)
    return swap(site, inner, axis)
