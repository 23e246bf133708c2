"""ONNX operators that treat every element by itself, and those that do nothing in inference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from ...ir.numeric import FLOAT32, Array
from ...ir.ops_pointwise import Relu, Unary
from ..emit.arithmetic import Arithmetic, clip, combine, hard_sigmoid
from ..emit.site import Operand
from . import fold
from .call import Attribute, Call, Translator
from .qcodes import as_reals, clipped


def _arithmetic(operator: Arithmetic, function: Callable[..., Array]) -> Translator:
    def emit(call: Call) -> str:
        return combine(call.site, operator, call.operand(0), call.operand(1))

    limits = "one operand a constant per channel"
    if operator != "div":
        limits += ", or two activations of one shape"
    return Translator((), emit, fold.elementwise(function), limits)


def _unary(function: str, folded: Callable[..., Array] | None = None) -> Translator:
    def emit(call: Call) -> str:
        return call.site.emit(Unary(function), call.activation())

    return Translator((), emit, None if folded is None else fold.elementwise(folded))


def _with_alpha(function: str, default: float) -> Translator:
    def emit(call: Call) -> str:
        return call.site.emit(Unary(function, call.attributes["alpha"]), call.activation())

    return Translator((Attribute("alpha", "float", default),), emit)


def _relu(call: Call) -> str:
    x = call.activation()
    if call.site.type_of(x).dtype.is_integer:
        return clipped(call.site, x, 0, None)
    return call.site.emit(Relu(), x)


def _clip(call: Call) -> str:
    x, lo, hi = call.activation(), call.number("min", 1), call.number("max", 2)
    if call.site.type_of(x).dtype.is_integer:
        return clipped(call.site, x, lo, hi)
    return clip(call.site, x, lo, hi)


def _clip_constant(call: Call) -> Array:
    """Codes of a weight that leave out some of their type, as Brevitas exports them."""
    lo, hi = call.number("min", 1), call.number("max", 2)
    return np.asarray(np.clip(fold.array(call), lo, hi), dtype=fold.array(call).dtype)


def _hard_sigmoid(call: Call) -> str:
    alpha, beta = call.attributes["alpha"], call.attributes["beta"]
    return hard_sigmoid(call.site, call.activation(), alpha, beta)


def _dropout(call: Call) -> Operand:
    call.alone("mask")
    training = call.optional(2)
    if training is not None and np.any(training.array):
        raise call.site.fail("It is in training mode.", "Export the model in evaluation mode.")
    return call.operand(0)


def _cast(call: Call) -> Operand:
    """To reals, or of codes to the type that they have (torch writes it behind QuantizeLinear)."""
    found, target = call.operand(0), call.attributes["to"]
    dtype = call.site.type_of(found).dtype if isinstance(found, str) else FLOAT32
    known = onnx.TensorProto.DataType.values()
    name = onnx.TensorProto.DataType.Name(target) if target in known else str(target)
    if dtype.is_integer and name.lower() == str(dtype):
        return found
    if target not in fold.FLOATS:
        raise call.site.fail(
            f"Attribute 'to' = {name} is not supported for activations.",
            "Supported are FLOAT, DOUBLE, FLOAT16 and BFLOAT16.",
        )
    return as_reals(call.site, str(found)) if dtype.is_integer else found


TRANSLATORS: dict[str, Translator] = {
    "Add": _arithmetic("add", np.add),
    "Sub": _arithmetic("sub", np.subtract),
    "Mul": _arithmetic("mul", np.multiply),
    "Div": _arithmetic("div", fold.divide),
    "Relu": Translator((), _relu, codes=True),
    "Clip": Translator(
        (Attribute("min", "float"), Attribute("max", "float")), _clip, _clip_constant, codes=True
    ),
    "LeakyRelu": _with_alpha("leaky_relu", 0.01),
    "Elu": _with_alpha("elu", 1.0),
    "Sigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "HardSigmoid": Translator(
        (
            Attribute("alpha", "float", 0.2),
            Attribute("beta", "float", 0.5),
        ),
        _hard_sigmoid,
    ),
    "HardSwish": _unary("hard_swish"),
    "Abs": _unary("abs", np.abs),
    "Exp": _unary("exp", np.exp),
    "Sqrt": _unary("sqrt", np.sqrt),
    "Neg": _unary("neg", np.negative),
    "Cast": Translator(
        fold.CAST_ATTRIBUTES,
        _cast,
        fold.cast,
        "activations to float types or their own",
        codes=True,
    ),
    "Identity": Translator((), lambda call: call.operand(0), codes=True),
    "Dropout": Translator(
        (Attribute("ratio", "float", 0.5), Attribute("seed", "int")), _dropout, limits="inference"
    ),
}
