"""The values of a program in the ONNX graph, by slot."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...ir.numeric import Array
from ...ir.program import Program
from ...ir.tensor import TensorType


@dataclass
class Values:
    """Names of the activations that are there, and the arrays of constants."""

    program: Program
    names: dict[int, str] = field(default_factory=dict)
    current: int = 0
    """The slot of the step that is being written; its shape is that of what an epilogue takes."""

    def name(self, index: int) -> str:
        """The value of an activation."""
        return self.names[index]

    def type(self, index: int) -> TensorType:
        """The type of a slot."""
        return self.program.slots[index].type

    def array(self, index: int) -> Array:
        """A constant in logical order."""
        constant = self.program.slots[index].constant
        assert constant is not None
        return constant.array
