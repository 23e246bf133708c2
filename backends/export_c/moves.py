"""Code of ops that only move elements, and of arg_max."""

from __future__ import annotations

from math import prod

from ...ir.ops_arg import ArgMax
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from ...ir.program import Step
from .code import Code, Ending, Scope, axes
from .literals import integer


def reshape(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """The same elements in logical order."""
    assert isinstance(step.op, Reshape)
    shapes = scope.slot(step.inputs[0]).type.sample_shape, ending.type.sample_shape
    with code.loops(("n",), (prod(shapes[1]),)):
        source, target = (_coordinates(shape) for shape in shapes)
        ending.store(f"(int64_t){scope.value(step.inputs[0], source)}", target)


def _coordinates(shape: tuple[int, ...]) -> list[str]:
    """Logical coordinates of element ``n``."""
    found, apart = [], prod(shape)
    for axis, size in enumerate(shape):
        apart //= size
        whole = "n" if apart == 1 else f"n / {apart}"
        found.append(f"({whole})" if axis == 0 else f"({whole} % {size})")
    return found


def transpose(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Axes of the result in terms of x's."""
    assert isinstance(step.op, Transpose)
    names = axes(ending.type)
    source = [""] * len(names)
    for axis, from_ in enumerate(step.op.axes[1:]):
        source[from_ - 1] = names[axis]
    with code.loops(names, ending.type.sample_shape):
        ending.store(f"(int64_t){scope.value(step.inputs[0], source)}", names)


def slice_(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Every ``step``-th from ``start`` on."""
    assert isinstance(step.op, Slice)
    names = axes(ending.type)
    source = [
        f"({name} * {apart} + {start})"
        for name, start, apart in zip(names, step.op.starts, step.op.steps, strict=True)
    ]
    with code.loops(names, ending.type.sample_shape):
        ending.store(f"(int64_t){scope.value(step.inputs[0], source)}", names)


def take(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """The listed channels."""
    assert isinstance(step.op, Take)
    names = axes(ending.type)
    with code.loops(names, ending.type.sample_shape):
        code.add(f"const int32_t channel = (int32_t){scope.read(step.inputs[1], names[0])};")
        source = ("channel", *names[1:])
        ending.store(f"(int64_t){scope.value(step.inputs[0], source)}", names)


def pad(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """A border around each axis."""
    assert isinstance(step.op, Pad)
    names = axes(ending.type)
    sizes = scope.slot(step.inputs[0]).type.sample_shape
    with code.loops(names, ending.type.sample_shape):
        code.add(f"int64_t value = {integer(int(step.op.value))};")
        source = [f"({name} - {b})" for name, b in zip(names, step.op.before, strict=True)]
        inside = " && ".join(
            f"{name} >= {b} && {name} < {b + size}"
            for name, b, size in zip(names, step.op.before, sizes, strict=True)
        )
        code.add(f"if ({inside}) value = (int64_t){scope.value(step.inputs[0], source)};")
        ending.store("value", names)


def concat(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Operands one after the other."""
    assert isinstance(step.op, Concat)
    names, begin, axis = axes(ending.type), 0, step.op.axis - 1
    for index in step.inputs:
        sizes = scope.slot(index).type.sample_shape
        target = [*names[:axis], f"({names[axis]} + {begin})", *names[axis + 1 :]]
        with code.loops(names, sizes):
            ending.store(f"(int64_t){scope.value(index, names)}", target)
        begin += sizes[axis]


def arg_max(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """The index of the first or last greatest element."""
    assert isinstance(step.op, ArgMax)
    names, axis = axes(ending.type), step.op.axis - 1
    size = scope.slot(step.inputs[0]).type.sample_shape[axis]
    source = [*names[:axis], "k", *names[axis + 1 :]]
    with code.loops(names, ending.type.sample_shape):
        code.add("int64_t best = INT64_MIN;", "int32_t found = 0;")
        with code.loops(("k",), (size,)):
            code.add(f"const int64_t value = (int64_t){scope.value(step.inputs[0], source)};")
            with code.block(f"if (value {'>=' if step.op.last else '>'} best)"):
                code.add("best = value;", "found = k;")
        ending.store("(int64_t)found", names)
