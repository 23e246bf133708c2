"""A blob as the comparison sees it: what kind of network it is, and where its bytes go."""

from __future__ import annotations

import numpy as np

from ..cost_models.comparison import DENSE, N_OF_M, NON_STRUCTURED, STRUCTURED, Compared
from ..cost_models.cost import NetworkCost
from ..ir.formats.bits import flat, matrix_shape
from ..ir.numeric import Array
from ..ir.program import Program
from .blob_layout import DATA
from .blob_sections import sections
from .storage import Report, storage_report
from .summary import WeightCounts, weight_counts, weight_slots

FEW = 0.1
"""Share of weights up to which those that are gone do not make a kind."""
SPARSE = 0.6
"""Share of weights below which the others are pruned: rounding makes zeros as well."""
SEEN = 4
"""Weights for each code that a tensor must have to show which codes there are."""


def compared(
    name: str,
    program: Program,
    blob: bytes,
    cost: NetworkCost,
    most: int,
    accuracy: float | None = None,
    simulator_ms: float | None = None,
) -> Compared:
    """A network beside others, the largest of which has ``most`` weights that are not zero."""
    report = storage_report(program, blob)
    value, index = (_bytes(report, kind) for kind in ("value_bits", "index_bits"))
    data = sections(blob)[DATA.decode()]
    return Compared(
        name=name,
        kind=kind_of(program, most),
        bits=weight_bits(program),
        accuracy=accuracy,
        rate=most / max(weight_counts(program).nonzero, 1),
        cost=cost,
        value_bytes=value,
        index_bytes=index,
        header_bytes=data - value - index,
        other_bytes=len(blob) - data,
        simulator_ms=simulator_ms,
    )


def _bytes(report: Report, kind: str) -> int:
    """Whole bytes of the bits of one kind in all constants."""
    return sum(getattr(each, kind) for each in report.constants) // 8


def weight_bits(program: Program) -> int:
    """Bits that tell the codes of weights apart, of the tensor with most codes.

    Codes are those that occur, two at least. A zero where a weight is gone is a place and no code:
    in a network or a tensor with many zeros, and in filters and columns that have nothing else.
    Where every tensor is too small to show its codes, it is the bits of the widest type.
    """
    tensors = [constant for i in weight_slots(program) if (constant := program.slots[i].constant)]
    pruned = _is_sparse(weight_counts(program))
    values = [_left(tensor.array, pruned=pruned) for tensor in tensors]
    codes = [len(np.unique(each)) for each in values]
    if not any(each.size >= SEEN * count > 0 for each, count in zip(values, codes, strict=True)):
        return max((tensor.dtype.bits for tensor in tensors), default=0)
    return (max(2, *codes) - 1).bit_length()


def _left(array: Array, *, pruned: bool) -> Array:
    """The weights that are there, of a tensor of a network that is ``pruned`` or not."""
    present = array != 0
    if pruned or _is_sparse(WeightCounts(int(np.count_nonzero(present)), array.size)):
        return array[present]
    rows = present.reshape(len(array), -1)
    return array.reshape(rows.shape)[rows.any(axis=1)][:, rows.any(axis=0)]


def _is_sparse(counts: WeightCounts) -> bool:
    return counts.nonzero < SPARSE * counts.total


def kind_of(program: Program, most: int) -> str:
    """Non-structured with many zeros, n:m where all of them lie so; structured where weights are
    gone, of the ``most`` that there were; else dense.
    """
    counts = weight_counts(program)
    if _is_sparse(counts):
        return N_OF_M if _in_groups(program) else NON_STRUCTURED
    return STRUCTURED if counts.nonzero < (1 - FEW) * most else DENSE


def _in_groups(program: Program) -> bool:
    """Whether all layers with many zeros have n weights of every m neighbours, hardly ever less."""
    tensors = [program.slots[index].constant for index in weight_slots(program)]
    sparse = [
        flat(tensor).reshape(matrix_shape(tensor.type)) != 0
        for tensor in tensors
        if tensor and np.count_nonzero(tensor.array) < SPARSE * tensor.array.size
    ]
    return all(any(_full_groups(mask, m) for m in (4, 8, 16)) for mask in sparse)


def _full_groups(mask: Array, m: int) -> bool:
    whole = mask[:, : mask.shape[1] // m * m].reshape(-1, m).sum(axis=1)
    return bool(whole.size) and 0 < whole.max() < m and whole.mean() > (1 - FEW) * whole.max()
