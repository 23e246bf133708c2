"""The loops run one by one, counting what moves: the slow and obvious truth of ``tiling``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .loops import Loops
from .tiling import Tiling, Words

Span = tuple[int, int]


def counted(loops: Loops, tiling: Tiling) -> Words:
    """What moves, found by holding one tile of each operand and loading it when it is another."""
    inputs = weights = outputs = sums = 0
    for _ in range(loops.groups):
        held_input: tuple[Span, ...] = ()
        held_weight: tuple[Span, ...] = ()
        held_output: tuple[Span, ...] = ()
        finished: dict[tuple[Span, ...], int] = {}
        for tile in _tiles(loops, tiling):
            n, p, q, m, c = (tile[name] for name in "npqmc")
            if held_input != (n, p, q, c):
                held_input = (n, p, q, c)
                inputs += _size(n) * _size(c) * _read(loops, 0, p) * _read(loops, 1, q)
            if held_weight != (m, c):
                held_weight = (m, c)
                weights += _size(m) * _size(c) * loops.r * loops.s
            if held_output != (n, p, q, m):
                size = _size(n) * _size(m) * _size(p) * _size(q)
                held_output = (n, p, q, m)
                sums += size if finished.get(held_output) else 0
            finished[held_output] = finished.get(held_output, 0) + _size(c)
            outputs += size if finished[held_output] == loops.c else 0
    assert weights % loops.weights == 0
    return Words(inputs, weights // loops.weights, outputs, sums)


def _tiles(loops: Loops, tiling: Tiling) -> Iterator[dict[str, Span]]:
    """Every tile in order: from where to where it goes in n, p, q, m and c."""
    names = "".join("npq" if loop == "s" else loop for loop in tiling.order)
    spans = (_spans(getattr(loops, name), getattr(tiling, name)) for name in names)
    for found in product(*spans):
        yield dict(zip(names, found, strict=True))


def _spans(extent: int, size: int) -> list[Span]:
    return [(start, min(start + size, extent)) for start in range(0, extent, size)]


def _size(span: Span) -> int:
    return span[1] - span[0]


def _read(loops: Loops, axis: int, span: Span) -> int:
    """Rows or columns of x that these outputs read."""
    kernel, extent = (loops.r, loops.height) if axis == 0 else (loops.s, loops.width)
    found = {
        out * loops.stride[axis] + place * loops.dilation[axis] - loops.pad[axis]
        for out in range(*span)
        for place in range(kernel)
    }
    return len([each for each in found if 0 <= each < extent])
