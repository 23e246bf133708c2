"""ONNX operators that normalize, compare or add up along axes."""

from __future__ import annotations

from collections.abc import Callable

from ..emit.layout import axis_of, place, places, source_shape
from ..emit.norm import arg_max, arg_min, inverse_deviation, layer_norm, prelu
from ..emit.pool import mean, total
from ..emit.site import Operand
from .call import Attribute, Call, Translator


def _layer_norm(call: Call) -> tuple[Operand, ...]:
    x, epsilon = call.activation(), call.attributes["epsilon"]
    rank, whole = len(source_shape(call.site, x)), len(call.site.type_of(x).shape)
    first = axis_of(call.site, place(call.site, call.attributes["axis"], rank), whole)
    axes = tuple(range(first, whole))
    results: list[Operand] = [
        layer_norm(call.site, x, axes, call.optional(1), call.optional(2), epsilon)
    ]
    for index, site in enumerate(call.outputs[1:], 1):
        if site.name not in call.read:
            results.append("")
        elif index == 1:
            results.append(mean(site, x, axes, keepdims=True))
        else:
            results.append(inverse_deviation(site, x, axes, epsilon))
    return tuple(results)


def _arg(emit: Callable[..., str]) -> Callable[[Call], str]:
    def translate(call: Call) -> str:
        x, given = call.activation(), call.attributes
        rank, whole = len(source_shape(call.site, x)), len(call.site.type_of(x).shape)
        axis = axis_of(call.site, place(call.site, given["axis"], rank), whole)
        keepdims, last = bool(given["keepdims"]), bool(given["select_last_index"])
        return emit(call.site, x, axis, keepdims=keepdims, last=last)

    return translate


def _reduce(emit: Callable[..., str]) -> Callable[[Call], str]:
    def translate(call: Call) -> str:
        x, axes = call.activation(), call.ints("axes", 1) or ()
        if not axes and call.attributes["noop_with_empty_axes"]:
            return x
        rank = len(source_shape(call.site, x))
        found = places(call.site, axes or range(rank), rank)
        return emit(call.site, x, found, keepdims=bool(call.attributes["keepdims"]))

    return translate


def _prelu(call: Call) -> str:
    return prelu(call.site, call.activation(), call.constant(1))


_KEEPDIMS = Attribute("keepdims", "int", 1, only=(0, 1))
_REDUCE = (
    Attribute("axes", "ints"),
    _KEEPDIMS,
    Attribute("noop_with_empty_axes", "int", 0, only=(0, 1)),
)
_ARG = (
    Attribute("axis", "int", 0),
    _KEEPDIMS,
    Attribute("select_last_index", "int", 0, only=(0, 1)),
)

TRANSLATORS: dict[str, Translator] = {
    "LayerNormalization": Translator(
        (
            Attribute("axis", "int", -1),
            Attribute("epsilon", "float", 1e-5),
            Attribute("stash_type", "int", 1),
        ),
        _layer_norm,
        limits="constant scale and bias, not over the batch",
    ),
    "ArgMax": Translator(_ARG, _arg(arg_max), limits="not along the batch", codes=True),
    "ArgMin": Translator(_ARG, _arg(arg_min), limits="not along the batch"),
    "ReduceMean": Translator(_REDUCE, _reduce(mean), limits="not over the batch"),
    "ReduceSum": Translator(_REDUCE, _reduce(total), limits="not over the batch"),
    "PRelu": Translator((), _prelu, limits="a constant slope"),
}
