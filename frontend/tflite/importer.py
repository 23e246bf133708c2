"""Importing TFLite models of int8 and int16 codes: ``import_tflite``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from ...errors import ImportModelError, UsageError
from ...ir.graph import Builder, Graph, Value
from ...ir.tensor import BATCH, TensorType
from ..emit.site import Draft, Site, check_size, finish, nearest
from . import linear, move, pair, pool, prelu, real, resize, unary
from .call import Call, Result, State, Translator
from .dialect import Dialect
from .model import Model, Operator, Tensor
from .read import read_model
from .reference import TFLITE
from .xnnpack import XNNPACK

TRANSLATORS: Final[dict[str, Translator]] = {
    **linear.TRANSLATORS,
    **pair.TRANSLATORS,
    **pool.TRANSLATORS,
    **unary.TRANSLATORS,
    **prelu.TRANSLATORS,
    **move.TRANSLATORS,
    **resize.TRANSLATORS,
}
REAL_TRANSLATORS: Final[dict[str, Translator]] = {
    **TRANSLATORS,
    **real.TRANSLATORS,
}
SEMANTICS: Final[Mapping[str, Dialect | None]] = {
    "tflite": TFLITE,
    "xnnpack": XNNPACK,
    "onnx": None,
}
LIMITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"),
        "16-bit codes need int64 biases",
    ),
    **dict.fromkeys(("ADD", "SUB"), "two tensors have one shape"),
    "PRELU": "constant slopes of int8",
    "SOFTMAX": "along the last axis",
    **dict.fromkeys(unary.NARROW, "8-bit codes, of 16 bits by semantics onnx"),
}
"""What else than the rest of this page is not taken, by operator."""
_SHAPED: Final = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
"""Operators whose result has the shape that the file states: only their first operand is read."""


def import_tflite(
    source: str | Path | bytes, *, semantics: str = "tflite", outputs: Sequence[str] = ()
) -> Graph:
    """The quantized graph of a TFLite model, verified, in the arithmetic named by ``semantics``.

    ``tflite``: the reference kernels; ``xnnpack``: what LiteRT runs on processors by default;
    ``onnx``: exact arithmetic on the reals that codes stand for, rounded half to even.
    Inputs and outputs keep the file's order of axes, (n, h, w, c) for images. ``outputs`` names
    tensors to stop at. Raises UsageError for a missing file or unknown semantics, ImportModelError
    for what is damaged or not supported.
    """
    if semantics not in SEMANTICS:
        raise UsageError(
            f"There are no semantics '{semantics}'.",
            where="semantics",
            fix=f"Choose one of {', '.join(SEMANTICS)}.",
        )
    model = read_model(source)
    wanted = _wanted(model, outputs)
    operators = _needed(model, set(wanted.values()))
    state = State(model, Draft(Builder(model.name), _batch(model)), SEMANTICS[semantics])
    _add_inputs(state)
    for number, operator in operators:
        _read(state, operator, number)
    return finish(
        state.draft, {name: _result(state, name, index) for name, index in wanted.items()}
    )


def _wanted(model: Model, outputs: Sequence[str]) -> dict[str, int]:
    """The tensors that become outputs, by name."""
    if not outputs:
        return {_unique(model, index): index for index in model.outputs}
    made = {model.tensors[i].name: i for op in model.operators for i in op.outputs}
    for name in outputs:
        if name not in made:
            near = get_close_matches(name, sorted(made), 3, 0.0)
            raise UsageError(
                f"No operator of the model computes a tensor '{name}'.",
                where="outputs",
                fix=f"The most similar names are {', '.join(near)}.",
            )
    return {name: made[name] for name in outputs}


def _unique(model: Model, index: int) -> str:
    """The name of a tensor, with its index if another tensor has the same."""
    name = model.tensors[index].name
    same = [i for i, each in enumerate(model.tensors) if each.name == name]
    return name if len(same) == 1 else f"{name}.{index}"


def _needed(model: Model, needed: set[int]) -> list[tuple[int, Operator]]:
    """The operators on which the wanted tensors depend, in order, with their numbers."""
    found = []
    for number in range(len(model.operators) - 1, -1, -1):
        operator = model.operators[number]
        if not needed.isdisjoint(operator.outputs):
            read = operator.inputs[:1] if operator.kind in _SHAPED else operator.inputs
            needed.update(read)
            found.append((number, operator))
    return found[::-1]


def _batch(model: Model) -> int | None:
    """What the file writes for the batch."""
    shapes = [model.tensors[index].shape for index in model.inputs]
    return shapes[0][0] if shapes and shapes[0] else None


def _add_inputs(state: State) -> None:
    for index in state.model.inputs:
        tensor = state.model.tensors[index]
        where = f"Input '{tensor.name}'"
        if not tensor.shape or min(tensor.shape) < 1 or " " in tensor.type_name:
            raise ImportModelError(
                f"It is {tensor.type_name} of shape {list(tensor.shape)}.",
                where=where,
                fix="Every size must be a number: convert the model with fixed shapes.",
            )
        if tensor.type_name not in ("float32", "int8", "uint8", "int16"):
            raise ImportModelError(
                f"It has the type {tensor.type_name}.",
                where=where,
                fix="Inputs must be float32, or codes of at most 16 bits.",
            )
        name = _unique(state.model, index)
        type_ = TensorType((BATCH, *tensor.shape[1:]), tensor.dtype)
        check_size(Site(state.draft, name, "", where), type_.elements)
        encoding = tensor.encoding if tensor.is_codes else None
        state.draft.builder.input(Value(name, type_, "", encoding))
        state.hold(index, Result(name, "file"))


def _read(state: State, operator: Operator, number: int) -> None:
    """Translate one operator and note what its outputs stand for; every error names it."""
    origin = f"{operator.kind}:{number}"
    where = f"Operator {number} ({operator.kind})"
    translators = TRANSLATORS if state.dialect is not None else REAL_TRANSLATORS
    translator = translators.get(operator.kind)
    if translator is None:
        raise ImportModelError(
            f"The operator '{operator.kind}' is not supported.",
            where=where,
            fix=f"{nearest(operator.kind, TRANSLATORS)} Replace it, or name 'outputs' before it.",
        )
    if not operator.outputs or any(index in state.held for index in operator.outputs):
        raise ImportModelError(
            "One of its outputs is defined twice, or it has none.",
            where=where,
            fix="Convert the model again.",
        )
    sites = tuple(
        Site(state.draft, _unique(state.model, index), origin, where) for index in operator.outputs
    )
    results = _translate(translator, Call(operator, state, sites))
    for index, result in zip(operator.outputs, results, strict=True):
        _check_shape(state, state.model.tensors[index], result, where)
        state.hold(index, result)


def _translate(translator: Translator, call: Call) -> tuple[Result, ...]:
    try:
        result = translator(call)
    except ImportModelError as error:
        if error.where == call.site.where:
            raise
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise ImportModelError(what, where=call.site.where, fix=error.fix) from error
    except (ValueError, IndexError, ArithmeticError) as error:
        raise call.site.fail(
            f"Its operands do not fit it: {str(error).rstrip('.')}.", "Convert the model again."
        ) from error
    return result if isinstance(result, tuple) else (result,)


def _check_shape(state: State, tensor: Tensor, result: Result, where: str) -> None:
    """Raise ImportModelError unless a value has the shape that the file states."""
    shape = tensor.shape[1:]
    if len(shape) == 3 and result.order == "planes":
        shape = (shape[2], shape[0], shape[1])
    found = state.draft.builder.type_of(result.name).sample_shape
    if found != shape:
        raise ImportModelError(
            f"Its output '{tensor.name}' has the shape {list(tensor.shape)} in the file, but a "
            f"sample of it has {found}.",
            where=where,
            fix="Convert the model again.",
        )


def _result(state: State, name: str, index: int) -> str:
    """The value behind an output, in the file's order of axes."""
    held = state.held.get(index)
    where = f"Output '{name}'"
    if held is None:
        raise ImportModelError(
            "It does not depend on any input.", where=where, fix="Name other tensors in 'outputs'."
        )
    site = Site(state.draft, name, "", where)
    call = Call(Operator("OUTPUT", (index,), (index,), {}), state, (site,))
    return call.value(0, "file")
