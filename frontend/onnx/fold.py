"""Computing constant parts of an ONNX graph at import time: shapes, and rearranged weights.

A shape is an int64 array, or an object array in which BATCH_SIZE stands for the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ...ir.numeric import Array
from ..emit.batch_size import BatchSize
from ..emit.layout import source_shape
from ..emit.site import Constant, Operand, charge, check_size
from .call import Attribute, Call, Translator

FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
MAX_FOLDED = 1 << 24  # elements
FOLDING = 16  # weight of a folded element: unlike others, it took no room in the file
AXIS_0 = Attribute("axis", "int", 0)
_VALUES: dict[str, Callable[[Any], Array]] = {
    "value": np.asarray,
    "value_float": lambda value: np.asarray(value, dtype=np.float32),
    "value_floats": lambda value: np.asarray(value, dtype=np.float32),
    "value_int": lambda value: np.asarray(value, dtype=np.int64),
    "value_ints": lambda value: np.asarray(value, dtype=np.int64),
}


def settled(values: Any) -> Array:
    """A folded result as an array; a shape in which no batch is left becomes int64."""
    array = np.asarray(values)
    if array.dtype != object or any(isinstance(size, BatchSize) for size in array.flat):
        return array
    return array.astype(np.int64)


def array(call: Call, index: int = 0) -> Array:
    """The elements of a constant operand."""
    return call.constant(index).array


def _charge(call: Call, elements: int) -> None:
    """Refuse to compute a constant that no shape and no rearranged weight is as large as."""
    check_size(call.site, elements, MAX_FOLDED)
    charge(call.site, elements * FOLDING)


def named(call: Call, values: Array) -> Constant:
    """A constant under the name of the call's output."""
    return Constant(call.site.name, values)


def shape(call: Call) -> Operand:
    """Shape: of an activation or a constant, with the attributes start and end."""
    found = call.operand(0)
    if isinstance(found, Constant):
        sizes: tuple[Any, ...] = found.array.shape
    else:
        sizes = source_shape(call.site, found)
    part = sizes[call.attributes["start"] : call.attributes["end"]]
    values = np.empty(len(part), dtype=object)
    values[:] = part
    return named(call, settled(values))


def constant(call: Call) -> Operand:
    """Constant: exactly one of its value attributes is given."""
    given = {key: value for key, value in call.attributes.items() if value is not None}
    if len(given) != 1:
        raise call.site.fail(f"It has {len(given)} values.", "Export the model again.")
    ((key, value),) = given.items()
    return named(call, _VALUES[key](value))


def constant_of_shape(call: Call) -> Array:
    """ConstantOfShape: filled with ``value``, one element."""
    sizes = call.ints("shape", 0) or ()
    if min(sizes, default=0) < 0:
        raise call.site.fail(f"It makes a tensor of shape {sizes}.", "Export the model again.")
    _charge(call, prod(sizes))
    fill = call.attributes["value"]
    return np.full(
        sizes, 0.0 if fill is None else fill.reshape(-1)[0], getattr(fill, "dtype", "f4")
    )


def range_(call: Call) -> Array:
    """Range: start, limit, delta."""
    start, limit, delta = (array(call, index).reshape(()) for index in range(3))
    if delta == 0 or any(each.dtype == object for each in (start, limit, delta)):
        raise call.site.fail("It counts by 0 or up to the batch size.", "Export the model again.")
    _charge(call, max(ceil((float(limit) - float(start)) / float(delta)), 0))
    return np.arange(start.item(), limit.item(), delta.item()).astype(start.dtype)


def gather(call: Call) -> Array:
    """Gather: elements of a constant."""
    data, indices = array(call), array(call, 1)
    _charge(call, indices.size * data.size)
    return np.take(data, indices.astype(np.int64), axis=call.attributes["axis"])


def concat(call: Call) -> Array:
    """Concat of constants."""
    parts = [array(call, index) for index in range(len(call.operands))]
    _charge(call, sum(part.size for part in parts))
    return np.concatenate(parts, axis=call.attributes["axis"])


def slice_(call: Call) -> Array:
    """Slice of a constant; steps may be negative."""
    data = array(call)
    starts, ends = call.ints("starts", 1) or (), call.ints("ends", 2) or ()
    axes = call.ints("axes", 3) or tuple(range(len(starts)))
    steps = call.ints("steps", 4) or (1,) * len(starts)
    parts = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        beyond = step < 0 and end < -data.shape[axis]
        parts[axis] = slice(start, None if beyond else end, step)
    return data[tuple(parts)]


def squeeze(call: Call) -> Array:
    """Squeeze of a constant."""
    return np.squeeze(array(call), axis=call.ints("axes", 1))


def unsqueeze(call: Call) -> Array:
    """Unsqueeze of a constant."""
    return np.expand_dims(array(call), call.ints("axes", 1) or ())


def reshape(call: Call) -> Array:
    """Reshape of a constant; 0 copies a size unless ``allowzero``."""
    data, target = array(call), list(call.ints("shape", 1) or ())
    if not call.attributes["allowzero"]:
        target = [data.shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    return data.reshape(target)


def transpose(call: Call) -> Array:
    """Transpose of a constant; the axes are reversed unless ``perm`` is given."""
    return np.transpose(array(call), call.attributes["perm"])


def cast(call: Call) -> Array:
    """Cast of a constant; a shape with the batch stays a shape."""
    data = array(call)
    if data.dtype == object:
        return data
    dtype = helper.tensor_dtype_to_np_dtype(call.attributes["to"])
    return data.astype(dtype)


def flatten(call: Call) -> Array:
    """Flatten of a constant."""
    data = array(call)
    first = prod(data.shape[: call.attributes["axis"]])
    return data.reshape(first, -1)


def elementwise(function: Callable[..., Array]) -> Callable[[Call], Array]:
    """The fold of a function of one or two constants, broadcast."""

    def fold(call: Call) -> Array:
        operands = [array(call, index) for index in range(len(call.operands))]
        _charge(call, prod(np.broadcast_shapes(*(each.shape for each in operands))))
        return np.asarray(function(*operands))

    return fold


def divide(left: Array, right: Array) -> Array:
    """Quotients; those of integers are cut toward zero."""
    if left.dtype == object or right.dtype == object:
        return np.asarray(left // right)
    if left.dtype.kind == "f":
        return np.asarray(left / right)
    return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)))


def _only_folds(call: Call) -> Operand:
    """For operators of which no operand may be an activation: refuses the first that is."""
    found = (index for index, each in enumerate(call.operands) if isinstance(each, str))
    return call.constant(next(found, 0))


CAST_ATTRIBUTES = (
    Attribute("to", "int"),
    Attribute("saturate", "int", 1, only=(1,)),
    Attribute("round_mode", "string", "up", only=("up",)),
)

TRANSLATORS: dict[str, Translator] = {
    "Constant": Translator(
        (
            Attribute("value", "tensor"),
            Attribute("value_float", "float"),
            Attribute("value_floats", "floats"),
            Attribute("value_int", "int"),
            Attribute("value_ints", "ints"),
        ),
        constant,
        limits="dense numbers",
    ),
    "ConstantOfShape": Translator(
        (Attribute("value", "tensor"),), _only_folds, constant_of_shape, "constant shapes"
    ),
    "Range": Translator((Attribute("stash_type", "int", 1),), _only_folds, range_, "constants"),
    "Pow": Translator((), _only_folds, elementwise(np.power), "constants"),
    "Gather": Translator((AXIS_0,), _only_folds, gather, "shapes and constants"),
    "Shape": Translator((Attribute("start", "int", 0), Attribute("end", "int")), shape, codes=True),
}
