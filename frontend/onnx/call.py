"""One ONNX node with its attributes read and its operands known: what a translator is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx
from onnx import helper

from ...errors import ImportModelError
from ...ir.numeric import Array
from ..emit.batch_size import BatchSize, Size
from ..emit.site import Constant, Operand, Site
from .read import array_of

Kind = Literal["int", "ints", "float", "floats", "string", "tensor"]
_KINDS: Final[dict[int, Kind]] = {
    onnx.AttributeProto.INT: "int",
    onnx.AttributeProto.INTS: "ints",
    onnx.AttributeProto.FLOAT: "float",
    onnx.AttributeProto.FLOATS: "floats",
    onnx.AttributeProto.STRING: "string",
    onnx.AttributeProto.TENSOR: "tensor",
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that a translator supports; ``only`` lists the values it takes, if not all."""

    name: str
    kind: Kind
    default: Any = None
    only: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A node: its site, operands (None where absent), every attribute, a site per output.

    ``read`` names the outputs that something reads, ``opset`` is the version of the operators.
    """

    operator: str
    site: Site
    operands: tuple[Operand | None, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[Site, ...]
    read: frozenset[str]
    opset: int = 0

    def operand(self, index: int) -> Operand:
        """The operand at ``index``; ImportModelError when it is absent."""
        found = self.operands[index] if index < len(self.operands) else None
        if found is None:
            raise self.site.fail(f"Its operand {index} is missing.", "Export the model again.")
        return found

    def activation(self, index: int = 0) -> str:
        """An operand that must be an activation."""
        return self.site.need_activation(self.operand(index))

    def constant(self, index: int) -> Constant:
        """An operand that must be known at import time."""
        return self.site.need_constant(self.operand(index))

    def optional(self, index: int) -> Constant | None:
        """A constant operand, or None when it is absent."""
        absent = index >= len(self.operands) or self.operands[index] is None
        return None if absent else self.constant(index)

    def number(self, name: str, index: int) -> float | None:
        """A number given as an attribute in old opsets and as an operand in new ones."""
        given = self.attributes.get(name)
        operand = self.optional(index)
        if operand is None:
            return None if given is None else float(given)
        if operand.array.size != 1 or operand.array.dtype == object:
            raise self.site.fail(f"'{operand.name}' is not one number.", "Export the model again.")
        return float(operand.array.reshape(()))

    def sizes(self, name: str, index: int) -> tuple[Size, ...] | None:
        """Integers, or the batch size, given as an attribute or as an operand."""
        given = self.attributes.get(name)
        operand = self.optional(index)
        if operand is None:
            return None if given is None else tuple(given)
        return sizes_of(self.site, operand)

    def ints(self, name: str, index: int) -> tuple[int, ...] | None:
        """Integers given as an attribute or as an operand."""
        found = self.sizes(name, index)
        if found is None:
            return None
        numbers = tuple(size for size in found if not isinstance(size, BatchSize))
        if len(numbers) < len(found):
            raise self.site.fail(
                f"Its '{name}' depends on the batch size.", "Give numbers, or keep the whole batch."
            )
        return numbers

    def alone(self, what: str) -> Site:
        """The site of the first output; ImportModelError when another one, ``what``, is read."""
        extra = [site.name for site in self.outputs[1:] if site.name in self.read]
        if extra:
            raise self.site.fail(
                f"Its output '{extra[0]}', the {what}, is read.",
                "Only its first output is supported.",
            )
        return self.site


def sizes_of(site: Site, constant: Constant) -> tuple[Size, ...]:
    """The elements of an integer constant, some of which may be the batch size."""
    if constant.array.ndim > 1 or constant.array.dtype.kind not in "iuO":
        raise site.fail(f"'{constant.name}' is not a list of integers.", "Export the model again.")
    return tuple(constant.array.reshape(-1).tolist())


@dataclass(frozen=True, slots=True)
class Translator:
    """How one operator becomes IR: the attributes it supports and the function that emits it.

    ``fold`` computes the operator when all its operands are constants; ``limits`` tells users what
    is not supported, in a phrase; ``codes`` that its activations may be integers.
    """

    attributes: tuple[Attribute, ...]
    emit: Callable[[Call], Operand | tuple[Operand, ...]]
    fold: Callable[[Call], Array] | None = None
    limits: str = ""
    codes: bool = False


def read_attributes(
    node: onnx.NodeProto, supported: tuple[Attribute, ...], where: str
) -> dict[str, Any]:
    """Every supported attribute, defaults included; raises ImportModelError for any other."""
    found = {attribute.name: _default(attribute) for attribute in supported}
    known = {attribute.name: attribute for attribute in supported}
    for proto in node.attribute:
        attribute = known.get(proto.name)
        if attribute is None:
            raise ImportModelError(
                f"Attribute '{proto.name}' = {_shown(proto)} is not supported.",
                where=where,
                fix=f"Supported attributes: {', '.join(sorted(known)) or 'none'}.",
            )
        found[proto.name] = _read_attribute(proto, attribute, where)
    return found


def _default(attribute: Attribute) -> Any:
    """The default as a file would hold it: floats are float32 there."""
    given = attribute.default
    return float(np.float32(given)) if isinstance(given, float) else given


def _read_attribute(proto: onnx.AttributeProto, attribute: Attribute, where: str) -> Any:
    if _KINDS.get(proto.type) != attribute.kind or proto.ref_attr_name:
        raise ImportModelError(
            f"Attribute '{proto.name}' = {_shown(proto)} is not of the kind '{attribute.kind}'.",
            where=where,
            fix="Export the model again.",
        )
    value = _value(proto, where)
    if attribute.only and value not in attribute.only:
        raise ImportModelError(
            f"Attribute '{proto.name}' = {value!r} is not supported.",
            where=where,
            fix=f"Supported: {', '.join(map(repr, attribute.only))}.",
        )
    return value


def _value(proto: onnx.AttributeProto, where: str) -> Any:
    if proto.type == onnx.AttributeProto.TENSOR:
        return array_of(proto.t, where)
    if proto.type == onnx.AttributeProto.STRING:
        return proto.s.decode("utf-8", errors="replace")
    value = helper.get_attribute_value(proto)
    return tuple(value) if isinstance(value, list) else value


def _shown(proto: onnx.AttributeProto) -> str:
    """The value of an attribute for a message, at most 60 characters."""
    kind = _KINDS.get(proto.type)
    if kind == "string":
        return repr(proto.s.decode("utf-8", errors="replace"))[:60]
    if kind in ("int", "ints", "float", "floats"):
        return str(helper.get_attribute_value(proto))[:60]
    return f"<{onnx.AttributeProto.AttributeType.Name(proto.type).lower()}>"
