"""Reading TFLite files that come from strangers: limits, checked indices, tensors as arrays.

Everything that touches the flatbuffer is here (schema.fbs).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...errors import ImportModelError, UsageError
from ...ir.numeric import FLOAT32, INT32, Array, NumericType, int_type
from ..emit.site import MAX_ELEMENTS
from .model import Model, Operator, Tensor
from .options import OPTIONS

MAX_BYTES: Final = 1 << 31  # of a file: offsets have 32 bits
MAX_ENTRIES: Final = 1 << 16  # tensors, operators, buffers, operands of one operator
MAX_RANK: Final = 6
_BROKEN = (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError)

_TYPES: Final[dict[int, tuple[str, NumericType, Any]]] = {
    0: ("float32", FLOAT32, np.dtype("<f4")),
    2: ("int32", INT32, np.dtype("<i4")),
    3: ("uint8", int_type(8, signed=False), np.dtype("<u1")),
    4: ("int64", int_type(64), np.dtype("<i8")),
    7: ("int16", int_type(16), np.dtype("<i2")),
    9: ("int8", int_type(8), np.dtype("<i1")),
    17: ("int4", int_type(8), np.dtype("<i1")),
}


def read_model(source: str | Path | bytes) -> Model:
    """The model in a file, or in bytes, within the limits.

    Raises UsageError when there is no such file or no package ``tflite``, ImportModelError when it
    is not a legal model.
    """
    where, data = _bytes_of(source)
    try:
        import tflite
    except ImportError as error:
        raise UsageError(
            "Reading TFLite models needs the package 'tflite'.",
            where=where,
            fix="Run: pip install 'intaglio[tflite]'.",
        ) from error
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise _damaged(where, "It is not a TFLite model, or it is cut off.")
    try:
        return _Reader(tflite, tflite.Model.GetRootAs(data, 0), where).model()
    except _BROKEN as error:
        raise _damaged(where, "It is damaged: an offset or a size in it is wrong.") from error


def _bytes_of(source: str | Path | bytes) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "TFLite model", source
    path = Path(source)
    where = f"File '{path}'"
    if not path.is_file():
        raise UsageError("There is no such file.", where=where, fix="Check the path.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ImportModelError(
            f"It has {size} bytes, more than the limit of {MAX_BYTES}.", where=where
        )
    return where, path.read_bytes()


def _damaged(where: str, what: str) -> ImportModelError:
    return ImportModelError(what, where=where, fix="Convert the model again, or copy it again.")


@dataclass(frozen=True)
class _Reader:
    """The flatbuffer of one model and how errors name it."""

    package: Any
    root: Any
    where: str

    def model(self) -> Model:
        if self.root.Version() != 3:
            raise _damaged(self.where, f"Its version {self.root.Version()} is not 3.")
        self.check(self.root.SubgraphsLength(), "subgraphs")
        self.check(self.root.BuffersLength(), "buffers")
        if self.root.SubgraphsLength() < 1:
            raise _damaged(self.where, "It holds no network.")
        graph = self.root.Subgraphs(0)
        tensors = tuple(
            self.tensor(graph.Tensors(index), index)
            for index in range(self.check(graph.TensorsLength(), "tensors"))
        )
        count = len(tensors)
        operators = tuple(
            self.operator(graph.Operators(index), index, count)
            for index in range(self.check(graph.OperatorsLength(), "operators"))
        )
        inputs = self.indices(graph.InputsLength(), graph.Inputs, count, "Its inputs", least=0)
        outputs = self.indices(graph.OutputsLength(), graph.Outputs, count, "Its outputs", least=0)
        if not operators or not inputs or not outputs:
            raise _damaged(self.where, "It holds no network: operators, inputs or outputs miss.")
        return Model(_text(graph.Name()) or "network", tensors, operators, inputs, outputs)

    def check(self, count: int, what: str) -> int:
        """``count`` if it is within the limits."""
        if count > MAX_ENTRIES:
            raise _damaged(
                self.where, f"It has {count} {what}, more than the limit of {MAX_ENTRIES}."
            )
        return count

    def indices(
        self, length: int, entry: Callable[[int], int], count: int, what: str, least: int = -1
    ) -> tuple[int, ...]:
        """A list of tensor indices, each in least..count - 1."""
        found = tuple(int(entry(index)) for index in range(self.check(length, "operands")))
        bad = [index for index in found if not least <= index < count]
        if bad:
            raise _damaged(self.where, f"{what} name tensor {bad[0]}, but there are {count}.")
        return found

    def tensor(self, table: Any, index: int) -> Tensor:
        name = _text(table.Name()) or f"tensor{index}"
        where = f"Tensor '{name}'"
        shape = tuple(
            int(table.Shape(axis)) for axis in range(self.check(table.ShapeLength(), "axes"))
        )
        if len(shape) > MAX_RANK or min(shape, default=1) < 0 or prod(shape) > MAX_ELEMENTS:
            raise _damaged(where, f"It has the shape {list(shape)}.")
        symbolic = [
            axis
            for axis in range(1, min(table.ShapeSignatureLength(), MAX_RANK))
            if table.ShapeSignature(axis) < 0
        ]
        kind = _TYPES.get(table.Type())
        type_name, dtype, container = kind or (f"type {table.Type()}", FLOAT32, None)
        scales, zero_points, channel_axis = self.quantization(table.Quantization(), shape, where)
        data = self.data(table, shape, type_name, container, where)
        if symbolic and data is None:
            type_name = f"{type_name} of unknown size along axis {symbolic[0]}"
        return Tensor(name, shape, type_name, dtype, scales, zero_points, channel_axis, data, where)

    def quantization(
        self, table: Any, shape: tuple[int, ...], where: str
    ) -> tuple[Array, Array, int]:
        """Scales, zero points and axis; each empty, one, or as many as the axis is long."""
        nothing = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        if table is None or table.ScaleLength() == 0:
            return nothing
        self.check(table.ScaleLength(), "scales of one tensor")
        scales = np.array(table.ScaleAsNumpy(), np.float32)
        points = np.zeros(scales.shape, np.int64)
        if table.ZeroPointLength():
            self.check(table.ZeroPointLength(), "zero points of one tensor")
            points = np.array(table.ZeroPointAsNumpy(), np.int64)
        axis = int(table.QuantizedDimension())
        lengths = {1, shape[axis] if 0 <= axis < len(shape) else 1}
        fits = scales.size in lengths and points.size in (1, scales.size)
        if not fits or not (np.isfinite(scales).all() and (scales > 0).all()):
            raise _damaged(
                where, f"Its {scales.size} scales and {points.size} zero points do not fit it."
            )
        return scales, np.broadcast_to(points, scales.shape).copy(), axis

    def data(
        self, table: Any, shape: tuple[int, ...], type_name: str, container: Any, where: str
    ) -> Array | None:
        """The elements of a constant; None when there are none in the file."""
        index = table.Buffer()
        if index >= self.root.BuffersLength():
            raise _damaged(where, f"It names buffer {index}, which does not exist.")
        buffer = self.root.Buffers(index)
        size = buffer.DataLength()
        if size == 0 or container is None:
            return None
        if table.Sparsity() is not None:
            raise _damaged(where, "It is stored sparsely, which is not supported.")
        raw: Array = np.asarray(buffer.DataAsNumpy(), np.uint8)
        if type_name == "int4":
            raw = np.stack((raw << 4, raw & 0xF0), axis=1).view(np.int8).reshape(-1) >> 4
            return raw[: prod(shape)].reshape(shape)
        if size != prod(shape) * container.itemsize:
            raise _damaged(where, f"Its {size} bytes do not fit {list(shape)} of {type_name}.")
        return np.frombuffer(raw.tobytes(), container).reshape(shape)

    def operator(self, table: Any, index: int, count: int) -> Operator:
        where = f"Operator {index}"
        if table.OpcodeIndex() >= self.root.OperatorCodesLength():
            raise _damaged(where, f"Its code {table.OpcodeIndex()} does not exist.")
        code = self.root.OperatorCodes(table.OpcodeIndex())
        kind = _kind(self.package, code)
        inputs = self.indices(table.InputsLength(), table.Inputs, count, f"The inputs of {where}")
        outputs = self.indices(
            table.OutputsLength(), table.Outputs, count, f"The outputs of {where}", least=0
        )
        return Operator(kind, inputs, outputs, self.options(table, kind))

    def options(self, table: Any, kind: str) -> dict[str, Any]:
        """The options that the importer reads, with the defaults of the schema."""
        known = OPTIONS.get(kind)
        if known is None:
            return {}
        made = getattr(self.package, known.table)()
        held = table.BuiltinOptions()
        if held is None or table.BuiltinOptionsType() != getattr(
            self.package.BuiltinOptions, known.table
        ):
            return dict(known.defaults)
        made.Init(held.Bytes, held.Pos)
        found = {}
        for name, default in known.defaults.items():
            accessor = "".join(part.capitalize() for part in name.split("_"))
            if isinstance(default, tuple):
                length = self.check(getattr(made, f"{accessor}Length")(), "options")
                found[name] = tuple(int(getattr(made, accessor)(i)) for i in range(length))
            else:
                found[name] = getattr(made, accessor)()
        return found


def _kind(package: Any, code: Any) -> str:
    """The name of a builtin operator; a custom one by its own."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    names = {v: k for k, v in vars(package.BuiltinOperator).items() if isinstance(v, int)}
    name = names.get(number, f"operator {number}")
    return f"CUSTOM {_text(code.CustomCode())}" if name == "CUSTOM" else name


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", errors="replace")
