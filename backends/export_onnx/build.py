"""Nodes and constants of an ONNX graph under construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...ir.numeric import Array


@dataclass
class Build:
    """A graph whose values are int64, in logical order; names are made from ``prefix``."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[bytes, onnx.TensorProto] = field(default_factory=dict)
    prefix: str = ""

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node; the name of its result."""
        name = f"{self.prefix}/{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """A constant; equal ones are one."""
        array = np.ascontiguousarray(np.asarray(values, dtype))
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.constants[key] = numpy_helper.from_array(array.reshape(np.shape(values)), name)
        return str(self.constants[key].name)

    def cast(self, value: str, dtype: Any) -> str:
        """The value in another type."""
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def binary(self, op: str, left: str, right: Any) -> str:
        """A node of a value and a value or number."""
        return self.add(op, left, right if isinstance(right, str) else self.constant(right))

    def floor_shift(self, value: str, shift: Array) -> str:
        """``value / 2^shift`` rounded down, for shifts of 0 to 63."""
        for part in (np.minimum(shift, 31), np.maximum(shift - 31, 0)):
            if part.any():
                power = np.left_shift(np.int64(1), part)
                rest = self.binary("Mod", value, power)  # of the divisor's sign: 0 or more
                value = self.binary("Div", self.add("Sub", value, rest), power)
        return value

    def clipped(self, value: str, lo: int, hi: int) -> str:
        """The value, at least lo and at most hi."""
        return self.binary("Min", self.binary("Max", value, lo), hi)

    def reduced(self, op: str, value: str, axis: int) -> str:
        """ReduceMax or ReduceSum along an axis that stays."""
        return self.add(op, value, self.constant([axis]), keepdims=1)

    def indicator(self, op: str, left: str, right: Any) -> str:
        """1 where the comparison holds, else 0."""
        return self.cast(self.binary(op, left, right), np.int64)


def by_channel(values: Array, rank: int) -> Array:
    """A scalar or ``(c,)`` as ``(1, c, 1, ...)``, to go with values of that rank."""
    flat = values.astype(np.int64).reshape(-1)
    return flat.reshape(1, -1, *[1] * (rank - 2)) if flat.size > 1 else flat.reshape(())


def sequence(values: Sequence[int]) -> list[int]:
    """Attributes as ONNX takes them."""
    return [int(value) for value in values]
