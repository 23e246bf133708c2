"""onnxruntime's softmax of codes: a table of float32 exponentials, added in order."""

from __future__ import annotations

from math import prod

import numpy as np

from ...ir.ops_softmax import FLOAT, Softmax
from ..emit.layout import axis_of, reshape
from .call import Attribute, Call, Translator
from .qarithmetic import Grid, exponentials
from .qcodes import codes_of, fact, grid_of, threshold

_ONE_AXIS = 13  # the opset from which Softmax works along one axis
BITS = 8


def _qlinear_softmax(call: Call) -> str:
    """Shares of 256, then the zero point and the ends of the type."""
    x, grid = codes_of(call, 0, 1, 2)
    to = grid_of(call, 3, 4, None if call.optional(4) is not None else grid.dtype)
    if np.floor(np.float32(1) / to.scale) != 1 << BITS:
        raise call.site.fail(
            f"The scale of its result is {to.scale}.",
            "Supported is 1/256, as the quantizer writes.",
        )
    shape = call.site.type_of(x).sample_shape
    one, given = call.attributes["opset"] >= _ONE_AXIS, call.attributes["axis"]
    axis = axis_of(call.site, (-1 if one else 1) if given is None else given, len(shape) + 1)
    if one or axis == len(shape):
        return _along(call, x, axis, grid, to)
    flat = reshape(call.site.step("flat"), x, (*shape[: axis - 1], prod(shape[axis - 1 :])))
    return reshape(call.site, _along(call, flat, axis, grid, to), shape)


def _along(call: Call, x: str, axis: int, grid: Grid, to: Grid) -> str:
    length = call.site.type_of(x).sample_shape[axis - 1]
    patterns = exponentials(grid, length).view(np.int32)
    table = call.site.integers(f"{call.site.name}.exponentials", patterns)
    acc = call.site.step("acc").emit(Softmax(axis, BITS, FLOAT), x, table)
    ends = fact(call.site, acc).interval
    return threshold(call.site, acc, lambda a: to.clipped(a + to.zero_point), ends, to)


MICROSOFT: dict[str, Translator] = {
    "QLinearSoftmax": Translator(
        (Attribute("axis", "int"), Attribute("opset", "int", 0)),
        _qlinear_softmax,
        limits="8-bit codes, the scale of the result 1/256",
        codes=True,
    ),
}
