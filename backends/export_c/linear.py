"""Code of conv, gather_conv, dense, sum_pool and max_pool."""

from __future__ import annotations

from ...ir.numeric import NumericType
from ...ir.ops_linear import Conv, Dense, GatherConv
from ...ir.ops_pool import MaxPool, SumPool
from ...ir.program import Step
from ...ir.windows import Pads, Pair
from .code import Code, Ending, Scope, axes, strides
from .literals import integer

NARROW = 31
"""Bits of two factors up to which their product is an int32."""


def product(x: str, y: str, *types: NumericType) -> str:
    """``x y`` modulo 2^32, as uint32."""
    if sum(each.bits for each in types) <= NARROW:
        return f"(uint32_t)((int32_t){x} * (int32_t){y})"
    return f"(uint32_t){x} * (uint32_t){y}"


def _origin(code: Code, strides_: Pair, pads: Pads, at: tuple[str, str]) -> None:
    code.add(
        f"const int32_t top = {at[0]} * {strides_[0]} - {pads[0]};",
        f"const int32_t left = {at[1]} * {strides_[1]} - {pads[1]};",
    )


def _tap(dilations: Pair) -> tuple[str, str]:
    return (
        f"const int32_t y = top + ky * {dilations[0]};",
        f"const int32_t x = left + kx * {dilations[1]};",
    )


def _inside(height: int, width: int) -> str:
    return f"y >= 0 && y < {height} && x >= 0 && x < {width}"


def conv(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Loops over places, filters, the kernel and channels."""
    op = step.op
    assert isinstance(op, Conv)
    x, weight = (scope.slot(index).type for index in step.inputs[:2])
    channels, height, width = x.sample_shape
    filters, each, kh, kw = weight.sample_shape
    out = (filters, *_out_hw(ending))
    with code.loops(("i1", "i2", "i0"), (out[1], out[2], out[0])):
        _origin(code, op.strides, op.pads, ("i1", "i2"))
        group = f"i0 / {filters // op.groups} * {each}" if op.groups > 1 else "0"
        code.add(f"uint32_t total = {_bias(scope, step.inputs[2:3])};")
        with code.loops(("ky", "kx"), (kh, kw)):
            code.add(
                *_tap(op.dilations),
                f"const int32_t w = ((i0 * {kh} + ky) * {kw} + kx) * {each};",
            )
            factor = scope.read(step.inputs[1], "(w + c)")
            with code.block(f"if ({_inside(height, width)})"):
                code.add(f"const int32_t at = (y * {width} + x) * {channels} + {group};")
                with code.loops(("c",), (each,)):
                    code_ = scope.read(step.inputs[0], "at + c")
                    code.add(f"total += {product(code_, factor, x.dtype, weight.dtype)};")
            _overhang(code, scope, op.pad_value, step.inputs[3:], (kh, kw), each, factor)
        ending.store(f"(int64_t){code.use('wrapped')}(total)", ("i0", "i1", "i2"))


def _overhang(
    code: Code,
    scope: Scope,
    pad_value: int,
    border: tuple[int, ...],
    kernel: Pair,
    each: int,
    factor: str,
) -> None:
    """What a place of the kernel adds outside the image: pad value and border."""
    if not (pad_value or border):
        return
    with code.block("else"):
        if pad_value:
            with code.loops(("c",), (each,)):
                code.add(f"total += (uint32_t){factor} * (uint32_t)({integer(pad_value)});")
        if border:
            where = f"(i0 * {kernel[0]} + ky) * {kernel[1]} + kx"
            code.add(f"total += (uint32_t){scope.read(border[0], where)};")


def _bias(scope: Scope, bias: tuple[int, ...]) -> str:
    return f"(uint32_t){scope.read(bias[0], 'i0')}" if bias else "0"


def _out_hw(ending: Ending) -> Pair:
    _, height, width = ending.type.sample_shape
    return height, width


def gather_conv(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """The listed elements of a patch, then a dense product for each filter."""
    op = step.op
    assert isinstance(op, GatherConv)
    x, weight = (scope.slot(index).type for index in step.inputs[:2])
    channels, height, width = x.sample_shape
    filters, count = weight.sample_shape
    kh, kw = op.kernel
    kind = "int32_t" if x.dtype.bits <= NARROW else "int64_t"
    at = f"(y * {width} + x) * {channels} + column % {channels}"
    code.add(f"static {kind} patch[{max(count, 1)}];")
    with code.loops(("i1", "i2"), _out_hw(ending)):
        _origin(code, op.strides, op.pads, ("i1", "i2"))
        with code.loops(("k",), (count,)):
            column = f"(int32_t){scope.read(step.inputs[2], 'k')}"
            code.add(
                f"const int32_t column = {column}, tap = column / {channels};",
                f"const int32_t y = top + tap / {kw} * {op.dilations[0]};",
                f"const int32_t x = left + tap % {kw} * {op.dilations[1]};",
                f"patch[k] = {_inside(height, width)}",
                f"    ? ({kind}){scope.read(step.inputs[0], at)} : {integer(op.pad_value)};",
            )
        with code.loops(("i0",), (filters,)):
            code.add(f"uint32_t total = {_bias(scope, step.inputs[3:4])};")
            with code.loops(("k",), (count,)):
                factor = scope.read(step.inputs[1], f"(i0 * {count} + k)")
                code.add(f"total += {product('patch[k]', factor, x.dtype, weight.dtype)};")
            if step.inputs[4:]:
                with code.loops(("ky", "kx"), (kh, kw)):
                    code.add(*_tap(op.dilations))
                    added = scope.read(step.inputs[4], f"(i0 * {kh} + ky) * {kw} + kx")
                    code.add(f"if (!({_inside(height, width)})) total += (uint32_t){added};")
            ending.store(f"(int64_t){code.use('wrapped')}(total)", ("i0", "i1", "i2"))


def dense(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """A product along the last axis."""
    assert isinstance(step.op, Dense)
    x, weight = (scope.slot(index).type for index in step.inputs[:2])
    filters, count = weight.sample_shape
    names = axes(ending.type)
    last, apart = names[-1], strides(x)[-1]
    with code.loops(names, (*ending.type.sample_shape[:-1], filters)):
        bias = f"(uint32_t){scope.read(step.inputs[2], last)}" if step.inputs[2:] else "0"
        code.add(f"uint32_t total = {bias};")
        first = scope.value(step.inputs[0], (*names[:-1], "0"))[:-1]
        with code.loops(("k",), (count,)):
            factor = scope.read(step.inputs[1], f"({last} * {count} + k)")
            along = "k" if apart == 1 else f"k * {apart}"
            pair = product(f"{first} + {along}]", factor, x.dtype, weight.dtype)
            code.add(f"total += {pair};")
        ending.store(f"(int64_t){code.use('wrapped')}(total)", names)


def sum_pool(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """The sum of each window; the border holds the pad value."""
    op = step.op
    assert isinstance(op, SumPool)
    channels, height, width = scope.slot(step.inputs[0]).type.sample_shape
    with code.loops(("i1", "i2", "i0"), (*_out_hw(ending), channels)):
        _origin(code, op.strides, op.pads, ("i1", "i2"))
        code.add("uint32_t total = 0;")
        with code.loops(("ky", "kx"), op.kernel):
            code.add("const int32_t y = top + ky, x = left + kx;")
            read = scope.read(step.inputs[0], f"(y * {width} + x) * {channels} + i0")
            code.add(f"if ({_inside(height, width)}) total += (uint32_t){read};")
            if op.pad_value:
                code.add(f"else total += (uint32_t)({integer(op.pad_value)});")
        ending.store(f"(int64_t){code.use('wrapped')}(total)", ("i0", "i1", "i2"))


def max_pool(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """The greatest of each window; the border never counts."""
    op = step.op
    assert isinstance(op, MaxPool)
    channels, height, width = scope.slot(step.inputs[0]).type.sample_shape
    with code.loops(("i1", "i2", "i0"), (*_out_hw(ending), channels)):
        _origin(code, op.strides, op.pads, ("i1", "i2"))
        code.add("int64_t best = INT64_MIN;")
        with code.loops(("ky", "kx"), op.kernel):
            code.add(*_tap(op.dilations))
            read = scope.read(step.inputs[0], f"(y * {width} + x) * {channels} + i0")
            code.add(f"if ({_inside(height, width)} && {read} > best) best = {read};")
        ending.store("best", ("i0", "i1", "i2"))
