"""onnxruntime's operators on codes that treat every element by itself, and QLinearConcat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.interval import Interval
from ...ir.numeric import Array
from ...ir.ops_layout import Concat, Ints
from ...ir.ops_linear import Conv
from ...ir.ops_product import Multiply
from ...ir.ops_quant import PairLookup
from ...ir.tensor import Tensor
from ..emit.channels import along
from ..emit.layout import axis_of, reshape, swap
from ..emit.pick import broadcast
from ..emit.site import Constant, Site
from . import qarithmetic as arithmetic
from .call import Attribute, Call, Translator
from .qarithmetic import Grid
from .qcodes import (
    codes_of,
    encoding,
    fact,
    grid_of,
    lookup,
    numeric_type,
    threshold,
)


def _qlinear_add(call: Call) -> str:
    """Every pair of codes in a table; with a constant every code."""
    to = grid_of(call, 6, 7)
    if isinstance(call.operand(0), Constant) or isinstance(call.operand(3), Constant):
        return _add_constant(call, to)
    (x, left), (y, right) = codes_of(call, 0, 1, 2), codes_of(call, 3, 4, 5)
    shapes = [call.site.type_of(each).sample_shape for each in (x, y)]
    if len(shapes[0]) != len(shapes[1]):
        raise call.site.fail(
            f"It adds {call.site.type_of(x)} and {call.site.type_of(y)}.",
            "Two activations must have equally many axes: insert axes of size 1.",
        )
    sizes = tuple(map(max, *shapes))
    x, y = (
        broadcast(call.site.step(side), each, sizes) for side, each in (("left", x), ("right", y))
    )
    table = Tensor(_sums(left, right, to, *shapes), to.dtype)
    name = call.site.draft.builder.constant(f"{call.site.name}.table", table)
    slopes = float(left.scale / to.scale), float(right.scale / to.scale)
    op = PairLookup(to.dtype, (left.dtype.lo, right.dtype.lo), *slopes)
    return call.site.emit(op, x, y, name, encoding=encoding(to))


def _sums(left: Grid, right: Grid, to: Grid, one: Ints, two: Ints) -> Array:
    """Codes of every sum ``(codes of left, codes of right)`` of operands of these sizes.

    Where one of them is repeated along the innermost axis that is longer than 1, it is one element
    for a run of the other.
    """
    inner = next((pair for pair in zip(one[::-1], two[::-1], strict=True) if max(pair) > 1), (1, 1))
    if inner[0] == inner[1]:
        return arithmetic.added(left, right, to)
    if inner[0] == 1:
        return arithmetic.added_constant(right, left, left.codes, to)
    return arithmetic.added_constant(left, right, right.codes, to).T


def _with_constant(call: Call) -> tuple[int, int]:
    """The first operands of the activation and of the constant, each with its scale and zero."""
    return (3, 0) if isinstance(call.operand(0), Constant) else (0, 3)


def _constant_codes(call: Call, x: str, at: int) -> tuple[str, Grid, Array, int]:
    """x, the grid of a constant, its codes ``(1,)`` or ``(c,)``, and the axis of x for them."""
    constant = call.constant(at)
    grid = grid_of(call, at + 1, at + 2, numeric_type(call, constant))
    x, values, axes = along(call.site, x, constant)
    if len(axes) > 1:
        raise call.site.fail(
            f"The constant '{constant.name}' varies along several axes of {call.site.type_of(x)}.",
            "Supported are codes that vary along one axis.",
        )
    return x, grid, values.astype(np.int64).reshape(-1), (*axes, 1)[0]


def _add_constant(call: Call, to: Grid) -> str:
    at, other = _with_constant(call)
    x, grid = codes_of(call, at, at + 1, at + 2)
    x, constant, codes, axis = _constant_codes(call, x, other)
    if _repeats_inside(call, x, call.constant(other)):
        table = arithmetic.added_constant(grid, constant, codes, to)
    elif at == 0:
        table = arithmetic.added(grid, constant, to)[:, codes - constant.dtype.lo].T
    else:
        table = arithmetic.added(constant, grid, to)[codes - constant.dtype.lo]
    if len(codes) == 1:
        return lookup(call.site, x, table[0], to)
    rows = np.arange(len(codes))[:, None]
    ends = Interval.of(grid.dtype.lo, grid.dtype.hi)
    return threshold(call.site, x, lambda a: table[rows, a - grid.dtype.lo], ends, to, axis)


def _repeats_inside(call: Call, x: str, constant: Constant) -> bool:
    """Whether one element of the constant meets a run of x: other arithmetic than pair by pair.

    So it is when the innermost axis that is longer than 1 is one that the constant lacks.
    """
    sizes = call.site.type_of(x).sample_shape
    shape = (1,) * (len(sizes) - constant.array.ndim) + constant.array.shape[-len(sizes) :]
    for size, own in zip(sizes[::-1], shape[::-1], strict=False):
        if size > 1:
            return own == 1
    return True


def _qlinear_mul(call: Call) -> str:
    """A rising function of the integer product."""
    to = grid_of(call, 6, 7)
    if isinstance(call.operand(0), Constant) or isinstance(call.operand(3), Constant):
        return _mul_constant(call, to)
    (x, left), (y, right) = codes_of(call, 0, 1, 2), codes_of(call, 3, 4, 5)
    if call.site.type_of(x).elements < call.site.type_of(y).elements:
        (x, left), (y, right) = (y, right), (x, left)
    op = Multiply((left.zero_point, right.zero_point))
    acc = call.site.step("acc").emit(op, x, y)
    ends = fact(call.site, acc).interval.hull
    return threshold(call.site, acc, _product(left, right, to), ends, to)


def _product(left: Grid, right: Grid, to: Grid) -> Callable[[Array], Array]:
    return lambda products: arithmetic.multiplied(products, left, right, to)


def _mul_constant(call: Call, to: Grid) -> str:
    at, other = _with_constant(call)
    x, grid = codes_of(call, at, at + 1, at + 2)
    x, constant, codes, axis = _constant_codes(call, x, other)
    factors, f = codes - constant.zero_point, _product(grid, constant, to)
    if len(factors) == 1:
        return lookup(call.site, x, f((grid.codes - grid.zero_point) * factors[0]), to)
    if axis != 1:
        inner = _mul_channels(
            call.site.step("codes"), swap(call.site.step("in"), x, axis), factors, grid, f, to
        )
        return swap(call.site, inner, axis)
    return _mul_channels(call.site, x, factors, grid, f, to)


def _mul_channels(
    site: Site, x: str, factors: Array, grid: Grid, f: Callable[[Array], Array], to: Grid
) -> str:
    """One factor per channel: a depthwise conv over single elements."""
    shape = site.type_of(x).sample_shape
    image = reshape(
        site.step("image"), x, (len(factors), site.type_of(x).elements // len(factors), 1)
    )
    weights = site.integers(f"{site.name}.factors", factors.reshape(-1, 1, 1, 1))
    acc = site.step("acc").emit(Conv(groups=len(factors)), image, weights)
    shift = -grid.zero_point * factors[:, None]
    ends = fact(site, acc).interval
    if site.type_of(image).sample_shape == shape:
        return threshold(site, acc, lambda a: f(a + shift), ends, to)
    made = threshold(site.step("flat"), acc, lambda a: f(a + shift), ends, to)
    return reshape(site, made, shape)


def _unary(table: Callable[[Call, Grid, Grid], Array]) -> Callable[[Call], str]:
    def emit(call: Call) -> str:
        x, grid = codes_of(call, 0, 1, 2)
        to = grid_of(call, 3, 4, None if call.optional(4) is not None else grid.dtype)
        return lookup(call.site, x, table(call, grid, to), to)

    return emit


def _qlinear_concat(call: Call) -> str:
    """Each part brought to the grid of the result by a table."""
    to, parts = grid_of(call, 0, 1), []
    count = (len(call.operands) - 2) // 3
    for index in range(count):
        x, grid = codes_of(call, 2 + 3 * index, 3 + 3 * index, 4 + 3 * index)
        table = arithmetic.rescaled(grid, to)
        same = grid == to
        parts.append(x if same else lookup(call.site.step(f"part{index}"), x, table, to))
    place = axis_of(call.site, call.attributes["axis"], len(call.site.type_of(parts[0]).shape))
    return call.site.emit(Concat(place), *parts, encoding=encoding(to))


_LIMITS = "8-bit codes, constant scales"
_WITH = f"{_LIMITS}; two activations, or one and a constant per channel"

MICROSOFT: dict[str, Translator] = {
    "QLinearAdd": Translator((), _qlinear_add, limits=_WITH, codes=True),
    "QLinearMul": Translator((), _qlinear_mul, limits=_WITH, codes=True),
    "QLinearConcat": Translator(
        (Attribute("axis", "int"),), _qlinear_concat, limits=_LIMITS, codes=True
    ),
    "QLinearLeakyRelu": Translator(
        (Attribute("alpha", "float", 0.01),),
        _unary(lambda call, x, to: arithmetic.leaky_relu(x, to, call.attributes["alpha"])),
        limits=_LIMITS,
        codes=True,
    ),
    "QLinearSigmoid": Translator(
        (), _unary(lambda call, x, to: arithmetic.sigmoid(x, to)), limits=_LIMITS, codes=True
    ),
}
