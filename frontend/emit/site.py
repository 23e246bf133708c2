"""Emitting ops into a graph under construction, in the words of the user's model.

A frontend opens one ``Draft`` per import and one ``Site`` per operator of the source; the functions
of ``emit_linear``, ``emit_window`` and ``emit_layout`` take a Site and return the name of a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np

from ...errors import ImportModelError, ShapeError
from ...ir.graph import Builder, Graph, Node, prune_unused, rename
from ...ir.numeric import Array, Encoding, NumericType, narrowest
from ...ir.op import Op
from ...ir.ops_layout import Reshape
from ...ir.ops_quant import Dequantize
from ...ir.tensor import Tensor, TensorType, real
from ...ir.verify import stage_of, verify

MAX_ELEMENTS = 1 << 28  # of one tensor: 1 GiB of float32
MAX_AXES = 4  # of one sample, as in a blob
BUDGET = 1 << 30  # elements of all constants computed during one import


@dataclass(frozen=True, slots=True)
class Coded:
    """Codes of a constant and what they mean: ``scale * (codes - zero_point)``.

    ``codes`` are values of ``dtype`` in the constant's shape; parameters are ``()``, or ``(c,)``
    along ``axis``.
    """

    codes: Array
    dtype: NumericType
    scale: Array
    zero_point: Array
    axis: int = 0

    @property
    def real(self) -> Array:
        """The reals, in float32: rounded, which the graph never is."""
        op = Dequantize(self.axis)
        return op.reference(self.codes, self.scale.astype(np.float32), self.zero_point)

    def moved(self, change: Callable[[Array], Array]) -> Coded | None:
        """The codes after ``change``, which only moves elements; scales follow their channels.

        None when channels with scales of their own no longer lie along one axis.
        """
        codes, count = change(self.codes), max(self.scale.size, self.zero_point.size)
        if count == 1:
            return replace(self, codes=codes, axis=0)
        labels = np.arange(count).reshape(
            [-1 if a == self.axis else 1 for a in range(self.codes.ndim)]
        )
        labels = change(np.broadcast_to(labels, self.codes.shape))
        for axis in range(labels.ndim):
            rows = np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)
            if (rows == rows[:, :1]).all():
                order = rows[:, 0]
                scale, zero = (
                    each.reshape(-1)[order] if each.size > 1 else each
                    for each in (self.scale, self.zero_point)
                )
                return replace(self, codes=codes, scale=scale, zero_point=zero, axis=axis)
        return None


@dataclass(frozen=True, slots=True)
class Constant:
    """An array known at import time: a weight, or a shape whose elements may be BATCH_SIZE.

    ``coded`` if its elements are codes: it enters the graph as these, and nothing is rounded.
    """

    name: str
    array: Array
    coded: Coded | None = None

    @classmethod
    def of_codes(cls, name: str, coded: Coded) -> Constant:
        """The constant that these codes stand for."""
        return cls(name, coded.real, coded)


Operand = str | Constant  # an activation by its name in the draft, or a constant


@dataclass
class Draft:
    """A graph under construction; ``batch`` is the number that the source writes for n, if any.

    ``batched`` tells whether axis 0 of the source is the batch. Where it is not, all axes of the
    source are those of one sample: every value has one axis more than in the source, n in front.
    """

    builder: Builder
    batch: int | None = None
    batched: bool = True
    nodes: dict[str, Node] = field(default_factory=dict)
    spent: int = 0
    _names: dict[tuple[str, int], tuple[str, Array]] = field(default_factory=dict)

    def known(self, constant: Constant) -> str | None:
        """The name under which this very array was added before."""
        found = self._names.get((constant.name, id(constant.array)))
        return None if found is None else found[0]

    def remember(self, constant: Constant, name: str) -> str:
        """Note the constant's name in the builder; keeping the array keeps its id its own."""
        self._names[constant.name, id(constant.array)] = (name, constant.array)
        return name


@dataclass(frozen=True, slots=True)
class Site:
    """Where in the user's model an operator is translated, and the name that its value gets."""

    draft: Draft
    name: str
    origin: str
    where: str

    def step(self, suffix: str) -> Site:
        """The site of an intermediate value."""
        return replace(self, name=f"{self.name}.{suffix}")

    def fail(self, what: str, fix: str) -> ImportModelError:
        """The error to raise about this operator."""
        return ImportModelError(what, where=self.where, fix=fix)

    def type_of(self, name: str) -> TensorType:
        """The type of a value of the draft."""
        return self.draft.builder.type_of(name)

    def producer(self, name: str) -> Node | None:
        """The node that made a value; None for an input of the graph."""
        return self.draft.nodes.get(name)

    def emit(self, op: Op, *operands: str, encoding: Encoding | None = None) -> str:
        """Append ``op``; raises ImportModelError when the operands do not fit or grow too large."""
        builder = self.draft.builder
        try:
            name = builder.node(self.name, op, *operands, origin=self.origin, encoding=encoding)
        except ShapeError as error:
            fix = error.fix or "Check the shapes of its operands in the model."
            raise self.fail(error.what, fix) from error
        check_size(self, self.type_of(name).elements)
        self.draft.nodes[name] = self.draft.builder.nodes[-1]
        return name

    def need_activation(self, operand: Operand) -> str:
        """``operand`` if it is an activation, else ImportModelError."""
        if isinstance(operand, Constant):
            raise self.fail(
                f"Its operand '{operand.name}' is a constant.",
                "Fold the constants of the model first.",
            )
        return operand

    def need_constant(self, operand: Operand) -> Constant:
        """``operand`` if it is a constant, else ImportModelError."""
        if isinstance(operand, str):
            raise self.fail(
                f"Its operand '{operand}' is computed from the inputs of the network.",
                "Only a constant is supported there.",
            )
        return operand

    def constant(self, constant: Constant) -> str:
        """Add a weight, as codes if it has them, else as float32.

        Raises ImportModelError when it holds NaN or infinity.
        """
        known = self.draft.known(constant)
        if known is not None:
            return known
        charge(self, constant.array.size)
        if constant.coded is not None:
            name = self._dequantize(constant.name, constant.coded)
        else:
            name = self.draft.builder.constant(constant.name, weight(self, constant))
        return self.draft.remember(constant, name)

    def _dequantize(self, name: str, coded: Coded) -> str:
        """The codes of a constant behind a dequantize."""
        builder = self.draft.builder
        operands = (
            builder.constant(f"{name}.codes", Tensor(coded.codes, coded.dtype)),
            builder.constant(f"{name}.scale", real(coded.scale)),
            self.integers(f"{name}.zero_point", coded.zero_point),
        )
        return builder.node(name, Dequantize(coded.axis), *operands, origin=self.origin)

    def integers(self, name: str, array: Array) -> str:
        """Add a constant of integers in the narrowest type."""
        charge(self, array.size)
        ends = (int(array.min()), int(array.max())) if array.size else (0, 0)
        return self.draft.builder.constant(name, Tensor(array, narrowest(*ends)))


def check_size(site: Site, elements: int, limit: int = MAX_ELEMENTS) -> None:
    """Raise ImportModelError when a tensor would have more than ``limit`` elements."""
    if elements > limit:
        raise site.fail(
            f"A tensor of {elements} elements is larger than the limit of {limit}.",
            "Check the shapes and pads of the model.",
        )


def charge(site: Site, elements: int) -> None:
    """Count a constant about to be computed; raises ImportModelError beyond the limits."""
    check_size(site, elements)
    site.draft.spent += elements
    if site.draft.spent > BUDGET:
        raise site.fail(
            "The constants of this model exceed the limit of import.",
            "Fold the constants of the model before importing it.",
        )


def weight(site: Site, constant: Constant) -> Tensor:
    """The constant as float32; ImportModelError names it when float32 cannot hold an element."""
    if constant.array.dtype == object:
        raise site.fail(
            f"'{constant.name}' depends on the batch size but is used as a weight.",
            "Weights must be the same for every batch.",
        )
    with np.errstate(over="ignore"):
        tensor = real(constant.array.astype(np.float32))
    bad = np.argwhere(~np.isfinite(tensor.array))
    if len(bad):
        at = tuple(int(index) for index in bad[0])
        raise site.fail(
            f"Weight '{constant.name}' has {len(bad)} of {tensor.array.size} elements that are not "
            f"finite in float32 (the first, at {list(at)}, is {tensor.array[at]}).",
            "No integer stands for them: repair or retrain the weights.",
        )
    return tensor


def derive(
    site: Site, constant: Constant, suffix: str, change: Callable[[Array], Array]
) -> Constant:
    """A weight computed from another; when that is not finite, the error names it as it was."""
    return Constant(f"{constant.name}.{suffix}", change(weight(site, constant).array))


def rearrange(
    site: Site, constant: Constant, suffix: str, change: Callable[[Array], Array]
) -> Constant:
    """A weight whose elements are those of another, moved; codes keep their scales."""
    if constant.coded is None:
        return derive(site, constant, suffix, change)
    coded = constant.coded.moved(change)
    if coded is None:
        raise site.fail(
            f"The weight '{constant.name}' has scales along axis {constant.coded.axis}, which it "
            "spreads over several axes.",
            "Use one scale per output, or one for the whole weight.",
        )
    return Constant.of_codes(f"{constant.name}.{suffix}", coded)


def nearest(operator: str, supported: Iterable[str]) -> str:
    """A sentence that names the supported operators most like ``operator``."""
    lower = {name.lower(): name for name in supported}
    near = get_close_matches(operator.lower(), lower, 3, 0.6)
    if not near:
        return "No supported operator has a similar name; 'intaglio ops' lists them all."
    return f"Nearest supported operators: {', '.join(lower[name] for name in near)}."


def finish(draft: Draft, outputs: Mapping[str, str]) -> Graph:
    """The verified graph whose outputs have the names that are the keys of ``outputs``.

    A value that is an input, or an output already, is repeated under its other name.
    """
    renamed: dict[str, str] = {}
    results: list[str] = []
    for name, value in outputs.items():
        if value in results or (value not in draft.nodes and value != name):
            value = _repeat(draft, name, value)
        results.append(value)
        renamed[value] = name
    for name in outputs:
        if name in draft.builder and name not in renamed:
            renamed[name] = draft.builder.fresh(name)
    graph = prune_unused(rename(draft.builder.build(tuple(results)), renamed))
    _check_ranks(graph)
    return verify(graph, stage_of(graph))


def _check_ranks(graph: Graph) -> None:
    """Raise ImportModelError for a value with more axes than a network holds."""
    places = {value.name: f"Input '{value.name}'" for value in graph.inputs}
    places |= {node.name: node.where for node in graph.nodes}
    for name, where in places.items():
        sizes = graph.type_of(name).sample_shape
        if len(sizes) > MAX_AXES:
            raise ImportModelError(
                f"'{name}' has {len(sizes)} axes per sample, {sizes}; a network can have "
                f"{MAX_AXES}.",
                where=where,
                fix="Merge axes in the model.",
            )


def _repeat(draft: Draft, name: str, value: str) -> str:
    """A new node with the elements of ``value``."""
    builder = draft.builder
    copy = Reshape(builder.type_of(value).sample_shape)
    made = (*builder.inputs, *(node.value for node in builder.nodes))
    encoding = next(each.encoding for each in made if each.name == value)
    return builder.node(f"{name}.copy", copy, value, origin=name, encoding=encoding)
