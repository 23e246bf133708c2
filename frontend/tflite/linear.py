"""CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV in a runtime's own arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ...ir.interval import Interval
from ...ir.numeric import Array
from ...ir.ops_linear import Conv, Dense
from ...ir.windows import Pads, Pair
from ..emit.layout import reshape, transpose
from ..emit.site import Site
from ..emit.transposed import interleaved
from ..emit.window import Window, window
from .arithmetic import INT32_REACH, Multiplier
from .call import Call, Result, Translator
from .codes import accumulate, requantize, threshold
from .dialect import Linear
from .model import Tensor
from .reference import TFLITE
from .window import pads_of


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """Weights less their zero points, ``(co, ...)``, their scales, and the bias, ``(co,)``.

    ``bias_scales`` are those that the file states for the bias, none, one or ``(co,)``.
    """

    x: Tensor
    weight: Array
    scales: Array
    bias: Array
    bias_scales: Array

    @property
    def filters(self) -> int:
        """How many there are."""
        return len(self.weight)


def layer_of(call: Call, filter_: int, bias: int, axis: int, *, x: int = 0) -> Layer:
    """The constants of a layer whose filters lie along ``axis`` of operand ``filter_``."""
    tensor, data = call.tensor(filter_), call.constant(filter_)
    source = call.tensor(x)
    fits = tensor.type_name in ("int8", "int4") and tensor.is_codes
    if (
        not fits
        or source.type_name not in ("int8", "int16")
        or call.y.type_name != source.type_name
    ):
        raise call.site.fail(
            f"It computes {call.y.type_name} from {source.type_name} and weights of "
            f"{tensor.type_name}.",
            "Supported are int8, or int16 with int8 weights, all with scales.",
        )
    weight = np.moveaxis(data.astype(np.int64), axis, 0)
    count = len(weight)
    if tensor.scales.size > 1 and tensor.axis != axis:
        raise call.site.fail(
            f"The scales of '{tensor.name}' lie along axis {tensor.axis}, not {axis}.",
            "Convert the model again.",
        )
    weight = weight - tensor.zero_points.reshape(-1, *(1,) * (weight.ndim - 1))
    offsets = call.constant(bias).astype(np.int64) if call.has(bias) else np.zeros(count, np.int64)
    if offsets.shape != (count,):
        raise call.site.fail(
            f"Its bias has the shape {offsets.shape}.", f"It must have {count} elements."
        )
    if call.is_wide:
        _check_wide(call, source, bias)
    stated = call.tensor(bias).scales if call.has(bias) else np.zeros(0, np.float32)
    return Layer(source, weight, tensor.scales, offsets, stated)


def _check_wide(call: Call, x: Tensor, bias: int) -> None:
    """Raise ImportModelError unless 16-bit codes are summed and rescaled as 64-bit integers are."""
    if x.zero_point or call.y.zero_point:
        raise call.site.fail(
            f"Its zero points are {x.zero_point} and {call.y.zero_point}.",
            "Codes of 16 bits must have the zero point 0.",
        )
    exact = call.state.dialect is None
    if call.has(bias) and call.tensor(bias).type_name != "int64" and not exact:
        raise call.site.fail(
            f"Its bias is {call.tensor(bias).type_name}: the runtime then rescales 32-bit sums by "
            "rules that depend on the machine.",
            "Convert it with int64 biases, or import with semantics='onnx'.",
        )
    by_default = call.state.dialect is not None and call.state.dialect.name != TFLITE.name
    if call.kind == "FULLY_CONNECTED" and by_default and not call.has(bias):
        raise call.site.fail(
            "It has no bias: LiteRT's default then rescales 32-bit sums by rules that depend on "
            "the machine.",
            "Give it an int64 bias, or import with semantics='tflite'.",
        )


def rescaled(
    call: Call, site: Site, acc: str, reach: Interval, layer: Layer, filters: Array | None = None
) -> str:
    """The codes of a layer's sums; ``filters`` are the weights as they were convolved."""
    weight = layer.weight if filters is None else filters
    copies, x = len(weight) // layer.filters, layer.x
    sums = weight.reshape(len(weight), -1).sum(axis=1)
    offset = np.repeat(layer.bias, copies) - x.zero_point * sums
    scales = np.repeat(layer.scales, copies) if layer.scales.size > 1 else layer.scales
    bounds = call.dialect.bounds(call.options["fused_activation_function"], call.y)
    if call.is_wide and call.kind != "FULLY_CONNECTED":
        return requantize(call, site, acc, multipliers_of(x, scales, call.y), bounds, offset)
    f = call.dialect.linear(Linear(call.kind, x, call.y, scales))
    if call.is_wide and scales.size == 1 and not offset.any():
        return threshold(call, site, acc, reach.hull, f, bounds)
    return threshold(call, site, acc, reach, f, bounds, offset)


def multipliers_of(x: Tensor, scales: Array, y: Tensor) -> tuple[Multiplier, ...]:
    """The reference kernels' multipliers of a layer."""
    factors = float(x.scale) * scales.astype(np.float64) / float(y.scale)
    return tuple(map(Multiplier.of, factors.tolist()))


def planar(call: Call) -> tuple[Pair, Pair]:
    """Strides and dilations."""
    options = call.options
    strides = (options["stride_h"], options["stride_w"])
    return strides, (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1))


def window_op(call: Call, kernel: Pair, groups: int) -> Conv:
    """The conv of an operator with SAME or VALID padding; its border is the zero point."""
    strides, dilations = planar(call)
    height, width = call.tensor(0).shape[1:3]
    pads: Pads = pads_of(
        call.site, call.options["padding"], (height, width), kernel, strides, dilations
    )
    return Conv(strides, pads, dilations, groups, call.tensor(0).zero_point)


def check_rank(call: Call, layer: Layer) -> None:
    """Raise ImportModelError unless input and weights are of rank 4."""
    if len(layer.x.shape) != 4 or layer.weight.ndim != 4:
        raise call.site.fail(
            f"Its input has {len(layer.x.shape)} axes and its weights {layer.weight.ndim}.",
            "Both must have 4: convert the model again.",
        )


def _convolution(call: Call) -> Result:
    x = call.codes(0)
    layer = layer_of(call, 1, 2, 0)
    check_rank(call, layer)
    weight = layer.weight.transpose(0, 3, 1, 2)
    channels, depth = call.tensor(0).shape[3], weight.shape[1]
    op = window_op(call, weight.shape[2:4], max(channels // max(depth, 1), 1))
    acc, reach = accumulate(call.site.step("acc"), op, x, weight)
    return Result(rescaled(call, call.site, acc, reach, layer), "planes")


def _depthwise(call: Call) -> Result:
    x = call.codes(0)
    layer = layer_of(call, 1, 2, 3)
    check_rank(call, layer)
    op = window_op(call, layer.weight.shape[2:4], call.tensor(0).shape[3])
    acc, reach = accumulate(call.site.step("acc"), op, x, layer.weight)
    return Result(rescaled(call, call.site, acc, reach, layer), "planes")


def _fully_connected(call: Call) -> Result:
    layer = layer_of(call, 1, 2, 0)
    if call.options["weights_format"]:
        raise call.site.fail("Its weights are shuffled.", "Convert the model again.")
    x = rows_of(call, layer.weight.shape)
    site = call.site
    if len(site.type_of(x).shape) == 2:
        constants, layer = _summed(call, layer)
        acc, reach = accumulate(site.step("acc"), Dense(), x, layer.weight, *constants)
        inner = site if len(call.y.shape) == 2 else site.step("codes")
        return shaped(call, rescaled(call, inner, acc, reach, layer))
    rows, depth = site.type_of(x).sample_shape
    turned = transpose(site.step("columns"), x, (0, 2, 1))
    image = reshape(site.step("image"), turned, (depth, rows, 1))
    weight = layer.weight[:, :, None, None]
    constants, layer = _summed(call, layer)
    acc, reach = accumulate(site.step("acc"), Conv(), image, weight, *constants)
    codes = rescaled(call, site.step("codes"), acc, reach, layer)
    flat = reshape(site.step("flat"), codes, (layer.filters, rows))
    return shaped(call, transpose(site.step("rows"), flat, (0, 2, 1)))


def _summed(call: Call, layer: Layer) -> tuple[tuple[Array, ...], Layer]:
    """A bias to add to the sums of 16-bit codes, whose layer then has none.

    65,535 steps per filter would be much to store: filters of one scale share them.
    """
    reach = np.abs(layer.weight).sum(axis=1) * -layer.x.dtype.lo + np.abs(layer.bias)
    if not call.is_wide or layer.scales.size > 1 or int(reach.max()) > INT32_REACH:
        return (), layer
    return (layer.bias,), replace(layer, bias=np.zeros_like(layer.bias))


def rows_of(call: Call, weight: tuple[int, ...]) -> str:
    """The input as ``(n, k)``, or as ``(n, m, k)`` if each sample has several rows."""
    call.codes(0, "file")
    elements = prod(call.tensor(0).shape[1:])
    if len(weight) != 2 or weight[1] < 1 or elements % weight[1]:
        raise call.site.fail(
            f"Its input {call.tensor(0).shape} does not fit its weights {weight}.",
            "Convert the model again.",
        )
    shape = (weight[1],) if elements == weight[1] else (elements // weight[1], weight[1])
    x = call.value(0, "file")
    flat = call.site.type_of(x).sample_shape == shape
    return x if flat else reshape(call.site.step("in"), x, shape)


def shaped(call: Call, made: str) -> Result:
    """A value in the file's order with the shape of the output."""
    return Result(reshape(call.site, made, call.y.shape[1:]), "file")


def _transposed(call: Call) -> Result:
    x = call.codes(2)
    layer = layer_of(call, 1, 3, 0, x=2)
    check_rank(call, layer)
    kernel = layer.weight.transpose(3, 0, 1, 2)
    (sh, sw), _ = planar(call)
    if call.dialect.name == "xnnpack" and (kernel.shape[2] < sh or kernel.shape[3] < sw):
        raise call.site.fail(
            f"Its kernel {kernel.shape[2:]} is smaller than its strides {(sh, sw)}: XNNPACK leaves "
            "it to a kernel that is not reproduced.",
            "Use semantics 'tflite'.",
        )
    given, sizes = transposed_window(call, x, kernel.shape[2:])

    def convolve(site: Site, image: str, filters: Array, border: Pads) -> str:
        op = Conv(pads=border, pad_value=layer.x.zero_point)
        acc, reach = accumulate(site.step("acc"), op, image, filters)
        return rescaled(call, site, acc, reach, layer, filters)

    return Result(interleaved(call.site, x, kernel, given, sizes, convolve), "planes")


def transposed_window(call: Call, x: str, kernel: Pair) -> tuple[Window, Pair]:
    """The window of a TRANSPOSE_CONV and the sizes of its result."""
    strides, _ = planar(call)
    height, width = call.y.shape[1:3]
    pads = pads_of(call.site, call.options["padding"], (height, width), kernel, strides, (1, 1))
    made = window(call.site, x, kernel, strides, (1, 1), pads[:2], pads[2:])
    return made, (height, width)


TRANSLATORS: dict[str, Translator] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed,
}
