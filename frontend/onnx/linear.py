"""ONNX operators with weights: Conv, Gemm, MatMul, BatchNormalization."""

from __future__ import annotations

from ..emit.arithmetic import combine, number
from ..emit.layout import KEEP
from ..emit.linear import batch_norm, conv, gemm, transposed
from ..emit.matmul import matmul, swap_last
from ..emit.site import Constant, Operand, derive
from .call import Attribute, Call, Translator
from .images import over_images
from .window import PADS, window_of


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
    x, matrix, bias = call.activation(), call.operand(1), _addend(call)
    if call.attributes["transA"]:
        if call.site.draft.batched:
            raise call.site.fail(
                f"Attribute 'transA' = 1 moves the batch of '{x}' behind its elements.", KEEP
            )
        x = swap_last(call.site.step("A"), x)
    alpha, beta = call.attributes["alpha"], call.attributes["beta"]
    plain = bias is None or (isinstance(bias, Constant) and _is_row(call, bias))
    if isinstance(matrix, Constant) and plain:
        columns = matrix if call.attributes["transB"] else transposed(call.site, matrix)
        return gemm(call.site, x, columns, call.optional(2), alpha, beta)
    if isinstance(matrix, str):
        matrix = swap_last(call.site.step("B"), matrix) if call.attributes["transB"] else matrix
    elif call.attributes["transB"]:
        matrix = transposed(call.site, matrix)
    product = _scaled(call, "product", matmul(call.site.step("product"), x, matrix), alpha)
    if bias is None:
        return call.site.need_activation(product)
    return combine(call.site, "add", product, _scaled(call, "addend", bias, beta))


def _addend(call: Call) -> Operand | None:
    return call.operands[2] if len(call.operands) > 2 else None


def _is_row(call: Call, bias: Constant) -> bool:
    """Whether a constant addend may be the bias of a layer: whatever has a batch must."""
    rows = bias.array.shape[0] if bias.array.ndim == 2 else 1
    return call.site.draft.batched or rows == 1


def _scaled(call: Call, what: str, operand: Operand, factor: float) -> Operand:
    if factor == 1:
        return operand
    if isinstance(operand, Constant):
        return derive(call.site, operand, f"times_{factor:g}", lambda array: array * factor)
    return combine(call.site.step(f"{what}.scaled"), "mul", operand, number(factor))


def _matmul(call: Call) -> str:
    return matmul(call.site, call.operand(0), call.operand(1))


def _batch_norm(call: Call) -> str:
    site = call.alone("batch mean")
    x = call.activation()
    gamma, beta, mean, variance = (call.constant(index) for index in range(1, 5))
    return batch_norm(site, x, gamma, beta, mean, variance, call.attributes["epsilon"])


TRANSLATORS: dict[str, Translator] = {
    "Conv": Translator(
        (*PADS, Attribute("group", "int", 1)),
        over_images(_conv),
        limits="1-D and 2-D, constant weights",
    ),
    "Gemm": Translator(
        (
            Attribute("alpha", "float", 1.0),
            Attribute("beta", "float", 1.0),
            Attribute("transA", "int", 0, only=(0, 1)),
            Attribute("transB", "int", 0, only=(0, 1)),
        ),
        _gemm,
        limits="transA = 1 without a batch only",
    ),
    "MatMul": Translator((), _matmul, limits="with a batch, two activations have one rank"),
    "BatchNormalization": Translator(
        (
            Attribute("epsilon", "float", 1e-5),
            Attribute("momentum", "float", 0.9),
            Attribute("training_mode", "int", 0, only=(0,)),
            Attribute("spatial", "int", 1, only=(1,)),
        ),
        over_images(_batch_norm),
        limits="inference",
    ),
}
