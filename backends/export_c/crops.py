"""Code of crop."""

from __future__ import annotations

from ...ir.ops_crop import FRACTION_BITS, WEIGHT_BITS, Crop
from ...ir.program import Step
from .code import Code, Ending, Scope, axes


def crop(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Four pixels around every sample, weighted."""
    op = step.op
    assert isinstance(op, Crop)
    channels, rows, columns = axes(ending.type)
    count, *_ = ending.type.sample_shape
    code.add(f"const int64_t share = {_share(scope, step, op)};")
    for axis, name in ((0, "row"), (1, "column")):
        _axis(code, scope, step, axis, name)
    for axis, name, index in ((0, "row", rows), (1, "column", columns)):
        code.add(f"for (int32_t {index} = 0; {index} < {op.size[axis]}; {index}++) {{")
        code.depth += 1
        _position(code, scope.slot(step.inputs[0]).type.sample_shape[axis + 1], name, index)
    with code.loops((channels,), (count,)):
        four = [
            f"{down} * {across} * (int64_t){scope.value(step.inputs[0], (channels, y, x))}"
            for y, down in (("row_0", "row_w"), ("row_1", "row_f"))
            for x, across in (("column_0", "column_w"), ("column_1", "column_f"))
        ]
        half, whole = 1 << 2 * WEIGHT_BITS - 1, 1 << 2 * WEIGHT_BITS
        total = " + ".join([*four, str(half)])
        ending.store(f"{code.use('floor_div')}({total}, {whole})", (channels, rows, columns))
    for _ in op.size:
        code.depth -= 1
        code.add("}")


def _share(scope: Scope, step: Step, op: Crop) -> str:
    """The window's share of a side, in units of 2**-16."""
    if len(step.inputs) == 1:
        return str(op.most)
    size = f"(int64_t){scope.read(step.inputs[1], '0')}"
    return f"{op.least} + (({op.most - op.least} * {size} + {1 << op.bits >> 1}) >> {op.bits})"


def _axis(code: Code, scope: Scope, step: Step, axis: int, name: str) -> None:
    """Where samples begin along an axis, and how far apart they are."""
    op = step.op
    assert isinstance(op, Crop)
    last = scope.slot(step.inputs[0]).type.sample_shape[axis + 1] - 1
    between = op.size[axis] - 1
    code.add(f"const int64_t {name}_step = share * {last} / {between};")
    room = f"({last << FRACTION_BITS} - {name}_step * {between})"
    if len(step.inputs) == 1:
        code.add(f"const int64_t {name}_start = {room} >> 1;")
        return
    place = f"(int64_t){scope.read(step.inputs[1], str(2 - axis))}"
    code.add(f"const int64_t {name}_start = ({room} * {place}) >> {op.bits};")


def _position(code: Code, pixels: int, name: str, index: str) -> None:
    """The pixels around a sample along an axis, and their weights."""
    mask, full = (1 << WEIGHT_BITS) - 1, 1 << WEIGHT_BITS
    code.add(
        f"const int64_t {name} = {name}_start + {name}_step * {index};",
        f"const int32_t {name}_0 = (int32_t)({name} >> {FRACTION_BITS});",
        f"const int32_t {name}_1 = {name}_0 < {pixels - 1} ? {name}_0 + 1 : {name}_0;",
        f"const int64_t {name}_f = ({name} >> {FRACTION_BITS - WEIGHT_BITS}) & {mask};",
        f"const int64_t {name}_w = {full} - {name}_f;",
    )
