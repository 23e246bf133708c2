"""One ATen call of an exported module with its arguments known: what a translator is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...ir.ops_layout import Ints
from ..emit.arithmetic import number
from ..emit.batch_size import BatchSize, Size
from ..emit.site import Constant, Operand, Site


@dataclass(frozen=True, slots=True)
class AtenCall:
    """Arguments by the name that the ATen schema gives them, defaults included.

    Tensors are Operands, the batch size is BATCH_SIZE, everything else is as torch has it.
    """

    site: Site
    arguments: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def activation(self, name: str = "self") -> str:
        """An argument that must be an activation."""
        return self.site.need_activation(self[name])

    def constant(self, name: str) -> Constant:
        """An argument that must be a parameter, a buffer or computed from them."""
        return self.site.need_constant(self[name])

    def optional(self, name: str) -> Constant | None:
        """A constant argument, or None."""
        return None if self[name] is None else self.constant(name)

    def operand(self, name: str) -> Operand:
        """A tensor or a number."""
        found = self[name]
        return found if isinstance(found, str | Constant) else number(self.real(name))

    def real(self, name: str) -> float:
        """A number that is not a tensor and does not depend on the batch size."""
        found = self[name]
        if not isinstance(found, int | float):
            kind = "the batch size" if isinstance(found, BatchSize) else "a tensor"
            raise self.site.fail(f"Its argument '{name}' is {kind}.", "Use a number there.")
        return float(found)

    def optional_real(self, name: str) -> float | None:
        """A number, or None where the argument is None or the operator has none of that name."""
        return None if self.arguments.get(name) is None else self.real(name)

    def integer(self, name: str) -> int:
        """One integer."""
        (found,) = self.ints(name)
        return found

    def ints(self, name: str) -> Ints:
        """Integers; ImportModelError when one depends on the batch size."""
        found = self[name]
        sizes: Sequence[Size] = found if isinstance(found, list | tuple) else [found]
        if any(isinstance(size, BatchSize) for size in sizes):
            raise self.site.fail(
                f"Its argument '{name}' depends on the batch size.", "Use numbers there."
            )
        return tuple(int(size) for size in sizes if not isinstance(size, BatchSize))


@dataclass(frozen=True, slots=True)
class AtenTranslator:
    """How one ATen operator becomes IR.

    ``arguments`` names those it reads; ``only`` gives the one value that any other may have, where
    that is not the default of the schema. ``ignored`` arguments do not change values.
    """

    arguments: tuple[str, ...]
    emit: Callable[[AtenCall], Operand | tuple[Operand, ...]]
    ignored: tuple[str, ...] = ()
    only: tuple[tuple[str, Any], ...] = ()


def check_arguments(
    site: Site, translator: AtenTranslator, call: AtenCall, defaults: Mapping[str, Any]
) -> None:
    """Raise ImportModelError for an argument that is not read and differs from its default."""
    neutral = {**defaults, **dict(translator.only)}
    for name, value in call.arguments.items():
        read = name in translator.arguments or name in translator.ignored
        if not read and value != neutral.get(name):
            wanted = f"{name} = {neutral[name]!r}" if name in neutral else "leave it out"
            raise site.fail(
                f"Argument '{name}' = {value!r} is not supported.", f"Supported: {wanted}."
            )
