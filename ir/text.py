"""The text form of a graph: printed for people and tests, and parsed back to an equal graph.

    graph lenet (image: float32[n,1,28,28])
      const w: int8[6,1,5,5] = "base85 of the little-endian elements"
      conv1: int32[n,6,28,28] = conv {"pads": [2, 2, 2, 2]} (image, w) from "/conv1/Conv"
      return conv1

Names that are not plain words are JSON strings. An encoding follows as ``~ scale zero_point`` or
``~ scale zero_point offset``, each a number or a list with one per channel; a certificate as
``proved {...}``.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

import numpy as np

from ..errors import IntaglioError, TextError
from .certificate import Certificate
from .graph import Graph, Node, Value
from .numeric import ROUNDINGS, Encoding, NumericType, Rounding
from .op import Op
from .ops import BY_NAME
from .tensor import BATCH, Dim, Tensor, TensorType

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_ROUNDING = re.compile(rf"\s*({'|'.join(ROUNDINGS)})\b")
_KEYWORDS = {"graph", "const", "return", "from", "proved"}


def attributes(op: Op) -> dict[str, Any]:
    """The attributes of ``op`` that differ from their defaults, as JSON values."""
    found = {}
    for field in fields(op):  # type: ignore[arg-type]
        value = getattr(op, field.name)
        if field.default is not MISSING and value == field.default:
            continue
        found[field.name] = str(value) if isinstance(value, NumericType) else value
    return found


def make_op(name: str, given: Mapping[str, Any]) -> Op:
    """The op of that name with attributes as ``attributes`` returns them."""
    cls = BY_NAME.get(name)
    if cls is None:
        raise TextError(f"There is no operator '{name}'.")
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := set(given) - set(known):
        raise TextError(f"Operator '{name}' has no attribute {', '.join(sorted(unknown))}.")
    needed = {key for key, field in known.items() if field.default is MISSING}
    if missing := needed - set(given):
        raise TextError(f"Operator '{name}' needs the attribute {', '.join(sorted(missing))}.")
    converted = {}
    for key, value in given.items():
        if not _fits(known[key].type, value):
            raise TextError(f"Attribute {key} of operator '{name}' cannot be {json.dumps(value)}.")
        converted[key] = _from_json(known[key].type, value)
    return cls(**converted)


_LENGTHS = {"Pair": 2, "Pads": 4}
_SCALARS: dict[Any, Any] = {"int": int, "float": (int, float), "str": str, "NumericType": str}


def _fits(kind: Any, value: Any) -> bool:
    """Whether a JSON value can be an attribute that is annotated ``kind``."""
    if kind == "Rounding":
        return value in ROUNDINGS
    if kind in _SCALARS:
        return isinstance(value, _SCALARS[kind])
    if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
        return False
    return len(value) == _LENGTHS.get(kind, len(value))


def _from_json(kind: Any, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return NumericType.parse(value) if kind == "NumericType" else value


def to_text(graph: Graph, max_elements: int | None = None) -> str:
    """The text of ``graph``. Constants with more than ``max_elements`` elements are abbreviated."""
    head = ", ".join(_declare(value) for value in graph.inputs)
    lines = [f"graph {_name(graph.name)} ({head})"]
    lines += [_constant(name, c, max_elements) for name, c in graph.constants.items()]
    lines += [_node(node) for node in graph.nodes]
    lines.append(f"  return {', '.join(map(_name, graph.outputs))}")
    return "\n".join(lines) + "\n"


def _name(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name not in _KEYWORDS
    return name if plain else json.dumps(name)


def _declare(value: Value) -> str:
    suffix = f" ~ {value.encoding}" if value.encoding else ""
    origin = f" from {json.dumps(value.origin)}" if value.origin else ""
    return f"{_name(value.name)}: {value.type}{suffix}{origin}"


def _constant(name: str, tensor: Tensor, max_elements: int | None) -> str:
    head = f"  const {_name(name)}: {tensor.type} = "
    if max_elements is not None and tensor.array.size > max_elements:
        return f"{head}#{tensor.digest}"
    little = tensor.array.astype(tensor.array.dtype.newbyteorder("<"))
    data = base64.b85encode(zlib.compress(little.tobytes())).decode()
    return f"{head}{json.dumps(data)}"


def _node(node: Node) -> str:
    given = attributes(node.op)
    text = f" {json.dumps(given)}" if given else ""
    operands = ", ".join(map(_name, node.inputs))
    value = node.value
    tail = f" ~ {value.encoding}" if value.encoding else ""
    tail += f" from {json.dumps(value.origin)}" if value.origin else ""
    if node.certificate is not None:
        tail += f" proved {json.dumps(node.certificate.to_json())}"
    return f"  {_name(node.name)}: {node.type} = {node.op.name}{text} ({operands}){tail}"


@dataclass
class _Reader:
    """A cursor over one line of text."""

    line: str
    number: int
    at: int = 0

    def fail(self, expected: str) -> TextError:
        rest = self.line[self.at : self.at + 30]
        return TextError(f"Expected {expected}, found '{rest}'.", where=f"Line {self.number}")

    def skip(self) -> None:
        while self.at < len(self.line) and self.line[self.at] == " ":
            self.at += 1

    def take(self, text: str) -> bool:
        self.skip()
        if not self.line.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.fail(f"'{text}'")

    def match(self, pattern: str, expected: str) -> str:
        self.skip()
        found = re.compile(pattern).match(self.line, self.at)
        if found is None:
            raise self.fail(expected)
        self.at = found.end()
        return found[0]

    def json(self) -> Any:
        self.skip()
        try:
            value, self.at = json.JSONDecoder().raw_decode(self.line, self.at)
        except ValueError as error:
            raise self.fail("a JSON value") from error
        return value

    def name(self) -> str:
        self.skip()
        if self.line.startswith('"', self.at):
            return str(self.json())
        return self.match(_PLAIN.pattern, "a name")

    def names(self, end: str) -> tuple[str, ...]:
        found = []
        while not self.take(end):
            found.append(self.name())
            if not self.take(","):
                self.need(end)
                break
        return tuple(found)

    def type(self) -> TensorType:
        dtype = NumericType.parse(self.match("[a-z0-9]+", "a type"))
        self.need("[")
        dims: list[Dim] = []
        while not self.take("]"):
            text = self.match(r"n|\d+", "a dimension")
            dims.append(BATCH if text == BATCH else int(text))
            self.take(",")
        return TensorType(tuple(dims), dtype)

    def encoding(self) -> Encoding | None:
        if not self.take("~"):
            return None
        scale, zero_point = self.numbers("a scale", float), self.numbers("a zero point", int)
        self.skip()
        more = self.line[self.at : self.at + 1]
        offset = self.numbers("an offset", float) if more and more in "-[0123456789" else 0.0
        rounding = _ROUNDING.match(self.line, self.at)
        if rounding is None:
            return Encoding(scale, zero_point, offset)
        self.at = rounding.end()
        return Encoding(scale, zero_point, offset, cast(Rounding, rounding[1]))

    def numbers(self, expected: str, kind: Callable[[Any], Any]) -> Any:
        """One number, or a list of numbers as a tuple."""
        start = self.at
        if self.take("["):
            self.at -= 1
            found = self.json()
            if not found or not all(isinstance(each, int | float) for each in found):
                self.at = start
                raise self.fail(expected)
            return tuple(map(kind, found))
        digits = r"-?\d+" if kind is int else r"-?\d+(\.\d*)?(e[+-]?\d+)?"
        return kind(self.match(digits, expected))

    def certificate(self) -> Certificate | None:
        if not self.take("proved "):
            return None
        start = self.at
        try:
            return Certificate.from_json(self.json())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.at = start
            raise self.fail("a certificate") from error

    def origin(self) -> str:
        return str(self.json()) if self.take("from ") else ""

    def end(self) -> None:
        self.skip()
        if self.at != len(self.line):
            raise self.fail("the end of the line")


def from_text(text: str, constants: Mapping[str, Tensor] | None = None) -> Graph:
    """Parse what ``to_text`` prints; abbreviated constants are looked up by digest.

    Raises TextError with the line's number.
    """
    known = constants or {}
    lines = [
        _Reader(line.rstrip(), number)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("//")
    ]
    if not lines:
        raise TextError("The text holds no graph.")
    with _line(lines[0]):
        name, inputs = _read_head(lines[0])
    held: dict[str, Tensor] = {}
    nodes: list[Node] = []
    outputs: tuple[str, ...] | None = None
    for reader in lines[1:]:
        with _line(reader):
            if reader.take("return "):
                outputs = _read_names(reader)
            elif reader.take("const "):
                key = reader.name()
                reader.need(":")
                held[key] = _read_constant(reader, known)
            else:
                nodes.append(_read_node(reader))
    if outputs is None:
        raise TextError("The graph has no 'return' line.")
    return Graph(name, inputs, held, tuple(nodes), outputs)


@contextmanager
def _line(reader: _Reader) -> Iterator[None]:
    """Read one line to its end; every error inside becomes a TextError with its number."""
    try:
        yield
        reader.end()
    except IntaglioError as error:
        where = error.where or f"Line {reader.number}"
        raise TextError(error.what, where=where, fix=error.fix) from error


def _read_names(reader: _Reader) -> tuple[str, ...]:
    found = [reader.name()]
    while reader.take(","):
        found.append(reader.name())
    return tuple(found)


def _read_head(reader: _Reader) -> tuple[str, tuple[Value, ...]]:
    reader.need("graph ")
    name = reader.name()
    reader.need("(")
    inputs = []
    while not reader.take(")"):
        key = reader.name()
        reader.need(":")
        type_ = reader.type()
        encoding = reader.encoding()
        inputs.append(Value(key, type_, reader.origin(), encoding))
        reader.take(",")
    return name, tuple(inputs)


def _read_constant(reader: _Reader, known: Mapping[str, Tensor]) -> Tensor:
    type_ = reader.type()
    reader.need("=")
    if reader.take("#"):
        digest = reader.match("[0-9a-f]{16}", "a digest")
        if digest not in known or known[digest].type != type_:
            raise TextError(f"Constant #{digest} is abbreviated and was not given as {type_}.")
        return known[digest]
    little = type_.dtype.container.newbyteorder("<")
    try:
        size = type_.elements * little.itemsize
        packed = base64.b85decode(str(reader.json()))
        raw = zlib.decompressobj().decompress(packed, size + 1)
        return Tensor(
            np.frombuffer(raw, little).reshape(cast("tuple[int, ...]", type_.shape)), type_.dtype
        )
    except (ValueError, TypeError, zlib.error) as error:
        raise TextError(f"This does not hold the elements of {type_}.") from error


def _read_node(reader: _Reader) -> Node:
    name = reader.name()
    reader.need(":")
    type_ = reader.type()
    reader.need("=")
    op_name = reader.match(_PLAIN.pattern, "an operator")
    reader.skip()
    given = reader.json() if reader.line.startswith("{", reader.at) else {}
    reader.need("(")
    inputs = reader.names(")")
    encoding = reader.encoding()
    value = Value(name, type_, reader.origin(), encoding)
    return Node(value, make_op(op_name, given), inputs, reader.certificate())
