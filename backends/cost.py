"""What a blob costs on a machine: the model's layers, fed with the bytes of the file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cost_models.cost import Assumption, NetworkCost
from ..cost_models.machine import Machine
from ..cost_models.network import Packed, layer_costs
from ..ir.program import Program
from .choose_formats import ENTROPY, STORED
from .storage import stored_constants


def network_cost(
    program: Program,
    blob: bytes,
    machine: Machine,
    assumptions: Sequence[Assumption] = (),
    samples: int = 1,
) -> NetworkCost:
    """The cost of samples that run together, layer by layer; ``blob`` is the program's.

    Raises UsageError when a layer does not fit.
    """
    return NetworkCost(
        network=program.name,
        hardware=machine.name,
        clock_mhz=machine.clock_mhz,
        layers=layer_costs(program, packed_constants(program, blob), machine, samples),
        file_bytes=len(blob),
        assumptions=tuple(assumptions),
        samples=samples,
    )


def packed_constants(program: Program, blob: bytes) -> dict[int, Packed]:
    """Bits of every constant as it lies in the blob, alignment left out.

    Whatever has places has one to decode for each element that is not zero. An entropy code has
    a symbol for each element, or one for it and one for the zeros before it.
    """
    found = {}
    for index, record, part in stored_constants(program, blob):
        tensor = program.slots[index].constant
        assert tensor is not None
        size = STORED[record.format].size(tensor)
        assert size is not None
        present = int(np.count_nonzero(tensor.array))
        coded = record.format == ENTROPY.id
        found[index] = Packed(
            values=size.values,
            indices=size.indices,
            others=8 * len(part) - size.values - size.indices,
            places=present if size.indices and not coded else 0,
            symbols=(2 * present if size.indices else tensor.type.elements) if coded else 0,
        )
    return found
