"""conv and dense: panels of weights times patches that lie in the arena, wherever they begin."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..routine import read, routine, sources
from .emit import LANES
from .ending import SIGNS, size_of
from .tile import multiply_tile

AT_ONCE = 8
"""Tiles that a panel is multiplied with before the next, so that what they read is in the cache."""


@cache
def multiply(rows: int, wide: int, end: str, item: int) -> Any:
    """The routine that takes ``rows`` patches and ``wide * 16`` channels at once.

    Row: x, out, other (offsets); sources, targets, others, kinds (int32, of every sample, at least
    ``rows`` more than there are); patches of a sample, groups, bytes between groups of x, channels
    of a group; runs (int64), their count, words; weights, bias, parameters.
    """
    block, version, share = size_of(end), sources(), 8 if end == SIGNS else 1

    def run(p: int, arena: int, samples: int) -> None:
        version  # noqa: B018  (see sources)
        x, out, other = arena + read(p, 0), arena + read(p, 1), arena + read(p, 2)
        source, target, others, kinds = read(p, 3), read(p, 4), read(p, 5), read(p, 6)
        count, groups, apart, channels = samples * read(p, 7), read(p, 8), read(p, 9), read(p, 10)
        runs, run_count, words = read(p, 11), read(p, 12), read(p, 13)
        for first in range(0, count, rows * AT_ONCE):
            last = min(count, first + rows * AT_ONCE)
            weights, bias, finish = read(p, 14), read(p, 15), read(p, 16)
            for group in range(groups):
                for lane in range(0, channels, LANES * wide):
                    channel = group * channels + lane
                    at = first
                    while at < last:
                        patches = (x + group * apart, source + 4 * at, runs, run_count, words)
                        panel = (weights, bias, kinds + 4 * at, finish)
                        to = (out + channel * item // share, target + 4 * at, channels - lane)
                        added = (other + channel, others + 4 * at)
                        if at + rows // 2 < last:
                            multiply_tile(rows, wide, end, item, patches, panel, to, added)
                            at += rows
                        else:
                            multiply_tile(1, wide, end, item, patches, panel, to, added)
                            at += 1
                    weights += run_count * words * 64 * wide
                    bias += 64 * wide
                    finish += block * wide

    return routine(run)
