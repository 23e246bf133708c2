"""The ONNX operators QuantizeLinear and DequantizeLinear.

What stands between them is exact arithmetic on the dequantized values, rounded once, half to even,
by the QuantizeLinear that follows. Constants behind a DequantizeLinear stay the codes they are.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from ...errors import ImportModelError
from ...ir.numeric import Array, NumericType, round_real
from ...ir.ops_quant import Dequantize, Quantize
from ...ir.tensor import Tensor, real
from ..emit.batch_size import Size
from ..emit.layout import place, source_shape
from ..emit.site import Coded, Constant, Operand
from .call import Attribute, Call, Translator
from .qcodes import numeric_type, scale_of, zero_of

_FLOAT = onnx.TensorProto.FLOAT


def _parameters(call: Call, shape: tuple[Size, ...]) -> tuple[Array, Array, int]:
    """Scale and zero point, each ``()`` or ``(c,)``, and the axis along which they run."""
    rank = len(shape)
    if call.attributes.get("block_size"):
        raise call.site.fail(
            f"Attribute 'block_size' = {call.attributes['block_size']} is not supported.",
            "Give one scale per tensor or per channel.",
        )
    scale, zero = scale_of(call, 1), zero_of(call, 2)
    axis = call.attributes["axis"]
    if max(scale.size, zero.size) == 1:
        return scale, zero, min(1, rank - 1)
    fits = -rank <= axis < rank and shape[axis] == scale.size
    if not fits or zero.size not in (1, scale.size):
        raise call.site.fail(
            f"Its {scale.size} scales and {zero.size} zero points along axis {axis} do not fit the "
            f"shape ({', '.join(map(str, shape))}).",
            "Quantize the model again.",
        )
    return scale, np.broadcast_to(zero, scale.shape), axis % rank


def _activation_parameters(call: Call, x: str) -> tuple[Array, Array, int]:
    """The same for an activation, and its axis counted from the batch."""
    shape = source_shape(call.site, x)
    scale, zero, axis = _parameters(call, shape)
    return scale, zero, place(call.site, axis, len(shape))


def _target(call: Call) -> NumericType:
    """The type of the result: that of the zero point, else 'output_dtype', else uint8."""
    zero = call.optional(2)
    if zero is not None:
        dtype = numeric_type(call, zero)
    else:
        stated = call.attributes.get("output_dtype") or onnx.TensorProto.UINT8
        name = onnx.TensorProto.DataType.Name(stated).lower()
        dtype = numeric_type(call, Constant(name, np.zeros((), _numpy(call, stated))))
    if dtype.bits > 16:
        raise call.site.fail(f"It quantizes to {dtype}.", "Codes have at most 16 bits.")
    return dtype


def _numpy(call: Call, elements: int) -> np.dtype[np.generic]:
    try:
        return helper.tensor_dtype_to_np_dtype(elements)
    except KeyError as error:
        fix = "Supported are integers of 2 to 16 bits."
        raise call.site.fail(f"Attribute 'output_dtype' = {elements}.", fix) from error


def _quantize(call: Call) -> Operand:
    if call.attributes.get("precision") not in (None, 0, _FLOAT):
        raise call.site.fail(
            f"Attribute 'precision' = {call.attributes['precision']}: its quotient is not float32.",
            "Supported are 0 and 1: the quotient is exact and rounded once.",
        )
    found, dtype = call.operand(0), _target(call)
    if isinstance(found, Constant):
        return _quantized_constant(call, found, dtype)
    site = call.site
    type_ = site.type_of(found)
    if type_.dtype.is_integer:
        raise site.fail(f"Its operand '{found}' is {type_.dtype}.", "It must be real.")
    scale, zero, axis = _activation_parameters(call, found)
    names = _operands(call, scale, zero, dtype)
    return site.emit(Quantize(dtype, axis), found, *names)


def _operands(call: Call, scale: Array, zero: Array, dtype: NumericType) -> tuple[str, str]:
    """Scale and zero point as constants of the graph, under their own names."""
    builder = call.site.draft.builder
    given = call.optional(2)
    name = f"{call.constant(1).name}.zero_point" if given is None else given.name
    return (
        builder.constant(call.constant(1).name, real(scale)),
        builder.constant(name, Tensor(zero, dtype)),
    )


def _quantized_constant(call: Call, constant: Constant, dtype: NumericType) -> Constant:
    """A float constant as codes.

    The quotient of two float32 numbers is exact enough in float64 to be rounded as if it were exact
    (docs/numerics.md section 1).
    """
    if constant.array.dtype == object or constant.array.dtype.kind in "iub":
        raise call.site.fail(f"'{constant.name}' is not real.", "Quantize the model again.")
    scale, zero, axis = _parameters(call, constant.array.shape)
    steps = constant.array.astype(np.float64) / _along(scale, constant.array.ndim, axis)
    if not np.isfinite(steps).all():
        raise call.site.fail(
            f"'{constant.name}' holds numbers that are not finite.",
            "Repair or retrain the weights.",
        )
    codes = round_real(steps, "half_even") + _along(zero, constant.array.ndim, axis)
    stored = np.clip(codes, dtype.lo, dtype.hi).astype(dtype.container)
    given = call.optional(2)
    return Constant(call.site.name, stored if given is None else stored.astype(given.array.dtype))


def _along(values: Array, rank: int, axis: int) -> Array:
    """``(c,)`` values shaped to repeat along every axis but ``axis``; a scalar as it is."""
    if values.ndim == 0:
        return values
    return values.reshape([-1 if each == axis else 1 for each in range(rank)])


def _dequantize(call: Call) -> Operand:
    found = call.operand(0)
    if isinstance(found, Constant):
        return _dequantized_constant(call, found)
    site = call.site
    type_ = site.type_of(found)
    if not type_.dtype.is_integer:
        raise site.fail(f"Its operand '{found}' is {type_.dtype}.", "It must be codes.")
    scale, zero, axis = _activation_parameters(call, found)
    return site.emit(Dequantize(axis), found, *_operands(call, scale, zero, type_.dtype))


def _dequantized_constant(call: Call, constant: Constant) -> Constant:
    """Codes with what they stand for."""
    dtype = numeric_type(call, constant)
    codes = constant.array.astype(np.int64)
    scale, zero, axis = _parameters(call, codes.shape)
    return Constant.of_codes(call.site.name, Coded(codes, dtype, scale, zero, axis))


def misplaced(call: Call, name: str) -> ImportModelError:
    """The error for an operator on reals that is given codes."""
    return call.site.fail(
        f"Its operand '{name}' is {call.site.type_of(name).dtype}, codes without a scale.",
        "Put a DequantizeLinear before it, or use the operator of onnxruntime for codes.",
    )


_AXIS = Attribute("axis", "int", 1)
_BLOCK = Attribute("block_size", "int", 0)
_DTYPE = Attribute("output_dtype", "int", 0)
_LIMITS = "2 to 16 bits, per tensor or per channel, constant scales"

TRANSLATORS: dict[str, Translator] = {
    "QuantizeLinear": Translator(
        (
            _AXIS,
            _BLOCK,
            _DTYPE,
            Attribute("saturate", "int", 1, only=(0, 1)),
            Attribute("precision", "int", 0),
        ),
        _quantize,
        limits=_LIMITS,
    ),
    "DequantizeLinear": Translator(
        (_AXIS, _BLOCK, _DTYPE), _dequantize, limits=_LIMITS, codes=True
    ),
}
MICROSOFT: dict[str, Translator] = {
    "QuantizeLinear": Translator((_AXIS,), _quantize, limits=_LIMITS),
    "DequantizeLinear": Translator((_AXIS,), _dequantize, limits=_LIMITS, codes=True),
}
