"""Code of ops that compute each element by itself, and of products of activations."""

from __future__ import annotations

from ...ir.ops_pointwise import Add
from ...ir.ops_product import MatMul, Multiply
from ...ir.program import Step
from .code import Code, Ending, Scope, axes
from .epilogue import EPILOGUES
from .literals import integer


def add(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """``m0 x + m1 y``."""
    assert isinstance(step.op, Add)
    names = axes(ending.type)
    with code.loops(names, ending.type.sample_shape):
        terms = (
            f"(uint32_t){scope.value(index, names)} * (uint32_t)({integer(_low(factor))})"
            for index, factor in zip(step.inputs, step.op.multipliers, strict=True)
        )
        code.add(f"const uint32_t total = {' + '.join(terms)};")
        ending.store(f"(int64_t){code.use('wrapped')}(total)", names)


def _low(factor: int) -> int:
    """The factor modulo 2^32, as an int32."""
    return (factor + (1 << 31)) % (1 << 32) - (1 << 31)


def multiply(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """``(x - z0) (y - z1)``; an axis of y of size 1 is repeated."""
    assert isinstance(step.op, Multiply)
    names = axes(ending.type)
    with code.loops(names, ending.type.sample_shape):
        factors = []
        for index, zero in zip(step.inputs, step.op.zero_points, strict=True):
            sizes = scope.slot(index).type.sample_shape
            at = ["0" if size == 1 else name for name, size in zip(names, sizes, strict=True)]
            factors.append(f"((int64_t){scope.value(index, at)} - ({integer(zero)}))")
        ending.store(" * ".join(factors), names)


def matmul(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Products of ``x - z0`` and ``y - z1`` over the last axis of x."""
    assert isinstance(step.op, MatMul)
    names = axes(ending.type)
    depth = scope.slot(step.inputs[0]).type.sample_shape[-1]
    with code.loops(names, ending.type.sample_shape):
        code.add("int64_t total = 0;")
        with code.loops(("k",), (depth,)):
            left = scope.value(step.inputs[0], (*names[:-1], "k"))
            right = scope.value(step.inputs[1], (*names[:-2], "k", names[-1]))
            zeros = [integer(zero) for zero in step.op.zero_points]
            code.add(
                f"total += ((int64_t){left} - ({zeros[0]})) * ((int64_t){right} - ({zeros[1]}));"
            )
        ending.store("total", names)


def rescale(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """requantize, threshold or lookup of an activation."""
    names = axes(ending.type)
    with code.loops(names, ending.type.sample_shape):
        value = f"(int64_t){scope.value(step.inputs[0], names)}"
        emit = EPILOGUES[type(step.op)]
        channel = names[0] if names else "0"
        found = emit(code, scope, step.op, step.inputs[1:], value, channel)
        ending.store(found, names)
