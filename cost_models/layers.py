"""The steps of a program as the cost model sees them: loops, operands and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..ir.op import Op, Work
from ..ir.ops_crop import Crop
from ..ir.ops_linear import Conv, Dense, GatherConv
from ..ir.program import Program, Slot, Step
from ..ir.tensor import TensorType
from .crops import Window, widest
from .loops import Loops

Linear = Conv | GatherConv | Dense


@dataclass(frozen=True, slots=True)
class Layer:
    """One step: what it reads and writes, indices of slots, and computes for ``samples`` at once.

    ``loops`` is None where nothing is multiplied with constants. ``reduction`` products make one
    sum: fewer than the loops say where a list leaves out places of the kernel. ``constants`` are
    read besides the weights: biases, multipliers, thresholds, lists of places. Of the first input
    only a ``window`` is read where the op is a crop: at most the widest there can be.
    """

    name: str
    op: str
    loops: Loops | None
    reduction: int
    weights: int | None
    inputs: tuple[int, ...]
    output: int
    constants: tuple[int, ...]
    work: Work
    samples: int = 1
    window: Window | None = None

    @property
    def macs(self) -> int:
        """Products with weights, zeros among them."""
        return self.loops.outputs * self.reduction if self.loops else 0


def layers_of(program: Program, samples: int = 1) -> tuple[Layer, ...]:
    """Every step of a program, in order, each for all samples before the next."""
    return tuple(_repeated(_layer(program, step), samples) for step in program.steps)


def _repeated(layer: Layer, samples: int) -> Layer:
    loops = replace(layer.loops, n=samples * layer.loops.n) if layer.loops else None
    return replace(layer, loops=loops, work=layer.work * samples, samples=samples)


def _layer(program: Program, step: Step) -> Layer:
    slots = program.slots
    types = [slots[index].type for index in step.inputs]
    loops, reduction, weights = None, 0, None
    if isinstance(step.op, Linear):
        loops, reduction = _loops(step.op, [slots[i] for i in step.inputs])
        weights = step.inputs[1]
    every = (*step.inputs, *step.parameters)
    constants = (i for i in every if slots[i].constant is not None and i != weights)
    return Layer(
        name=_name(program, step, weights),
        op=step.op.name,
        loops=loops,
        reduction=reduction,
        weights=weights,
        inputs=tuple(dict.fromkeys(i for i in step.inputs if slots[i].constant is None)),
        output=step.output,
        constants=tuple(dict.fromkeys(constants)),
        work=_work(program, step, types),
        window=_window(step.op, types[0]),
    )


def _window(op: Op, image: TensorType) -> Window | None:
    if not isinstance(op, Crop):
        return None
    _, height, width = image.sample_shape
    return widest(op, (height, width))


def _name(program: Program, step: Step, weights: int | None) -> str:
    """The name in the user's model, when it is known; that of its weights if nobody shares them."""
    own = weights is not None and program.owns(step, weights)
    origin = program.slots[weights].origin if weights is not None and own else ""
    slot = program.slots[step.output]
    return origin or slot.origin or slot.name


def _work(program: Program, step: Step, types: list[TensorType]) -> Work:
    """Arithmetic of the step and of its epilogue."""
    found = step.op.work(*types)
    if step.epilogue is None:
        return found
    inner = step.op.infer(*types)
    return found + step.epilogue.work(inner, *(program.slots[i].type for i in step.parameters))


def _loops(op: Linear, operands: list[Slot]) -> tuple[Loops, int]:
    x, weight = operands[0].type.sample_shape, operands[1].type
    filters = weight.sample_shape[0]
    if isinstance(op, Dense):
        places = int(np.prod(x[:-1], dtype=np.int64))
        return Loops(1, filters, x[-1], places, 1, 1, 1, places, 1), x[-1]
    groups, channels = 1, x[0]
    if isinstance(op, GatherConv):
        r, s = op.kernel
        channels = _channels(op, operands)
    else:
        r, s = weight.sample_shape[2:]
        groups = op.groups
    p, q = op.infer(*(slot.type for slot in operands)).sample_shape[1:]
    m, c = filters // groups, channels // groups
    height, width = x[1:]
    pad = (op.pads[0], op.pads[1])
    loops = Loops(1, m, c, p, q, r, s, height, width, groups, op.strides, op.dilations, pad)
    return loops, weight.elements // filters


def _channels(op: GatherConv, operands: list[Slot]) -> int:
    """Channels of x in which a listed place lies."""
    columns = operands[op.listed].constant
    assert columns is not None
    return len(np.unique(columns.array.astype(np.int64) % operands[0].type.sample_shape[0]))
