"""ATen operators that compute: layers with weights, pools, activations and arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.ops_layout import Ints
from ...ir.ops_pointwise import Relu, Unary
from ..emit import pool as pools
from ..emit.arithmetic import Arithmetic, clip, combine, hard_sigmoid, number
from ..emit.linear import batch_norm, conv, dense, gemm, transposed
from ..emit.matmul import matmul
from ..emit.product import attention, softmax
from ..emit.site import Constant
from ..emit.transposed import conv_transposed, transposed_size
from ..emit.window import Window, same_size, window
from .call import AtenCall, AtenTranslator


def _window(call: AtenCall, x: str, kernel: Ints, padding: Ints, most: int = 2) -> Window:
    """A window from arguments that may give one number for all axes."""
    axes = len(kernel)

    def each(values: Ints) -> Ints:
        return values * axes if len(values) == 1 else values

    stride = each(call.ints("stride"))
    dilation = each(call.ints("dilation")) if "dilation" in call.arguments else ()
    return window(call.site, x, kernel, stride, dilation, each(padding), each(padding), most)


def _conv(call: AtenCall) -> str:
    x, weight = call.activation("input"), call.constant("weight")
    kernel = weight.array.shape[2:]
    named = call["padding"] in ("same", "valid")
    made = _window(call, x, kernel, (0,) if named else call.ints("padding"))
    if call["padding"] == "same":
        made = same_size(pools.spatial(call.site, x), made, upper=True)
    return conv(call.site, x, weight, call.optional("bias"), made, call["groups"])


def _conv_transposed(call: AtenCall) -> str:
    x, weight = call.activation("input"), call.constant("weight")
    window = _window(call, x, weight.array.shape[2:], call.ints("padding"))
    sizes, extra = pools.spatial(call.site, x), call.ints("output_padding")
    extra = extra * len(sizes) if len(extra) == 1 else extra
    result = transposed_size(sizes, window, extra)
    bias = call.optional("bias")
    return conv_transposed(call.site, x, weight, bias, window, call["groups"], result)


def _addmm(call: AtenCall) -> str:
    matrix = transposed(call.site, call.constant("mat2"))
    factors = call.real("alpha"), call.real("beta")
    return gemm(call.site, call.activation("mat1"), matrix, call.constant("self"), *factors)


def _linear(call: AtenCall) -> str:
    x, weight = call.activation("input"), call.constant("weight")
    return dense(call.site, x, weight, call.optional("bias"))


def _matmul(right: str) -> Callable[[AtenCall], str]:
    def emit(call: AtenCall) -> str:
        return matmul(call.site, call.operand("self"), call.operand(right))

    return emit


def _attention(call: AtenCall) -> str:
    query, key, value = (call.activation(name) for name in ("query", "key", "value"))
    width = call.site.type_of(query).sample_shape[-1]
    scale = call.optional_real("scale") or width**-0.5
    return attention(call.site, query, key, value, scale)


def _softmax(call: AtenCall) -> str:
    return softmax(call.site, call.activation(), call.integer("dim"))


def _batch_norm(call: AtenCall) -> str:
    x = call.activation("input")
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    ones = Constant(f"{mean.name}.ones", np.ones(mean.array.shape, dtype=np.float32))
    zeros = Constant(f"{mean.name}.zeros", np.zeros(mean.array.shape, dtype=np.float32))
    gamma, beta = call.optional("weight") or ones, call.optional("bias") or zeros
    return batch_norm(call.site, x, gamma, beta, mean, variance, call.real("eps"))


def _max_pool(call: AtenCall) -> str:
    x = call.activation()
    made = _pool_window(call, x)
    return pools.max_pool(call.site, x, made, ceil_mode=call["ceil_mode"])


def _average_pool(call: AtenCall) -> str:
    x = call.activation()
    return pools.average_pool(
        call.site,
        x,
        _pool_window(call, x),
        ceil_mode=call["ceil_mode"],
        count_border=call["count_include_pad"],
    )


def _pool_window(call: AtenCall, x: str) -> Window:
    axes = len(pools.spatial(call.site, x))
    kernel = call.ints("kernel_size")
    kernel = kernel * axes if len(kernel) == 1 else kernel
    if not call.ints("stride"):
        call = AtenCall(call.site, {**call.arguments, "stride": kernel})
    return _window(call, x, kernel, call.ints("padding"), 3)


def _adaptive_average(call: AtenCall) -> str:
    return pools.adaptive_average(call.site, call.activation(), call.ints("output_size"))


def _mean(call: AtenCall) -> str:
    axes = () if call.arguments.get("dim") is None else call.ints("dim")
    keepdims = call.arguments.get("keepdim", False)
    return pools.mean(call.site, call.activation(), axes, keepdims=keepdims)


def _arithmetic(operator: Arithmetic) -> Callable[[AtenCall], str]:
    def emit(call: AtenCall) -> str:
        right = call.operand("other")
        if call.arguments.get("alpha", 1) != 1:
            factor = number(call.real("alpha"))
            right = _product(call, right, factor)
        return combine(call.site, operator, call.operand("self"), right)

    return emit


def _product(call: AtenCall, operand: str | Constant, factor: Constant) -> str | Constant:
    if isinstance(operand, str):
        return combine(call.site.step("alpha"), "mul", operand, factor)
    return Constant(f"{operand.name}.{factor.name}", operand.array * factor.array)


def _reversed_sub(call: AtenCall) -> str:
    return combine(call.site, "sub", call.operand("other"), call.activation())


def _clamp(low: str, high: str) -> Callable[[AtenCall], str]:
    def emit(call: AtenCall) -> str:
        lo, hi = call.optional_real(low), call.optional_real(high)
        return clip(call.site, call.activation(), lo, hi)

    return emit


def _unary(function: str, argument: str = "") -> AtenTranslator:
    def emit(call: AtenCall) -> str:
        alpha = float(np.float32(call.real(argument))) if argument else 0.0
        return call.site.emit(Unary(function, alpha), call.activation())

    return AtenTranslator(("self", argument), emit)


_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = AtenTranslator((*_CONV, "output_padding"), _conv_transposed)
_NORM = ("input", "weight", "bias", "running_mean", "running_var", "eps")
_POOL = ("self", "kernel_size", "stride", "padding", "ceil_mode")
_BINARY = ("self", "other", "alpha")
_MAX_POOL = AtenTranslator((*_POOL, "dilation"), _max_pool)
_AVERAGE_POOL = AtenTranslator((*_POOL, "count_include_pad"), _average_pool)
_ADAPTIVE = AtenTranslator(("self", "output_size"), _adaptive_average)

TRANSLATORS: dict[str, AtenTranslator] = {
    "conv1d": AtenTranslator(_CONV, _conv),
    "conv2d": AtenTranslator(_CONV, _conv),
    "convolution": AtenTranslator(
        _CONV, _conv, ignored=("output_padding",), only=(("transposed", False),)
    ),
    "conv_transpose1d": _TRANSPOSED,
    "conv_transpose2d": _TRANSPOSED,
    "linear": AtenTranslator(("input", "weight", "bias"), _linear),
    "addmm": AtenTranslator(("self", "mat1", "mat2", "alpha", "beta"), _addmm),
    "mm": AtenTranslator(("self", "mat2"), _matmul("mat2")),
    "matmul": AtenTranslator(("self", "other"), _matmul("other")),
    "bmm": AtenTranslator(("self", "mat2"), _matmul("mat2")),
    "softmax": AtenTranslator(("self", "dim"), _softmax),
    "_softmax": AtenTranslator(("self", "dim"), _softmax),
    "scaled_dot_product_attention": AtenTranslator(("query", "key", "value", "scale"), _attention),
    "_native_batch_norm_legit_no_training": AtenTranslator(
        _NORM, lambda call: (_batch_norm(call),), ignored=("momentum",)
    ),
    "max_pool1d": _MAX_POOL,
    "max_pool2d": _MAX_POOL,
    "max_pool2d_with_indices": AtenTranslator(_MAX_POOL.arguments, lambda call: (_max_pool(call),)),
    "max_pool3d": _MAX_POOL,
    "avg_pool3d": _AVERAGE_POOL,
    "avg_pool1d": _AVERAGE_POOL,
    "avg_pool2d": _AVERAGE_POOL,
    "adaptive_avg_pool1d": _ADAPTIVE,
    "adaptive_avg_pool2d": _ADAPTIVE,
    "_adaptive_avg_pool2d": _ADAPTIVE,
    "mean": AtenTranslator(("self", "dim", "keepdim"), _mean),
    "add": AtenTranslator(_BINARY, _arithmetic("add")),
    "sub": AtenTranslator(_BINARY, _arithmetic("sub")),
    "mul": AtenTranslator(_BINARY, _arithmetic("mul")),
    "div": AtenTranslator(_BINARY, _arithmetic("div")),
    "rsub": AtenTranslator(("self", "other"), _reversed_sub),
    "relu": AtenTranslator(("self",), lambda call: call.site.emit(Relu(), call.activation())),
    "relu6": AtenTranslator(("self",), lambda call: clip(call.site, call.activation(), 0.0, 6.0)),
    "hardtanh": AtenTranslator(("self", "min_val", "max_val"), _clamp("min_val", "max_val")),
    "clamp": AtenTranslator(("self", "min", "max"), _clamp("min", "max")),
    "clamp_min": AtenTranslator(("self", "min"), _clamp("min", "")),
    "clamp_max": AtenTranslator(("self", "max"), _clamp("", "max")),
    "leaky_relu": _unary("leaky_relu", "negative_slope"),
    "elu": _unary("elu", "alpha"),
    "sigmoid": _unary("sigmoid"),
    "tanh": _unary("tanh"),
    "hardswish": _unary("hard_swish"),
    "hardsigmoid": AtenTranslator(
        ("self",),
        lambda call: hard_sigmoid(call.site, call.activation(), float(np.float32(1 / 6)), 0.5),
    ),
    "silu": _unary("silu"),
    "abs": _unary("abs"),
    "exp": _unary("exp"),
    "sqrt": _unary("sqrt"),
    "neg": _unary("neg"),
}
