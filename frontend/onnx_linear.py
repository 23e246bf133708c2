"""ONNX operators with weights: Conv, Gemm, MatMul, BatchNormalization."""

from __future__ import annotations

from .emit import Constant, rearrange
from .emit_layout import reshape
from .emit_linear import batch_norm, conv, dense, gemm, transposed
from .emit_product import matmul
from .onnx_call import Attribute, Call, Translator
from .onnx_window import PADS, window_of


def _conv(call: Call) -> str:
    kernel = call.constant(1)
    x = call.activation()
    sizes = kernel.array.shape[2:]
    if call.attributes["kernel_shape"] not in (None, sizes):
        raise call.site.fail(
            f"Attribute 'kernel_shape' = {call.attributes['kernel_shape']} differs from the weight "
            f"'{kernel.name}' of shape {kernel.array.shape}.",
            "Export the model again.",
        )
    group = call.attributes["group"]
    if group < 1:
        raise call.site.fail(f"Attribute 'group' = {group}.", "It must be positive.")
    window = window_of(call, x, sizes)
    return conv(call.site, x, kernel, call.optional(2), window, group)


def _gemm(call: Call) -> str:
    x, matrix = call.activation(), call.constant(1)
    if call.attributes["transA"]:
        raise call.site.fail(
            f"Attribute 'transA' = 1 moves the batch of '{x}' behind its elements.",
            "Axis 0 is the batch and must stay first: transpose the weight instead.",
        )
    columns = matrix if call.attributes["transB"] else transposed(call.site, matrix)
    alpha, beta = call.attributes["alpha"], call.attributes["beta"]
    return gemm(call.site, x, columns, call.optional(2), alpha, beta)


def _matmul(call: Call) -> str:
    x, matrix = call.operand(0), call.operand(1)
    if not isinstance(matrix, Constant) or matrix.array.ndim != 1:
        return matmul(call.site, x, matrix)
    row = rearrange(call.site, matrix, "row", lambda array: array[None, :])
    column = dense(call.site.step("column"), call.activation(), row, None)
    return reshape(call.site, column, call.site.type_of(column).sample_shape[:-1])


def _batch_norm(call: Call) -> str:
    site = call.alone("batch mean")
    x = call.activation()
    gamma, beta, mean, variance = (call.constant(index) for index in range(1, 5))
    return batch_norm(site, x, gamma, beta, mean, variance, call.attributes["epsilon"])


TRANSLATORS: dict[str, Translator] = {
    "Conv": Translator(
        (*PADS, Attribute("group", "int", 1)), _conv, limits="1-D and 2-D, constant weights"
    ),
    "Gemm": Translator(
        (
            Attribute("alpha", "float", 1.0),
            Attribute("beta", "float", 1.0),
            Attribute("transA", "int", 0, only=(0, 1)),
            Attribute("transB", "int", 0, only=(0, 1)),
        ),
        _gemm,
        limits="constant weights, transA = 0",
    ),
    "MatMul": Translator(
        (), _matmul, limits="two activations of one rank, or one and a constant matrix"
    ),
    "BatchNormalization": Translator(
        (
            Attribute("epsilon", "float", 1e-5),
            Attribute("momentum", "float", 0.9),
            Attribute("training_mode", "int", 0, only=(0,)),
            Attribute("spatial", "int", 1, only=(1,)),
        ),
        _batch_norm,
        limits="inference",
    ),
}
