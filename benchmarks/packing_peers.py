"""Bytes that others need for the same weights: zlib, lzma, Deep Compression, Arm's Vela."""

from __future__ import annotations

import heapq
import lzma
import zlib
from collections import Counter
from math import ceil

import numpy as np
from numpy.typing import NDArray

from intaglio.ir.formats.dense import Dense
from intaglio.ir.layout import to_storage
from intaglio.ir.tensor import Tensor

Weights = list[Tensor]
RAW = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


def _streams(weights: Weights) -> tuple[bytes, bytes]:
    """All weights as bytes, one each, and as many bits as their types have."""
    octets = b"".join(to_storage(each.array).tobytes() for each in weights)
    return octets, b"".join(Dense().pack(each) for each in weights)


def by_zlib(weights: Weights) -> int:
    """zlib at level 9, of bytes or of packed bits, whichever it does better."""
    return min(len(zlib.compress(stream, 9)) for stream in _streams(weights))


def by_lzma(weights: Weights) -> int:
    """lzma at its best without a container, of bytes or of packed bits."""
    streams = _streams(weights)
    return min(len(lzma.compress(each, lzma.FORMAT_RAW, filters=RAW)) for each in streams)


def huffman_bits(symbols: NDArray[np.integer], width: int) -> int:
    """Bits of a canonical Huffman code and of its table: a length and a value for each symbol."""
    counts = list(Counter(symbols.tolist()).values())
    table = len(counts) * (width + 5)
    if len(counts) < 2:
        return table + len(symbols)
    heapq.heapify(counts)
    total = 0
    while len(counts) > 1:
        merged = heapq.heappop(counts) + heapq.heappop(counts)
        total += merged
        heapq.heappush(counts, merged)
    return total + table


def by_deep_compression(weights: Weights) -> int:
    """Han et al., ICLR 2016: relative indices of the best width and values, both in Huffman codes.

    A weight without zeros, and any that is smaller so, has its values in a Huffman code alone.
    """
    return sum(ceil(min(_values_alone(each), *_relative(each)) / 8) for each in weights)


def _values_alone(weight: Tensor) -> int:
    return huffman_bits(weight.array.reshape(-1), weight.dtype.bits)


def _relative(weight: Tensor) -> list[int]:
    flat = to_storage(weight.array).reshape(-1)
    places = np.flatnonzero(flat)
    zeros, values = np.diff(places, prepend=-1) - 1, flat[places]
    found = []
    for k in range(2, 13):
        fillers = zeros >> k
        gaps = np.full(len(zeros) + int(fillers.sum()), (1 << k) - 1)
        entries = np.zeros(len(gaps), np.int64)
        last = np.cumsum(fillers + 1) - 1
        gaps[last], entries[last] = zeros & ((1 << k) - 1), values
        found.append(huffman_bits(gaps, k) + huffman_bits(entries, weight.dtype.bits))
    return found


def by_vela(weights: Weights) -> int | None:
    """Vela's encoded bytes for Ethos-U55-128, the best of its block depths and traversals.

    None where ethos-u-vela is not installed, or a weight has more than 8 bits.
    """
    try:
        from ethosu.vela.api import NpuAccelerator, NpuBlockTraversal, npu_encode_weights
    except ModuleNotFoundError:
        return None
    if any(each.dtype.bits > 8 for each in weights):
        return None
    total = 0
    for each in weights:
        volume = to_storage(each.array).astype(np.int16)
        volume = volume if volume.ndim == 4 else volume.reshape(len(volume), 1, 1, -1)
        total += min(
            len(
                npu_encode_weights(
                    accelerator=NpuAccelerator.Ethos_U55_128,
                    weights_volume=volume,
                    dilation_xy=(1, 1),
                    ifm_bitdepth=8,
                    ofm_block_depth=depth,
                    is_depthwise=False,
                    block_traversal=traversal,
                )
            )
            for depth in (8, 16, 32)
            for traversal in (NpuBlockTraversal.DEPTH_FIRST, NpuBlockTraversal.PART_KERNEL_FIRST)
        )
    return total


PEERS = {
    "zlib": by_zlib,
    "lzma": by_lzma,
    "Deep Compression": by_deep_compression,
    "Vela": by_vela,
}
