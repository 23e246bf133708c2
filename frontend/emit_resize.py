"""Emitting nearest-neighbor resizing: every element repeated, or every few taken."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..ir.ops_layout import Concat
from .emit import Site
from .emit_layout import cut, reshape


def take(site: Site, x: str, sources: Sequence[Sequence[int]]) -> str:
    """x with the elements ``sources[i]`` along axis i + 1; they repeat or skip at an even pace.

    Raises ImportModelError for any other choice.
    """
    sizes = site.type_of(x).sample_shape
    moved = [i for i, chosen in enumerate(sources) if list(chosen) != list(range(sizes[i]))]
    for count, i in enumerate(moved, 1):
        inner = site if count == len(moved) else site.step(f"axis{i + 1}")
        x = _along(inner, x, i, list(sources[i]))
    return x


def _along(site: Site, x: str, i: int, chosen: list[int]) -> str:
    size = site.type_of(x).sample_shape[i]
    times = len(chosen) // size
    if times and chosen == [index // times for index in range(times * size)]:
        return _repeat(site, x, i, times)
    pace = chosen[1] - chosen[0] if len(chosen) > 1 else size
    if pace > 0 and chosen == list(range(chosen[0], chosen[0] + pace * len(chosen), pace)):
        return cut(site, x, {i + 1: (chosen[0], chosen[-1] + 1, pace)})
    raise site.fail(
        f"It takes the elements {chosen[:8]}... of axis {i + 1} of {site.type_of(x)}.",
        "Supported are scales that repeat every element equally often, or skip equally many.",
    )


def _repeat(site: Site, x: str, i: int, times: int) -> str:
    """Each element of sample axis i ``times`` times, one after the other."""
    sizes = site.type_of(x).sample_shape
    rows, rest = prod(sizes[: i + 1]), prod(sizes[i + 1 :])
    column = reshape(site.step("column"), x, (rows, 1, rest))
    copies = site.step("copies").emit(Concat(2), *(column,) * times)
    return reshape(site, copies, (*sizes[:i], sizes[i] * times, *sizes[i + 1 :]))
