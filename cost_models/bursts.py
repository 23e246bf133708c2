"""What whole bursts and rows of DRAM add to the bits that are wanted, operand by operand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .cost import INDICES, INPUTS, OUTPUTS, ROWS, SUMS, WEIGHTS, Transfer
from .loops import Loops
from .machine import Memory
from .rows import NO_BLOCKS, Blocks, Pages, input_blocks, output_blocks, run_blocks
from .search import Found
from .tiling import reloads


def whole_blocks(bits: Iterable[int], pages: Pages) -> Blocks:
    """Of tensors that move whole, once."""
    return sum((run_blocks(each, pages) for each in bits), NO_BLOCKS)


def tiled_blocks(
    loops: Loops, found: Found, bits: Mapping[str, Sequence[int]], pages: Pages
) -> dict[str, Blocks]:
    """Of a layer's tiles, by operand.

    ``bits`` of an element of inputs, outputs and sums, and of all weights; none of what stays.
    """
    tiling, moved = found.tiling, found.words
    trips = tiling.trips(loops)
    tiles = loops.groups * trips["m"] * trips["c"]
    again = reloads(tiling.order, trips, "m")
    visits = moved.sums_written // loops.outputs
    each = {
        WEIGHTS: [run_blocks(n, pages, tiles) * moved.weight_loads for n in bits[WEIGHTS]],
        INPUTS: [input_blocks(loops, tiling, n, pages) * again for n in bits[INPUTS]],
        OUTPUTS: [output_blocks(loops, tiling, n, pages) for n in bits[OUTPUTS]],
        SUMS: [output_blocks(loops, tiling, n, pages) * visits for n in bits[SUMS]],
    }
    return {operand: sum(found, NO_BLOCKS) for operand, found in each.items()}


def in_rows(
    dram: Memory, moved: Iterable[Transfer], blocks: Mapping[str, Blocks]
) -> list[Transfer]:
    """The rest of the bursts, and the rows that are opened, of what ``moved``.

    ``blocks`` are those of one way. Places of weights lie with the weights in the file.
    """
    if dram.pages is None:
        return []
    listed, added = list(moved), []
    for operand, each in blocks.items():
        together = (WEIGHTS, INDICES) if operand == WEIGHTS else (operand,)
        mine = [transfer for transfer in listed if transfer.operand in together]
        ways = [sum(transfer.reads for transfer in mine), sum(transfer.writes for transfer in mine)]
        read, written = (each.bursts * dram.pages.burst - bits if bits else 0 for bits in ways)
        opened = each.rows * sum(map(bool, ways))
        energy = dram.read * read + dram.write * written + dram.activation * opened
        added.append(Transfer(ROWS, operand, read, written, energy))
    return added
