"""Importing torch modules: ``import_torch``, by way of ``torch.export``."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import ImportModelError
from ...ir.graph import Builder, Graph, Value
from ...ir.tensor import BATCH, TensorType
from ..brevitas.emit import at_point
from ..emit.batch_size import BATCH_SIZE, BatchSize
from ..emit.site import Constant, Draft, Site, check_size, finish, nearest
from . import compute, layout, shape
from .call import AtenCall, AtenTranslator, check_arguments
from .export import Exported, evaluate, export

TRANSLATORS: dict[str, AtenTranslator] = {
    **compute.TRANSLATORS,
    **layout.TRANSLATORS,
    **shape.TRANSLATORS,
}
_SIZES = (operator.add, operator.sub, operator.mul, operator.floordiv)  # of the batch size


def import_torch(module: Any, example_inputs: Sequence[Any]) -> Graph:
    """The float graph of a ``torch.nn.Module`` in evaluation mode, verified.

    ``example_inputs`` are the float tensors that ``forward`` takes, axis 0 the batch, of any size.
    Values are named after the modules that make them. Raises UsageError when torch is missing or
    the module is in training mode, ImportModelError for what is not supported.
    """
    exported = export(module, example_inputs)
    reader = _Reader(exported)
    for node in exported.needed:
        reader.read(node)
    return finish(reader.draft, reader.results())


@dataclass
class _Reader:
    """The state of one import: what every node of the exported graph stands for so far."""

    exported: Exported
    known: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draft = Draft(Builder(self.exported.name), self.exported.batch)
        for node, (name, array) in self.exported.constants.items():
            self.known[node] = Constant(name, array)
        for node, sizes in self.exported.inputs.items():
            type_ = TensorType((BATCH, *sizes))
            check_size(Site(self.draft, node.name, "", f"Input '{node.name}'"), type_.elements)
            self.known[node] = self.draft.builder.input(Value(node.name, type_))

    def read(self, node: Any) -> None:
        """Note what one call of the exported graph stands for."""
        origin = self.exported.origin(node)
        where = f"Module '{self.exported.module(node)}' ({self.exported.operator(node)})"
        site = Site(self.draft, origin, origin, where)
        try:
            self.known[node] = self._value(node, site)
        except ImportModelError as error:
            if error.where:
                raise
            raise ImportModelError(error.what, where=site.where, fix=error.fix) from error

    def _value(self, node: Any, site: Site) -> Any:
        given = [self._resolved(argument) for argument in node.args]
        named = {name: self._resolved(argument) for name, argument in node.kwargs.items()}
        if self.exported.is_point(node):
            return at_point(site, given[0], self.exported.points[given[1]])
        if node.target is operator.getitem:
            return self._item(site, *given)
        if node.target in _SIZES:
            return node.target(*given)
        if not any(isinstance(self.known[each], str | BatchSize) for each in node.all_input_nodes):
            return evaluate(node, site.name, given, named)
        return self._translated(node, site, given, named)

    def _translated(self, node: Any, site: Site, given: list[Any], named: dict[str, Any]) -> Any:
        schema = node.target._schema
        short = schema.name.removeprefix("aten::")
        if short == "sym_size" and given[1] == 0:
            return BATCH_SIZE
        translator = TRANSLATORS.get(short)
        if translator is None:
            raise site.fail(
                f"The ATen operator '{short}' is not supported.",
                f"{nearest(short, TRANSLATORS)} Replace it in the module's forward.",
            )
        defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        names = [argument.name for argument in schema.arguments]
        arguments = {**defaults, **dict(zip(names, given, strict=False)), **named}
        call = AtenCall(site, arguments)
        check_arguments(site, translator, call, defaults)
        return translator.emit(call)

    def _resolved(self, argument: Any) -> Any:
        """An argument of a call with the nodes in it replaced by what they stand for."""
        if isinstance(argument, list | tuple):
            return [self._resolved(each) for each in argument]
        return self.known.get(argument, argument)

    def _item(self, site: Site, values: Any, index: int) -> Any:
        if index >= len(values):
            raise site.fail(f"Its output {index} is read.", "Only its first output is supported.")
        return values[index]

    def results(self) -> dict[str, str]:
        """The outputs: their names and the values behind them."""
        found: dict[str, str] = {}
        for node in self.exported.outputs:
            value = self.known.get(node)
            if not isinstance(value, str):
                raise ImportModelError(
                    f"It returns {node}, which does not depend on the inputs.",
                    where=f"Module '{self.exported.name}'",
                    fix="Return tensors computed from the inputs only.",
                )
            found[self._free(value, found)] = value
        return found

    def _free(self, name: str, taken: dict[str, str]) -> str:
        return name if name not in taken else self.draft.builder.fresh(f"{name}.copy")
