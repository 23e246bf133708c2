"""The base of every operator: what an op must state, and nothing of how it is run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from ..errors import ShapeError
from .interval import Interval
from .numeric import Array
from .tensor import TensorType


@dataclass(frozen=True, slots=True)
class Work:
    """Arithmetic of one sample, counted abstractly; ``+`` adds, ``*`` repeats."""

    macs: int = 0
    adds: int = 0
    multiplies: int = 0
    compares: int = 0
    lookups: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: int) -> Work:
        return Work(*(getattr(self, f.name) * times for f in fields(self)))


class Op(ABC):
    """One operator: a frozen dataclass whose fields are its attributes.

    Attributes are int, float, str, NumericType or tuples of int. ``inputs`` names the operands in
    order; a name ending in ``?`` may be absent. Methods take one argument per operand:
    ``infer`` TensorTypes, ``reference`` arrays, ``interval`` Facts, ``work`` TensorTypes.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    variadic: ClassVar[bool] = False

    @abstractmethod
    def infer(self, *inputs: Any, **_: Any) -> TensorType:
        """The type of the result; raises ShapeError when the operands do not fit."""

    @abstractmethod
    def reference(self, *inputs: Any, **_: Any) -> Array:
        """The result, slow and obvious: int64 for integers, float32 for reals."""

    def interval(self, *inputs: Any, **_: Any) -> Interval:
        """Where the integer result lies, given Facts of the operands."""
        raise ShapeError(f"Operator '{self.name}' does not compute integers.")

    def work(self, *inputs: Any, **_: Any) -> Work:
        """Arithmetic for one sample; nothing unless overridden."""
        return Work()

    def check_arity(self, count: int) -> None:
        """Raise ShapeError unless ``count`` operands fit."""
        required = sum(not name.endswith("?") for name in self.inputs)
        if count < required or (count > len(self.inputs) and not self.variadic):
            raise ShapeError(
                f"Operator '{self.name}' takes {', '.join(self.inputs)}; got {count} operands."
            )
