"""Emitting matrix products as sources define them: vectors, stacks of matrices, broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from ...ir.numeric import Array
from ...ir.ops_layout import Concat, Ints
from ...ir.ops_product import MatMul
from .layout import KEEP, cut, reshape, transpose
from .linear import dense, transposed
from .pick import broadcast
from .site import Constant, Operand, Site, rearrange


def matmul(site: Site, left: Operand, right: Operand) -> str:
    """``left @ right`` as numpy has it: of two activations, or of one and a constant."""
    if isinstance(right, Constant):
        return _by_constant(site, site.need_activation(left), right)
    if isinstance(left, Constant):
        return _constant_by(site, left, right)
    return _activations(site, left, right)


def swap_last(site: Site, x: str) -> str:
    """x with its last two axes exchanged."""
    order = list(range(len(site.type_of(x).shape)))
    order[-2:] = order[:-3:-1]
    return transpose(site, x, order)


def _activations(site: Site, left: str, right: str) -> str:
    sizes = [site.type_of(each).sample_shape for each in (left, right)]
    least = 2 if site.draft.batched or 0 in map(len, sizes) else 1
    if min(map(len, sizes)) < least or (site.draft.batched and len(sizes[0]) != len(sizes[1])):
        types = " and ".join(str(site.type_of(each)) for each in (left, right))
        raise site.fail(
            f"It multiplies {types}.",
            "Both must have equally many axes, at least 3 with the batch in front.",
        )
    rows = sizes[0] if len(sizes[0]) > 1 else (1, *sizes[0])
    columns = sizes[1] if len(sizes[1]) > 1 else (*sizes[1], 1)
    rank = max(len(rows), len(columns))
    stacks = [(1,) * (rank - len(each)) + each[:-2] for each in (rows, columns)]
    if any(a != b and 1 not in (a, b) for a, b in zip(*stacks, strict=True)):
        raise site.fail(
            f"It multiplies {site.type_of(left)} and {site.type_of(right)}.",
            "The axes in front of the matrices must be equal, or 1.",
        )
    stack = tuple(map(max, *stacks)) if rank > 2 else ()
    x = broadcast(site.step("left"), reshape(site.step("rows"), left, rows), (*stack, *rows[-2:]))
    y = broadcast(
        site.step("right"), reshape(site.step("columns"), right, columns), (*stack, *columns[-2:])
    )
    return _without_vectors(site, sizes, lambda inner: inner.emit(MatMul(), x, y))


def _without_vectors(site: Site, sizes: list[Ints], product: Callable[[Site], str]) -> str:
    """The product without the axes of size 1 that vectors were given."""
    drop_row, drop_column = len(sizes[0]) == 1, len(sizes[1]) == 1
    if not drop_row and not drop_column:
        return product(site)
    made = product(site.step("product"))
    whole = site.type_of(made).sample_shape
    kept = whole[:-2] + (() if drop_row else whole[-2:-1]) + (() if drop_column else whole[-1:])
    return reshape(site, made, kept)


def _by_constant(site: Site, x: str, matrix: Constant) -> str:
    if matrix.array.ndim == 1:
        row = rearrange(site, matrix, "row", lambda array: array[None, :])
        column = dense(site.step("column"), x, row, None)
        return reshape(site, column, site.type_of(column).sample_shape[:-1])
    if matrix.array.ndim == 2:
        return dense(site, x, transposed(site, matrix), None)
    return _stacked(site, x, matrix, lambda array: np.swapaxes(array, -1, -2))


def _constant_by(site: Site, matrix: Constant, x: str) -> str:
    """``(matrix @ x).T = x.T @ matrix.T``."""
    if matrix.array.ndim == 1:
        matrix = rearrange(site, matrix, "row", lambda array: array[None, :])
        product = _constant_by(site.step("row"), matrix, x)
        sizes = site.type_of(product).sample_shape
        return reshape(site, product, (*sizes[:-2], sizes[-1]))
    if len(site.type_of(x).shape) < 3:
        raise site.fail(
            f"It multiplies '{matrix.name}' of shape {matrix.array.shape} with {site.type_of(x)}.",
            "A constant on the left must be a matrix, and axis 0 of the other operand the batch.",
        )
    columns = swap_last(site.step("columns"), x)
    if matrix.array.ndim == 2:
        return swap_last(site, dense(site.step("rows"), columns, matrix, None))
    return swap_last(site, _stacked(site.step("rows"), columns, matrix, lambda array: array))


def _stacked(site: Site, x: str, matrix: Constant, rows: Callable[[Array], Array]) -> str:
    """x ``(n, ..., m, k)`` by a stack of matrices, one dense layer for each.

    ``rows`` makes ``(..., co, k)`` of the stack.
    """
    whole = rows(matrix.array).shape
    own = site.type_of(x).sample_shape
    front = _front(site, x, matrix)
    stack = np.broadcast_shapes(front, own[:-2])
    x = broadcast(site.step("in"), x, (*stack, *own[-2:]))
    each = reshape(site.step("stack"), x, (prod(stack), *own[-2:]))

    def one(array: Array, index: int) -> Array:
        spread = np.broadcast_to(rows(array).reshape(*front, *whole[-2:]), (*stack, *whole[-2:]))
        return spread.reshape(-1, *whole[-2:])[index]

    parts = []
    for index in range(prod(stack)):
        part = cut(site.step(f"in{index}"), each, {1: (index, index + 1, 1)})
        layer = rearrange(site, matrix, str(index), partial(one, index=index))
        parts.append(dense(site.step(f"part{index}"), part, layer, None))
    joined = parts[0] if len(parts) == 1 else site.step("joined").emit(Concat(1), *parts)
    return reshape(site, joined, (*stack, own[-2], whole[-2]))


def _front(site: Site, x: str, matrix: Constant) -> Ints:
    """The axes of the stack in front of its matrices, without one for the batch."""
    front = tuple(matrix.array.shape[:-2])
    rank = len(site.type_of(x).shape) - 2
    if not site.draft.batched or len(front) < rank:
        return front
    if len(front) > rank or front[0] != 1:
        raise site.fail(
            f"The constant '{matrix.name}' of shape {matrix.array.shape} has a matrix for each "
            f"sample of {site.type_of(x)}.",
            KEEP,
        )
    return front[1:]
