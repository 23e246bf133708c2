"""Lines of C, and what a step of the program is to its code: operands, strides, the epilogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

from ...ir.layout import storage_shape
from ...ir.numeric import NumericType
from ...ir.op import Op
from ...ir.program import Program, Slot
from ...ir.tensor import TensorType


@dataclass
class Code:
    """Lines under construction, and the helper functions that they call."""

    lines: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    depth: int = 1

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self.depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Lines within ``head { ... }``."""
        self.add(f"{head} {{")
        self.depth += 1
        yield
        self.depth -= 1
        self.add("}")

    @contextmanager
    def loops(self, names: Sequence[str], sizes: Sequence[int]) -> Iterator[None]:
        """Nested loops from 0."""
        for name, size in zip(names, sizes, strict=True):
            self.add(f"for (int32_t {name} = 0; {name} < {size}; {name}++) {{")
            self.depth += 1
        yield
        for _ in sizes:
            self.depth -= 1
            self.add("}")

    def use(self, helper: str) -> str:
        """The name of a helper function, which is then written into the file."""
        self.helpers.add(helper)
        return helper


@dataclass(frozen=True)
class Scope:
    """A program with the C names of its constants, by slot."""

    program: Program
    names: dict[int, str]

    def slot(self, index: int) -> Slot:
        """The slot of that number."""
        return self.program.slots[index]

    def read(self, index: int, place: str) -> str:
        """The element of an activation or constant at a place in storage order."""
        slot = self.slot(index)
        if slot.constant is not None:
            return f"{self.names[index]}[{place}]"
        first = slot.offset // slot.type.dtype.container.itemsize
        return f"arena.{member(slot.type.dtype)}[{first} + {place}]"

    def value(self, index: int, at: Sequence[str]) -> str:
        """The element at logical coordinates of the sample."""
        return self.read(index, place(self.slot(index).type, at))


def member(dtype: NumericType) -> str:
    """The arena's view of a type: ``i8``, ``u16`` ..."""
    container = dtype.container
    return f"{container.kind}{8 * container.itemsize}"


def c_type(dtype: NumericType) -> str:
    """The C type of a container."""
    return f"{dtype.container.name}_t"


def strides(type_: TensorType) -> tuple[int, ...]:
    """How far neighbours along each logical axis of a sample lie apart in storage order."""
    if not type_.batched:
        stored = TensorType(storage_shape(type_.sample_shape)).sample_shape
        apart = [prod(stored[axis + 1 :]) for axis in range(len(stored))]
        return (apart[0], apart[3], apart[1], apart[2]) if len(apart) == 4 else tuple(apart)
    shape = type_.sample_shape
    if len(shape) == 3:
        channels, _, width = shape
        return 1, width * channels, channels
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def place(type_: TensorType, at: Sequence[str]) -> str:
    """The place in storage order of logical coordinates."""
    return affine(zip(at, strides(type_), strict=True))


def affine(terms: Iterable[tuple[str, int]]) -> str:
    """The sum of products of names and numbers."""
    parts = [name if step == 1 else f"{name} * {step}" for name, step in terms]
    return " + ".join(part for part in parts if not part.startswith("0")) or "0"


def axes(type_: TensorType) -> list[str]:
    """Names of loop variables for the axes of a sample."""
    return [f"i{axis}" for axis in range(len(type_.sample_shape))]


@dataclass(frozen=True)
class Ending:
    """How a step's result becomes its output: through the epilogue, if there is one."""

    code: Code
    scope: Scope
    output: int
    epilogue: Op | None
    parameters: tuple[int, ...]

    @property
    def type(self) -> TensorType:
        """The type of the output; its shape is that of what goes in."""
        return self.scope.slot(self.output).type

    def store(self, value: str, at: Sequence[str]) -> None:
        """Write an element, an int64 expression, at logical coordinates."""
        from .epilogue import EPILOGUES

        if self.epilogue is not None:
            channel = at[0] if at else "0"
            emit = EPILOGUES[type(self.epilogue)]
            value = emit(self.code, self.scope, self.epilogue, self.parameters, value, channel)
        target = self.scope.read(self.output, place(self.type, at))
        self.code.add(f"{target} = ({c_type(self.type.dtype)})({value});")
