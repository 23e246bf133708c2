"""Lowering average pools; where the border does not count, one pool for windows of each size."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Node
from ..ir.ops_layout import Slice
from ..ir.ops_pool import AveragePool, SumPool
from ..ir.tensor import TensorType
from .lowering import Lowering
from .meaning import Codes, Image, Joined


@dataclass(frozen=True, slots=True)
class Run:
    """Neighboring windows of one size along an axis: ``count`` of ``kernel`` elements.

    The first begins at ``start``, within the input; the next ``stride`` later.
    """

    start: int
    kernel: int
    stride: int
    count: int = 1

    @property
    def stop(self) -> int:
        """Where the last window ends."""
        return self.start + (self.count - 1) * self.stride + self.kernel


def runs(size: int, kernel: int, stride: int, before: int, count: int) -> list[Run]:
    """The ``count`` windows along an axis of ``size``, cut off at its ends, as runs."""
    found: list[Run] = []
    for index in range(count):
        first = index * stride - before
        start, stop = max(first, 0), min(first + kernel, size)
        last = found[-1] if found else None
        fits = last is not None and last.kernel == stop - start
        if last is not None and fits and start == last.start + last.count * stride:
            found[-1] = Run(last.start, last.kernel, stride, last.count + 1)
        else:
            found.append(Run(start, stop - start, stride))
    return found


def lower_average_pool(self: Lowering, node: Node) -> None:
    """An image of the sum over the window, or several images side by side."""
    op = node.op
    if not isinstance(op, AveragePool):
        return
    x = self.codes(node)
    if op.count_border or not any(op.pads):
        pool = SumPool(op.kernel, op.strides, op.pads, x.zero_point)
        acc = self.emit(f"{node.name}.acc", pool, x.name, node=node)
        self.meanings[node.name] = _average(x, acc, op.kernel[0] * op.kernel[1])
        return
    _, height, width = self.facts[x.name].type.sample_shape
    top, left = op.pads[:2]
    down = runs(height, op.kernel[0], op.strides[0], top, node.type.sample_shape[1])
    across = runs(width, op.kernel[1], op.strides[1], left, node.type.sample_shape[2])
    rows = tuple(_row(self, node, x, run, across) for run in down)
    self.meanings[node.name] = rows[0] if len(rows) == 1 else Joined(rows, 2)


def _average(x: Codes, acc: str, area: int) -> Image:
    return Image(acc, (x.scale / area,), (-x.scale * x.zero_point,))


def _row(self: Lowering, node: Node, x: Codes, down: Run, across: list[Run]) -> Image | Joined:
    """The windows of one run of rows."""
    parts = []
    for run in across:
        place = f"{node.name}.at{down.start}x{run.start}"
        part = _cut(self, node, x, place, down, run)
        pool = SumPool((down.kernel, run.kernel), (down.stride, run.stride))
        acc = self.emit(f"{place}.acc", pool, part, node=node)
        parts.append(_average(x, acc, down.kernel * run.kernel))
    return parts[0] if len(parts) == 1 else Joined(tuple(parts), 3)


def _cut(self: Lowering, node: Node, x: Codes, place: str, down: Run, across: Run) -> str:
    """The part of x that the windows of both runs read."""
    type_: TensorType = self.facts[x.name].type
    channels, height, width = type_.sample_shape
    if (down.start, across.start, down.stop, across.stop) == (0, 0, height, width):
        return x.name
    starts, stops = (0, down.start, across.start), (channels, down.stop, across.stop)
    return self.emit(f"{place}.in", Slice(starts, stops, (1, 1, 1)), x.name, node=node)
