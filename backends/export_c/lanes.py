"""Code of ops that compute along an axis: softmax and layer_norm."""

from __future__ import annotations

from ...ir.ops_norm import FRACTION_BITS, LayerNorm
from ...ir.ops_softmax import EXACT, FLOAT, NEWTON, TABLE, Softmax
from ...ir.program import Step
from .code import Code, Ending, Scope, axes


def _outer(ending: Ending, axis: int) -> tuple[list[str], list[str], list[int]]:
    """All coordinates with the axis named k, and the other loops' names and sizes."""
    names, sizes = axes(ending.type), list(ending.type.sample_shape)
    whole = [*names[:axis], "k", *names[axis + 1 :]]
    return whole, names[:axis] + names[axis + 1 :], sizes[:axis] + sizes[axis + 1 :]


def softmax(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Powers of a table, and each one's share of their sum."""
    op = step.op
    assert isinstance(op, Softmax)
    at, outer, sizes = _outer(ending, op.axis - 1)
    count = ending.type.sample_shape[op.axis - 1]
    entries = scope.slot(step.inputs[1]).type.elements
    value = f"(int64_t){scope.value(step.inputs[0], at)}"
    code.add(f"static int64_t power[{count}];")
    with code.loops(outer, sizes):
        code.add("int64_t best = INT64_MIN;")
        with code.loops(("k",), (count,)):
            code.add(f"if ({value} > best) best = {value};")
        with code.loops(("k",), (count,)):
            index = f"{code.use('clipped')}(best - {value}, 0, {entries - 1})"
            code.add(f"power[k] = (int64_t){scope.read(step.inputs[1], f'(int32_t){index}')};")
        share = _division(code, op, count)
        with code.loops(("k",), (count,)):
            ending.store(share, at)


def _division(code: Code, op: Softmax, count: int) -> str:
    """Code for the sum, and the share of ``power[k]``."""
    if op.division in (EXACT, NEWTON, TABLE):
        code.add("int64_t total = 0;")
        with code.loops(("k",), (count,)):
            rounded = (
                f"{code.use('by_power')}(power[k], 12)" if op.division == NEWTON else "power[k]"
            )
            code.add(f"total += {rounded};")
        if op.division == EXACT:
            return f"(power[k] * (INT64_C(1) << {op.bits + 1}) + total) / (2 * total)"
        if op.division == NEWTON:
            return f"{code.use('newton_share')}(power[k], total, {op.bits})"
        return f"{code.use('table_share')}(power[k], total)"
    for helper in ("mantissa", "exponent", "added"):
        code.use(helper)
    code.add("int64_t m = mantissa(power[0]);", "int32_t e = exponent(power[0]);")
    with code.block(f"for (int32_t k = 1; k < {count}; k++)"):
        code.add("added(&m, &e, mantissa(power[k]), exponent(power[k]));")
    helper = "float_share" if op.division == FLOAT else "reciprocal_share"
    return f"{code.use(helper)}(power[k], m, e, {op.bits})"


def layer_norm(code: Code, scope: Scope, step: Step, ending: Ending) -> None:
    """Distances from the mean over the root of their squares' sum."""
    op = step.op
    assert isinstance(op, LayerNorm)
    at, outer, sizes = _outer(ending, op.axis - 1)
    count = ending.type.sample_shape[op.axis - 1]
    value = f"(int64_t){scope.value(step.inputs[0], at)}"
    with code.loops(outer, sizes):
        code.add("int64_t sum = 0, squares = 0;")
        with code.loops(("k",), (count,)):
            code.add(f"sum += {value};", f"squares += {value} * {value};")
        epsilon = f"(int64_t){scope.read(step.inputs[1], '0')}"
        spread = f"(({count} * squares - sum * sum) * (INT64_C(1) << {2 * op.bits}) + {epsilon})"
        code.add(
            f"int64_t r = {code.use('root')}{spread};",
            "r = r < 1 ? 1 : r;",
        )
        with code.loops(("k",), (count,)):
            shift = FRACTION_BITS + 1 + op.bits
            scaled = f"({count} * {value} - sum) * (INT64_C(1) << {shift})"
            ending.store(f"{code.use('floor_div')}({scaled} + r, 2 * r)", at)
