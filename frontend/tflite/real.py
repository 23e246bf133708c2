"""The ``onnx`` semantics: exact arithmetic on the reals that codes stand for, rounded half to even.

Each operator becomes dequantize, a real operator, quantize; lowering derives the integers with
certificates. Operators that only move codes are those of the other semantics.
"""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array, NumericType, narrowest
from ...ir.ops_linear import Conv
from ...ir.ops_pointwise import Add, Clip, Relu, Unary
from ...ir.ops_pool import MaxPool
from ...ir.ops_quant import Dequantize, Quantize
from ...ir.ops_softmax import Softmax
from ...ir.tensor import real
from ..emit import pool
from ..emit.layout import reshape
from ..emit.linear import affine, conv, dense
from ..emit.product import multiply
from ..emit.site import Coded, Constant, Site
from ..emit.transposed import conv_transposed
from ..emit.window import window
from .call import Call, Order, Result, Translator
from .linear import (
    Layer,
    check_rank,
    layer_of,
    rows_of,
    shaped,
    transposed_window,
    window_op,
)
from .model import Tensor
from .pair import per_channel
from .pool import axes_of, window_of
from .prelu import exact_prelu
from .reference import RELUS
from .resize import exact_bilinear


def dequantized(call: Call, index: int, order: Order = "planes") -> str:
    """The reals of an operand."""
    return dequantize(call.site.step(f"real{index}"), call.codes(index, order), call.tensor(index))


def dequantize(site: Site, codes: str, tensor: Tensor) -> str:
    """The reals of codes."""
    scale = site.draft.builder.constant(f"{site.name}.scale", real(np.asarray(tensor.scale)))
    zero = site.integers(f"{site.name}.zero_point", np.asarray(tensor.zero_point))
    return site.emit(Dequantize(), codes, scale, zero)


def quantized(call: Call, made: str) -> str:
    """The codes of the output, after its fused activation."""
    function = call.options.get("fused_activation_function", 0)
    kind = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}.get(function)
    if kind is not None:
        made = clipped(call.site.step("activation"), made, kind)
    site, y = call.site, call.y
    scale = site.draft.builder.constant(f"{site.name}.scale", real(np.asarray(y.scale)))
    zero = site.integers(f"{site.name}.zero_point", np.asarray(y.zero_point))
    return site.emit(Quantize(y.dtype), made, scale, zero, encoding=call.encoding)


def clipped(site: Site, made: str, kind: str) -> str:
    """A relu of reals."""
    lo, hi = RELUS[kind]
    return site.emit(Relu() if kind == "RELU" else Clip(lo, hi), made)


def _constants(
    call: Call, layer: Layer, weight: Array, name: str, axis: int = 0
) -> tuple[Constant, Constant]:
    """Weights, filters along ``axis``, and the bias, as codes."""
    dtype = NumericType("int", 9 if np.abs(weight).max(initial=0) > 127 else 8)
    zero = np.zeros(layer.scales.size, np.int64)
    scales = layer.scales if layer.scales.size > 1 else layer.scales[0]
    zeros = zero if layer.scales.size > 1 else np.asarray(0)
    coded = Coded(weight, dtype, np.asarray(scales), zeros, axis)
    return Constant.of_codes(f"{name}.weight", coded), _bias(layer, f"{name}.bias")


def _bias(layer: Layer, name: str) -> Constant:
    """The codes of a bias with the scale that the file states; without one, that of the sums."""
    scales = layer.bias_scales if layer.bias_scales.size else layer.x.scale * layer.scales
    if scales.size == 1:
        scales = scales.reshape(())
    dtype = narrowest(int(layer.bias.min(initial=0)), int(layer.bias.max(initial=0)))
    zeros = np.zeros(scales.shape, np.int64)
    return Constant.of_codes(name, Coded(layer.bias, dtype, scales, zeros, 0))


def _linear(call: Call, weight: Array, layer: Layer, op: Conv) -> str:
    x = dequantized(call, 0)
    site = call.site.step("sum")
    kernel, bias = _constants(call, layer, weight, call.site.name)
    given = window(site, x, weight.shape[2:], op.strides, op.dilations, op.pads[:2], op.pads[2:])
    return conv(site, x, kernel, bias, given, op.groups)


def _convolution(call: Call) -> Result:
    layer = layer_of(call, 1, 2, 0)
    check_rank(call, layer)
    weight = layer.weight.transpose(0, 3, 1, 2)
    groups = max(call.tensor(0).shape[3] // max(weight.shape[1], 1), 1)
    op = window_op(call, weight.shape[2:4], groups)
    return Result(quantized(call, _linear(call, weight, layer, op)), "planes")


def _depthwise(call: Call) -> Result:
    layer = layer_of(call, 1, 2, 3)
    check_rank(call, layer)
    op = window_op(call, layer.weight.shape[2:4], call.tensor(0).shape[3])
    return Result(quantized(call, _linear(call, layer.weight, layer, op)), "planes")


def _transposed(call: Call) -> Result:
    """Filters along axis 1, as those of a transposed convolution lie."""
    layer = layer_of(call, 1, 3, 0, x=2)
    check_rank(call, layer)
    x, site = dequantized(call, 2), call.site.step("sum")
    given, sizes = transposed_window(call, x, layer.weight.shape[1:3])
    kernel, bias = _constants(call, layer, layer.weight.transpose(3, 0, 1, 2), call.site.name, 1)
    return Result(
        quantized(call, conv_transposed(site, x, kernel, bias, given, 1, sizes)), "planes"
    )


def _fully_connected(call: Call) -> Result:
    layer = layer_of(call, 1, 2, 0)
    site = call.site
    x = dequantize(site.step("real0"), rows_of(call, layer.weight.shape), call.tensor(0))
    made = dense(site.step("sum"), x, *_constants(call, layer, layer.weight, site.name))
    if len(call.y.shape) == len(site.type_of(made).shape):
        return Result(quantized(call, made), "file")
    return shaped(call, quantized(call, reshape(site.step("rows"), made, call.y.shape[1:])))


_FACTORS = {"ADD": (1, 1), "SUB": (1, -1)}


def _sum(call: Call) -> Result:
    order = call.result(1 if call.is_constant(0) else 0).order
    if call.is_constant(0) or call.is_constant(1):
        place = 1 if call.is_constant(0) else 0
        own, other = (_FACTORS[call.kind][i] for i in (place, 1 - place))
        shift = other * _reals(call, 1 - place)
        scale = np.full(shift.shape, own, np.float64)
        return _affine(call, place, order, scale, shift)
    names = dequantized(call, 0, order), dequantized(call, 1, order)
    made = call.site.step("sum").emit(Add(_FACTORS[call.kind]), *names)
    return Result(quantized(call, made), order)


def _reals(call: Call, index: int) -> Array:
    """A constant operand: one real, or one per channel."""
    tensor = call.tensor(index)
    return float(tensor.scale) * (per_channel(call, index) - tensor.zero_point).astype(np.float64)


def _affine(call: Call, place: int, order: Order, scale: Array, shift: Array) -> Result:
    if scale.size > 1 and len(call.y.shape) not in (2, 4):
        raise call.site.fail(
            "It combines several axes with one constant per channel.",
            "Only images and vectors are supported there.",
        )
    order = "planes" if scale.size > 1 else order
    factors = (
        Constant(f"{call.site.name}.{name}", each if each.size > 1 else each.reshape(()))
        for name, each in (("factor", scale), ("shift", shift))
    )
    made = affine(call.site.step("affine"), dequantized(call, place, order), *factors)
    return Result(quantized(call, made), order)


def _product(call: Call) -> Result:
    place = 1 if call.is_constant(0) else 0
    order = call.result(place).order
    if call.is_constant(0) or call.is_constant(1):
        factor = _reals(call, 1 - place)
        return _affine(call, place, order, factor, np.zeros(factor.shape))
    names = dequantized(call, 0, order), dequantized(call, 1, order)
    return Result(quantized(call, multiply(call.site.step("product"), *names)), order)


def _average_pool(call: Call) -> Result:
    kernel, strides, pads = window_of(call)
    x = dequantized(call, 0)
    site = call.site.step("mean")
    given = window(site, x, kernel, strides, (1, 1), pads[:2], pads[2:])
    return Result(quantized(call, pool.average_pool(site, x, given)), "planes")


def _max_pool(call: Call) -> Result:
    kernel, strides, pads = window_of(call)
    if not call.options["fused_activation_function"]:
        op = MaxPool(kernel, strides, pads)
        return Result(call.site.emit(op, call.codes(0), encoding=call.encoding), "planes")
    pooled = call.site.step("pool").emit(MaxPool(kernel, strides, pads), dequantized(call, 0))
    return Result(quantized(call, pooled), "planes")


def _mean(call: Call) -> Result:
    axes = axes_of(call)
    x = dequantized(call, 0, "file")
    made = pool.mean(
        call.site.step("mean"),
        x,
        sorted(axes),
        keepdims=len(call.y.shape) == len(call.tensor(0).shape),
    )
    return Result(quantized(call, made), "file")


_UNARY = {
    "LOGISTIC": "sigmoid",
    "TANH": "tanh",
    "HARD_SWISH": "hard_swish",
    "LEAKY_RELU": "leaky_relu",
}


def _unary(call: Call) -> Result:
    order = call.result().order
    x = dequantized(call, 0, order)
    site = call.site.step("function")
    if call.kind in RELUS:
        made = clipped(site, x, call.kind)
    elif call.kind == "QUANTIZE":
        made = x
    else:
        made = site.emit(Unary(_UNARY[call.kind], float(call.options.get("alpha", 0.0))), x)
    return Result(quantized(call, made), order)


def _softmax(call: Call) -> Result:
    rank = len(call.tensor(0).shape)
    if call.options["beta"] != 1:
        raise call.site.fail(f"Its beta is {call.options['beta']}.", "Only 1 is supported.")
    x = dequantized(call, 0)
    made = call.site.step("softmax").emit(Softmax(1 if rank == 4 else rank - 1), x)
    return Result(quantized(call, made), "planes")


def requantized(call: Call) -> Result:
    """QUANTIZE: of reals at the beginning, or from one scale to another."""
    if call.tensor(0).type_name == "float32":
        x = call.result()
        return Result(quantized(call, x.name), x.order)
    return _unary(call)


TRANSLATORS: dict[str, Translator] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed,
    "PRELU": exact_prelu,
    "RESIZE_BILINEAR": exact_bilinear,
    "ADD": _sum,
    "SUB": _sum,
    "MUL": _product,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "SOFTMAX": _softmax,
    "QUANTIZE": requantized,
    **dict.fromkeys((*_UNARY, *RELUS), _unary),
}
