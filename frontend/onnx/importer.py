"""Importing ONNX models: ``import_onnx``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx

from ...errors import ImportModelError, UsageError
from ...ir.graph import Builder, Graph, Value
from ...ir.numeric import FLOAT32, NumericType
from ...ir.tensor import BATCH, TensorType
from ..emit.layout import KEEP
from ..emit.site import Constant, Draft, Operand, Site, check_size, finish, nearest
from ..qonnx import quant, threshold
from . import (
    fold,
    layout,
    linear,
    norm,
    pointwise,
    qdq,
    qlinear,
    qlinear_pointwise,
    qlinear_pool,
    qlinear_softmax,
    resize,
    softmax,
    transposed,
    window,
)
from .call import Call, Translator, read_attributes
from .codes import moved_codes
from .read import array_of, opset_of, read_model

TRANSLATORS: dict[str, Translator] = {
    **linear.TRANSLATORS,
    **pointwise.TRANSLATORS,
    **window.TRANSLATORS,
    **transposed.TRANSLATORS,
    **softmax.TRANSLATORS,
    **norm.TRANSLATORS,
    **resize.TRANSLATORS,
    **layout.TRANSLATORS,
    **fold.TRANSLATORS,
    **qdq.TRANSLATORS,
    **qlinear.TRANSLATORS,
    **resize.TRANSLATORS,
}
MICROSOFT: dict[str, Translator] = {
    **qdq.MICROSOFT,
    **qlinear.MICROSOFT,
    **qlinear_pointwise.MICROSOFT,
    **qlinear_pool.MICROSOFT,
    **qlinear_softmax.MICROSOFT,
}
_Result = TypeVar("_Result")
QONNX: dict[str, Translator] = quant.TRANSLATORS | threshold.TRANSLATORS
DOMAINS: dict[str, dict[str, Translator]] = {
    "": TRANSLATORS,
    "ai.onnx": TRANSLATORS,
    "com.microsoft": MICROSOFT,
    **dict.fromkeys(quant.DOMAINS, QONNX),
}
"""The operators of each domain."""

_NO_BATCH = "A model whose axis 0 is no batch is imported with batch=False (--no-batch)."


def import_onnx(
    source: str | Path | onnx.ModelProto, *, outputs: Sequence[str] = (), batch: bool = True
) -> Graph:
    """The float graph of an ONNX model (opset 7 or newer), verified.

    Axis 0 of every input becomes the batch. With ``batch=False`` it is an axis like any other: the
    whole input of the model is one sample, and every value has one axis more than in the model, the
    batch in front. That is how to import a model that merges, moves or reduces axis 0, or whose
    inputs begin with different sizes; all its sizes must be numbers.

    ``outputs`` names the tensors to stop at instead of the model's own outputs, for example the
    logits before a Softmax. Values have the names of the ONNX tensors. Raises UsageError for a
    missing file or output, ImportModelError for what is damaged or not supported.
    """
    model = read_model(source)
    _check_names(model.graph, outputs)
    wanted = tuple(outputs) or tuple(output.name for output in model.graph.output)
    nodes = _needed(model.graph, wanted)
    read = frozenset([*wanted, *(name for node in nodes for name in node.input)])
    reader = _Reader(model, read, batch)
    for node in nodes:
        reader.read(node)
    return finish(reader.draft, {name: reader.result(name) for name in wanted})


def _check_names(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    made = {name for node in graph.node for name in node.output if name}
    for name in outputs:
        if name not in made:
            near = get_close_matches(name, sorted(made), 3, 0.0)
            raise UsageError(
                f"No node of the model computes a tensor '{name}'.",
                where="outputs",
                fix=f"The most similar names are {', '.join(near)}.",
            )


def _needed(graph: onnx.GraphProto, wanted: tuple[str, ...]) -> list[onnx.NodeProto]:
    """The nodes on which the wanted tensors depend, in order."""
    needed = set(wanted)
    nodes = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def _where(node: onnx.NodeProto) -> str:
    return f"Node '{_origin(node)}' ({node.op_type})"


def _origin(node: onnx.NodeProto) -> str:
    return node.name or f"{node.op_type}:{node.output[0] if node.output else ''}"


@dataclass
class _Reader:
    """The state of one import: what every tensor name stands for so far."""

    model: onnx.ModelProto
    read_names: frozenset[str]
    batched: bool
    known: dict[str, Operand] = field(default_factory=dict)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.initializers.update((tensor.name, tensor) for tensor in graph.initializer)
        inputs = [value for value in graph.input if value.name not in self.initializers]
        shapes = {value.name: _input_shape(value, self.batched) for value in inputs}
        number = _fixed_batch(shapes) if self.batched else None
        self.draft = Draft(Builder(graph.name or "network"), number, self.batched)
        dtypes = {value.name: _input_dtype(value) for value in inputs}
        for name, shape in shapes.items():
            sizes = shape[1:] if self.batched else shape
            type_ = TensorType((BATCH, *(int(size) for size in sizes)), dtypes[name])
            check_size(Site(self.draft, name, "", f"Input '{name}'"), type_.elements)
            self.known[name] = self.draft.builder.input(Value(name, type_))

    def read(self, node: onnx.NodeProto) -> None:
        """Translate one node and note what its outputs stand for."""
        where = _where(node)
        translator = self._translator(node, where)
        origin = _origin(node)
        sites = tuple(Site(self.draft, name, origin, where) for name in node.output)
        if any(name in self.known for name in node.output if name) or not sites:
            raise _malformed(where, "One of its outputs is defined twice, or it has none")
        operands = tuple(self._operand(name, where) if name else None for name in node.input)
        attributes = read_attributes(node, translator.attributes, where)
        call = Call(
            node.op_type,
            sites[0],
            operands,
            attributes,
            sites,
            self.read_names,
            opset_of(self.model),
        )
        results = _translate(translator, call)
        self.known.update(
            (name, result) for name, result in zip(node.output, results, strict=False) if name
        )

    def _translator(self, node: onnx.NodeProto, where: str) -> Translator:
        standard = node.domain in ("", "ai.onnx")
        translators = DOMAINS.get(node.domain, {})
        translator = translators.get(node.op_type)
        if translator is not None:
            return translator
        version = f", opset {opset_of(self.model)}," if standard else ""
        stop = next((name for name in node.input if self._is_computed(name)), None)
        cut = f", or stop before it with outputs=['{stop}'] (--output-tensor '{stop}')"
        advice = cut if stop else ""
        raise ImportModelError(
            f"Operator '{node.op_type}' of domain '{node.domain or 'ai.onnx'}'{version} is not "
            "supported.",
            where=where,
            fix=f"{nearest(node.op_type, translators or TRANSLATORS)} Replace it{advice}.",
        )

    def _is_computed(self, name: str) -> bool:
        value = self.known.get(name)
        return isinstance(value, str) and value in self.draft.nodes

    def _operand(self, name: str, where: str) -> Operand:
        if name not in self.known and name in self.initializers:
            self.known[name] = Constant(name, array_of(self.initializers[name], where))
        if name not in self.known:
            raise _malformed(where, f"Its operand '{name}' is not defined before it")
        return self.known[name]

    def result(self, name: str) -> str:
        """The value behind an output of the model."""
        found = self._operand(name, f"Output '{name}'")
        if isinstance(found, Constant):
            raise ImportModelError(
                "It does not depend on any input.",
                where=f"Output '{name}'",
                fix="Name other tensors in 'outputs'.",
            )
        return found


def _malformed(where: str, what: str) -> ImportModelError:
    return ImportModelError(f"{what}.", where=where, fix="Export the model again.")


def _translate(translator: Translator, call: Call) -> tuple[Operand, ...]:
    """The operands that the outputs of a node stand for; every error names the node."""
    constant = all(operand is None or isinstance(operand, Constant) for operand in call.operands)
    try:
        if translator.fold is not None and constant:
            coded = _folded(partial(moved_codes, fold=translator.fold), call)
            if coded is not None:
                return (Constant.of_codes(call.site.name, coded),)
            return (Constant(call.site.name, fold.settled(_folded(translator.fold, call))),)
        if not translator.codes:
            _refuse_codes(call)
        result = translator.emit(call)
    except ImportModelError as error:
        fix = f"{KEEP} {_NO_BATCH}" if error.fix == KEEP else error.fix
        if error.where and fix == error.fix:
            raise
        where = error.where or call.site.where
        raise ImportModelError(error.what, where=where, fix=fix) from error
    return result if isinstance(result, tuple) else (result,)


def _refuse_codes(call: Call) -> None:
    """Raise ImportModelError when an operand of an operator on reals is an activation of codes."""
    for operand in call.operands:
        if isinstance(operand, str) and call.site.type_of(operand).dtype.is_integer:
            raise qdq.misplaced(call, operand)


def _folded(fold: Callable[[Call], _Result], call: Call) -> _Result:
    try:
        with np.errstate(all="ignore"):
            return fold(call)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise _malformed(call.site.where, f"Its constants do not fit: {error}") from error


def _input_dtype(value: onnx.ValueInfoProto) -> NumericType:
    """float32 for reals, the type of codes; ImportModelError for anything else."""
    elements = value.type.tensor_type.elem_type
    if elements in fold.FLOATS:
        return FLOAT32
    kinds = onnx.TensorProto.DataType
    kind = kinds.Name(elements) if elements in kinds.values() else "unknown"
    if re.fullmatch("U?INT(2|4|8|16)", kind):
        return NumericType.parse(kind.lower())
    raise ImportModelError(
        f"It has the type {kind}.",
        where=f"Input '{value.name}'",
        fix="Inputs must be float tensors, or codes of 2 to 16 bits: export the model with a float "
        "input.",
    )


def _input_shape(value: onnx.ValueInfoProto, batched: bool) -> list[int | str]:
    """The sizes of an input, numbers but for a batch; ImportModelError for symbolic sizes."""
    where = f"Input '{value.name}'"
    tensor = value.type.tensor_type
    shape: list[int | str] = [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in tensor.shape.dim
    ]
    for axis, size in enumerate(shape):
        if (axis or not batched) and (not isinstance(size, int) or size < 1):
            _check_not_empty(size, axis, where)
            raise ImportModelError(
                f"Axis {axis} has the symbolic size '{size}'.",
                where=where,
                fix="Every size but the batch must be a number: export with fixed sizes, or run "
                "'python -m onnxruntime.tools.make_dynamic_shape_fixed "
                f"--dim_param {size} --dim_value 224 model.onnx fixed.onnx' with your size.",
            )
    if not shape:
        raise _malformed(where, "It has no shape, not even a batch")
    return shape


def _check_not_empty(size: int | str, axis: int, where: str) -> None:
    if isinstance(size, int):
        raise ImportModelError(
            f"Axis {axis} has the size {size}.",
            where=where,
            fix="A tensor without elements is not supported: remove it from the model.",
        )


def _fixed_batch(shapes: dict[str, list[int | str]]) -> int | None:
    """The number that the inputs give for the batch; None when all give names."""
    numbers = {name: shape[0] for name, shape in shapes.items() if isinstance(shape[0], int)}
    if len(set(numbers.values())) > 1:
        raise ImportModelError(
            f"The inputs {', '.join(numbers)} begin with the sizes {list(numbers.values())}.",
            where="ONNX model",
            fix=f"Axis 0 of every input is the batch: give all inputs the same. {_NO_BATCH}",
        )
    number = next(iter(numbers.values()), None)
    return number if isinstance(number, int) and number > 0 else None
