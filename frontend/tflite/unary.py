"""Functions of one tensor of codes, softmax, and rescaling: tables."""

from __future__ import annotations

from ...ir.numeric import Array
from ...ir.ops_softmax import TABLE, Softmax
from ...ir.reciprocal_table import SHARE_BITS
from .call import Call, Result, Translator
from .codes import lookup, shifted
from .model import Tensor
from .pair import check_codes
from .sigmoid import wide_table
from .wide_softmax import wide_exponentials

SOFTMAX_BITS = 8
NARROW = frozenset(("HARD_SWISH", "RELU_N1_TO_1", "RELU_0_TO_1"))
"""Functions of 8-bit codes alone."""


def unary(call: Call) -> Result:
    """The table of the dialect's function."""
    x, y = call.tensor(0), call.y
    call.codes(0, call.result().order)
    if call.kind in NARROW and "int16" in (x.type_name, y.type_name):
        raise call.site.fail(
            f"It maps {x.type_name} to {y.type_name}, which LiteRT does not run.",
            "Use codes of 8 bits there.",
        )
    wide = x.type_name == y.type_name == "int16"
    known = x.type_name in ("int8", "uint8") and y.type_name in ("int8", "uint8", "int16")
    table = None
    if wide and call.kind in ("LOGISTIC", "TANH"):
        table = wide_table(call.site, call.kind, x, y)
    elif wide or known or call.kind == "QUANTIZE":
        table = call.dialect.table(call.kind, x, y, float(call.options.get("alpha", 0.0)))
    if table is None or x.dtype.bits > 16:
        raise call.site.fail(
            f"It maps {x.type_name} to {y.type_name}, which is not reproduced.",
            "Only codes of 8 bits are supported there, and of 16 bits where both are.",
        )
    return lookup(call, call.site, call.result(), x, table)


def softmax(call: Call) -> Result:
    """Along the last axis: exponentials from a table, and the dialect's division."""
    if call.is_wide:
        return _wide_softmax(call)
    x, y = call.tensor(0), call.y
    right = x.type_name == y.type_name == "int8" and y.zero_point == -128
    if not right or abs(float(y.scale) * 256 - 1) > 0.001:
        raise call.site.fail(
            f"It maps {x.type_name} to {y.type_name} with the scale {float(y.scale):g}.",
            "Only int8 with the scale 1/256 and the zero point -128 is supported there.",
        )
    table, division = call.dialect.softmax(x, call.options["beta"], x.shape[-1])
    return _shares(call, table, Softmax(_last_axis(x), SOFTMAX_BITS, division), (-128, 127))


def _wide_softmax(call: Call) -> Result:
    """By tables of exponentials and of reciprocals."""
    check_codes(call, 0)
    if float(call.y.scale) != 2.0**-15:
        raise call.site.fail(
            f"Its result has the scale {float(call.y.scale):g}.",
            "A result of 16 bits must have the scale 1/32768.",
        )
    x = call.tensor(0)
    table = wide_exponentials(x, call.options["beta"])
    return _shares(call, table, Softmax(_last_axis(x), SHARE_BITS, TABLE), (0, call.y.dtype.hi))


def _last_axis(x: Tensor) -> int:
    return 1 if len(x.shape) == 4 else len(x.shape) - 1


def _shares(call: Call, exponentials: Array, op: Softmax, bounds: tuple[int, int]) -> Result:
    """The codes of a softmax: shares, and as many codes from the least one on."""
    site = call.site.step("shares")
    entries = site.integers(f"{site.name}.exponentials", exponentials)
    acc = site.emit(op, call.codes(0), entries)
    made = shifted(call.site, acc, call.y.dtype, bounds, addend=bounds[0], encoding=call.encoding)
    return Result(made, "planes")


TRANSLATORS: dict[str, Translator] = {
    **dict.fromkeys(
        (
            "LOGISTIC",
            "TANH",
            "HARD_SWISH",
            "LEAKY_RELU",
            "RELU",
            "RELU6",
            "RELU_N1_TO_1",
            "RELU_0_TO_1",
        ),
        unary,
    ),
    "SOFTMAX": softmax,
}
