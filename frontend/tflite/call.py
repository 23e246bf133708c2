"""One TFLite operator with its tensors: what a translator is given, and what it gives back.

TFLite's images are (n, h, w, c), the graph's are (n, c, h, w). A value is held in either order, or
in both; a translator asks for the one it needs, and transposes cancel where they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...ir.numeric import Array, Encoding
from ..emit.layout import transpose
from ..emit.site import Draft, Site
from .dialect import Dialect
from .model import Model, Operator, Tensor
from .reference import TFLITE

Order = Literal["file", "planes"]
"""Axes as in the file, or those of rank 4 as (n, c, h, w); the same for every other rank."""
TO_PLANES, TO_FILE = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Result:
    """A value that a translator emitted, and the order of its axes."""

    name: str
    order: Order


@dataclass
class State:
    """One import: the model, the graph under construction, what every tensor stands for so far."""

    model: Model
    draft: Draft
    dialect: Dialect | None
    held: dict[int, dict[Order, str]] = field(default_factory=dict)

    def hold(self, index: int, result: Result) -> None:
        """Note the value of a tensor; ranks other than 4 have one order."""
        rank = len(self.model.tensors[index].shape)
        orders: tuple[Order, ...] = (result.order,) if rank == 4 else ("file", "planes")
        self.held[index] = dict.fromkeys(orders, result.name)


@dataclass(frozen=True, slots=True)
class Call:
    """An operator: its site, its tensors, and the sites of its outputs."""

    operator: Operator
    state: State
    sites: tuple[Site, ...]

    @property
    def site(self) -> Site:
        return self.sites[0]

    @property
    def kind(self) -> str:
        return self.operator.kind

    @property
    def options(self) -> Mapping[str, Any]:
        return self.operator.options

    @property
    def dialect(self) -> Dialect:
        """The arithmetic; a translator of reals never asks.

        XNNPACK takes no 16-bit codes: they are TFLite's everywhere.
        """
        assert self.state.dialect is not None
        return TFLITE if self.is_wide else self.state.dialect

    @property
    def is_wide(self) -> bool:
        """Whether it computes codes of 16 bits from codes."""
        return self.y.type_name == "int16"

    @property
    def y(self) -> Tensor:
        """The first output."""
        return self.state.model.tensors[self.operator.outputs[0]]

    def has(self, index: int) -> bool:
        """Whether operand ``index`` is there."""
        return index < len(self.operator.inputs) and self.operator.inputs[index] >= 0

    def tensor(self, index: int) -> Tensor:
        """Operand ``index``; raises ImportModelError when it is absent."""
        if not self.has(index):
            raise self.site.fail(f"Its operand {index} is missing.", "Convert the model again.")
        return self.state.model.tensors[self.operator.inputs[index]]

    def is_constant(self, index: int) -> bool:
        """Whether operand ``index`` holds data in the file."""
        return self.tensor(index).data is not None

    def constant(self, index: int) -> Array:
        """The elements of a constant operand."""
        data = self.tensor(index).data
        if data is None:
            raise self.site.fail(
                f"Its operand '{self.tensor(index).name}' is not a constant.",
                "Only a constant is supported there.",
            )
        return data

    def ints(self, index: int) -> list[int]:
        """The elements of a constant operand of integers."""
        data = self.constant(index)
        if data.dtype.kind != "i":
            raise self.site.fail(
                f"Its operand '{self.tensor(index).name}' holds no integers.",
                "Convert the model again.",
            )
        return [int(each) for each in data.reshape(-1)]

    def value(self, index: int, order: Order = "planes") -> str:
        """An operand that is computed from the inputs, with its axes in ``order``."""
        tensor = self.tensor(index)
        held = self.state.held.get(self.operator.inputs[index])
        if held is None:
            what = "is a constant" if tensor.data is not None else "is not computed before it"
            raise self.site.fail(
                f"Its operand '{tensor.name}' {what}.",
                "Only what is computed from the inputs is supported there.",
            )
        if order not in held:
            axes = TO_PLANES if order == "planes" else TO_FILE
            held[order] = transpose(self.site.step(f"in{index}"), next(iter(held.values())), axes)
        return held[order]

    def result(self, index: int = 0) -> Result:
        """An operand as it is held, in planes if there is a choice."""
        held = self.state.held.get(self.operator.inputs[index]) if self.has(index) else None
        order: Order = "file" if held is not None and "planes" not in held else "planes"
        return Result(self.value(index, order), order)

    def codes(self, index: int, order: Order = "planes") -> str:
        """An operand that must be codes with one scale."""
        tensor = self.tensor(index)
        if not tensor.is_codes:
            raise self.site.fail(
                f"Its operand '{tensor.name}' is {tensor.type_name} without a scale.",
                "Convert the model with full integer quantization.",
            )
        return self.value(index, order)

    @property
    def encoding(self) -> Encoding:
        """What the codes of the first output mean."""
        return self.y.encoding


Translator = Callable[[Call], Result | tuple[Result, ...]]


def channel_axis(axis: int, rank: int) -> int:
    """Axis ``axis`` of the file in planes."""
    return {1: 2, 2: 3, 3: 1}.get(axis, axis) if rank == 4 else axis


def counted(site: Site, axis: int, rank: int) -> int:
    """``axis`` counted from the front."""
    if not -rank <= axis < rank:
        raise site.fail(f"Axis {axis} is not one of the {rank} axes.", "Correct the axis.")
    return axis % rank
