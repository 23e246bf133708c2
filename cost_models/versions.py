"""A network at another width and another rate, as the cost model sees it; no file of it exists.

Every weight has values of the width, and the zeros that a mask says. What else is in the network,
its shapes and the bits of its activations, stays. Weights are stored in the code of ``breakeven``
that takes the fewest bits at the density of their layer, so that values take the same bits whatever
they are; an entropy coder is left out, of both sides of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from ..errors import UsageError
from ..ir.numeric import BIPOLAR, TERNARY, Array, NumericType, int_type
from ..ir.program import Program, Slot
from ..ir.tensor import Tensor
from .breakeven import dense, packed
from .layers import layers_of
from .machine import Machine
from .network import Packed, layer_costs
from .range import Range

Masks = Mapping[int, Array]
"""Which weights are not zero, by slot."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a version takes: ``storage`` of weights and their places in bits, nominal ``energy`` in
    [pJ], ``time`` in cycles.
    """

    storage: float
    energy: float
    time: float


def own_masks(program: Program) -> dict[int, Array]:
    """Where the network has weights now."""
    return {slot: tensor.array != 0 for slot, tensor in _weights(program).items()}


def random_order(program: Program) -> dict[int, Array]:
    """A random order of the weights of each tensor: of two rates the higher keeps a part of them.

    The same for the same shapes.
    """
    rng = np.random.default_rng(0)
    found = _weights(program).items()
    return {slot: rng.permutation(t.array.size).reshape(t.array.shape) for slot, t in found}


def uniform_masks(order: Masks, rate: float) -> dict[int, Array]:
    """One weight in ``rate`` left in each tensor, at random; at least one."""
    return {slot: ranks < max(1, round(ranks.size / rate)) for slot, ranks in order.items()}


def amounts(
    program: Program, constants: Mapping[int, Packed], machine: Machine, bits: int, masks: Masks
) -> Amounts:
    """What ``program`` takes with weights of ``bits`` where ``masks`` are true.

    ``constants`` is what the others of its constants take. Infinite where it does not fit.
    """
    slots, stored = list(program.slots), dict(constants)
    for index, mask in masks.items():
        slots[index] = _slot(slots[index], mask, bits)
        stored[index] = _stored(mask, bits)
    storage = sum(stored[index].bits for index in masks)
    try:
        costs = layer_costs(replace(program, slots=tuple(slots)), stored, machine)
    except UsageError:
        return Amounts(storage, inf, inf)
    return Amounts(
        storage=storage,
        energy=Range.total(each.energy for each in costs).nominal,
        time=sum(each.time for each in costs),
    )


def _weights(program: Program) -> dict[int, Tensor]:
    """The constants that layers multiply with, by slot."""
    slots = dict.fromkeys(each.weights for each in layers_of(program) if each.weights is not None)
    found = ((slot, program.slots[slot].constant) for slot in slots)
    return {slot: tensor for slot, tensor in found if tensor is not None}


def _slot(slot: Slot, mask: Array, bits: int) -> Slot:
    """Its weights are -1 and 0: the cost model looks at no other property of a value."""
    dtype = _type(mask, bits)
    tensor = Tensor(-mask.astype(dtype.container), dtype)
    return replace(slot, type=slot.type.with_dtype(dtype), constant=tensor)


def _type(mask: Array, bits: int) -> NumericType:
    """Of one bit on chip, too, unless there are zeros to be told from +1 and -1."""
    if bits > 1:
        return int_type(bits)
    return BIPOLAR if mask.all() else TERNARY


def _stored(mask: Array, bits: int) -> Packed:
    present = int(np.count_nonzero(mask))
    if not present:
        return Packed(0, 0, 0)
    density = present / mask.size
    code = min((dense(density), *packed(density)), key=lambda each: each.size(bits))
    return Packed(
        values=round(mask.size * code.values * bits),
        indices=round(mask.size * code.places),
        others=0,
        places=present if code.places else 0,
    )
