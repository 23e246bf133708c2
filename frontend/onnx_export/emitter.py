"""Collects the nodes and constants of an ONNX graph; every value has a name and a dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...ir.numeric import Array, NumericType
from ...ir.tensor import TensorType

INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
UINT8, UINT64 = np.dtype(np.uint8), np.dtype(np.uint64)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
BOOL = np.dtype(np.bool_)


@dataclass(frozen=True, slots=True)
class Ref:
    """A value of the ONNX graph."""

    name: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand of a step: its type, and an activation's value or a constant's array."""

    type: TensorType
    ref: Ref | None = None
    array: Array | None = None

    @property
    def value(self) -> Ref:
        """The value of an activation."""
        assert self.ref is not None
        return self.ref

    @property
    def constant(self) -> Array:
        """The elements of a constant, int64."""
        assert self.array is not None
        return self.array.astype(INT64)


def code_of(dtype: np.dtype[Any]) -> int:
    """ONNX's number of an element type."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


@dataclass
class Emitter:
    """The graph so far; ``scope`` begins the names of the step that is being written.

    Names in ``slots`` are those of the program's tensors.
    """

    slots: frozenset[str]
    scope: str = ""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[tuple[str, tuple[int, ...], bytes], Ref] = field(default_factory=dict)
    tensors: list[onnx.TensorProto] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def _unused(self, hint: str) -> str:
        name, count = hint, 1
        while name in self.taken or name in self.slots:
            name, count = f"{hint}_{count}", count + 1
        self.taken.add(name)
        return name

    def constant(self, array: Array, hint: str = "constant") -> Ref:
        """A constant; equal ones are stored once."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self.constants:
            name = self._unused(f"{self.scope}/{hint}")
            self.tensors.append(numpy_helper.from_array(array, name))
            self.constants[key] = Ref(name, array.dtype)
        return self.constants[key]

    def ints(self, *values: int) -> Ref:
        """A list of int64, as shapes and axes are."""
        return self.constant(np.array(values, INT64), "sizes")

    def scalar(self, value: float, dtype: np.dtype[Any]) -> Ref:
        """One number."""
        return self.constant(np.array(value, dtype), "number")

    def node(
        self, op: str, *inputs: Ref, dtype: np.dtype[Any] | None = None, **attributes: Any
    ) -> Ref:
        """The result of a node; its dtype is that of the first operand unless stated."""
        name = self._unused(f"{self.scope}/{op}")
        names = [each.name for each in inputs]
        self.nodes.append(helper.make_node(op, names, [name], name=name, **attributes))
        return Ref(name, inputs[0].dtype if dtype is None else dtype)

    def cast(self, x: Ref, dtype: np.dtype[Any]) -> Ref:
        """x as another type; integers wrap around as ONNX defines it."""
        return x if x.dtype == dtype else self.node("Cast", x, dtype=dtype, to=code_of(dtype))

    def wide(self, x: Ref) -> Ref:
        """x as int64."""
        return self.cast(x, INT64)

    def reshape(self, x: Ref, *shape: int) -> Ref:
        """x with the shape (batch, *shape)."""
        return self.node("Reshape", x, self.ints(0, *shape))

    def named(self, x: Ref, name: str) -> Ref:
        """x under the name of a slot; a node that has one already keeps it."""
        if self.nodes and self.nodes[-1].output[0] == x.name and x.name not in self.slots:
            self.nodes[-1].output[0] = name
        else:
            self.nodes.append(helper.make_node("Identity", [x.name], [name], name=name))
        return Ref(name, x.dtype)

    def shift_right(self, x: Ref, bits: Array | int) -> Ref:
        """int64 x divided by ``2**bits``, rounded down, bits 0..63: ONNX shifts unsigned only.

        ``((x + 2**63) >> s) - 2**(63 - s)`` modulo 2**64.
        """
        up = self.node("Add", self.cast(x, UINT64), self.scalar(1 << 63, UINT64))
        counts = np.asarray(bits).astype(UINT64)
        down = self.node("BitShift", up, self.constant(counts, "shift"), direction="RIGHT")
        back = self.constant(np.uint64(1) << (np.uint64(63) - counts), "origin")
        return self.wide(self.node("Sub", down, back))


def along_channels(array: Array, rank: int) -> Array:
    """A parameter: a scalar, or ``(c,)`` shaped to meet axis 1 of ``rank`` axes."""
    if array.size == 1:
        return array.reshape(())
    return array.reshape(-1, *(1,) * (rank - 2))


def value_info(name: str, dtype: NumericType, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """An input or output of the graph, as its container."""
    return helper.make_tensor_value_info(name, code_of(dtype.container), list(shape))
