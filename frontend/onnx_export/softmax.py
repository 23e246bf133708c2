"""softmax as ONNX nodes; the divisions that TFLite defines are in ``shares``."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from ...ir.ops_softmax import EXACT, FLOAT, NEWTON, RECIPROCAL, TABLE, Softmax
from .emitter import FLOAT32, FLOAT64, INT64, Emitter, Operand, Ref
from .shares import newton_shares, table_shares


def softmax(e: Emitter, op: Softmax, x: Operand, table: Operand) -> Ref:
    """softmax (16)."""
    codes = e.wide(x.value)
    below = e.node("Sub", e.node("ReduceMax", codes, e.ints(op.axis)), codes)
    place = e.node("Min", below, e.scalar(len(table.constant) - 1, INT64))
    entries = table.constant
    if op.division in (FLOAT, RECIPROCAL):
        powers = e.constant(entries.astype(np.int32).view(np.float32), "table")
    else:
        powers = e.constant(entries, "table")
    terms = e.node("Gather", powers, place, dtype=powers.dtype, axis=0)
    return _DIVISIONS[op.division](e, op, terms)


def _exact(e: Emitter, op: Softmax, terms: Ref) -> Ref:
    total = e.node("ReduceSum", terms, e.ints(op.axis))
    above = e.node("Mul", terms, e.scalar(1 << (op.bits + 1), INT64))
    return e.node("Div", e.node("Add", above, total), e.node("Add", total, total))


def _newton(e: Emitter, op: Softmax, terms: Ref) -> Ref:
    return newton_shares(e, terms, op.axis, op.bits)


def _table(e: Emitter, op: Softmax, terms: Ref) -> Ref:
    return table_shares(e, terms, op.axis)


def _float(e: Emitter, op: Softmax, terms: Ref) -> Ref:
    """Division 2. A float64 quotient of two float32 meets no half that the exact one does not."""
    total = e.cast(_sum_in_order(e, terms, op.axis), FLOAT64)
    above = e.node("Mul", e.cast(terms, FLOAT64), e.scalar(1 << op.bits, FLOAT64))
    return e.wide(e.node("Round", e.node("Div", above, total)))


def _reciprocal(e: Emitter, op: Softmax, terms: Ref) -> Ref:
    """Division 4. A quotient rounded to float64 and then to float32 is rounded as if once."""
    total = e.cast(_sum_in_order(e, terms, op.axis), FLOAT64)
    scaled = e.node("Mul", total, e.scalar(2.0**-op.bits, FLOAT64))
    inverse = e.cast(e.node("Div", e.scalar(1, FLOAT64), scaled), FLOAT32)
    share = e.cast(e.node("Mul", terms, inverse), FLOAT64)
    return e.wide(e.node("Floor", e.node("Add", share, e.scalar(0.5, FLOAT64))))


def _sum_in_order(e: Emitter, terms: Ref, axis: int) -> Ref:
    """The float32 sum along an axis, kept as 1, from first to last; ReduceSum has no order."""
    first = e.node("Gather", terms, e.scalar(0, INT64), axis=axis)
    zero = e.node("Mul", first, e.scalar(0, FLOAT32))
    names = (f"{zero.name}/before", f"{zero.name}/term", f"{zero.name}/after")
    before, term, after = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    adds = [helper.make_node("Add", names[:2], names[2:])]
    body = helper.make_graph(adds, "sum", [before, term], [after])
    total = e.node("Scan", zero, terms, body=body, num_scan_inputs=1, scan_input_axes=[axis])
    return e.node("Unsqueeze", total, e.ints(axis))


_DIVISIONS = {
    EXACT: _exact,
    NEWTON: _newton,
    FLOAT: _float,
    TABLE: _table,
    RECIPROCAL: _reciprocal,
}
