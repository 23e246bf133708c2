"""What a kernel is: a function over arrays in storage order, and the packing of its constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.numeric import Array
from ..ir.tensor import TensorType

Types = Sequence[TensorType]
Operands = Sequence[Any]
"""One array per operand; for ``prepare`` an activation may be None."""
Run = Callable[[Any, Operands, Array], None]


def unchanged(op: Any, inputs: Operands) -> Operands:
    """The operands as they are."""
    return inputs


@dataclass(frozen=True, slots=True)
class Kernel:
    """``kernel(op, inputs, out)`` writes ``op(inputs)`` into ``out``.

    Arrays are C-contiguous, in storage order (ir/layout.py), in the containers of their types;
    accumulators are int32. ``prepare`` packs the constants among the operands, once; ``run``
    expects them packed.
    """

    run: Run
    prepare: Callable[[Any, Operands], Operands] = unchanged

    def __call__(self, op: Any, inputs: Operands, out: Array) -> None:
        """``run`` on operands that are not packed yet."""
        self.run(op, self.prepare(op, inputs), out)
