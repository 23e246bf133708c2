"""Emitting ops that move elements; shapes of the source become shapes of single samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from ...ir.ops_layout import Concat, Ints, Pad, Reshape, Slice, Transpose
from .batch_size import BATCH_SIZE, BatchSize, Size
from .site import Operand, Site

KEEP = "Each sample must keep its own rows: axis 0 is the batch, and nothing may merge or move it."


def axis_of(site: Site, axis: int, rank: int, *, least: int = 1) -> int:
    """``axis`` counted from the front; ImportModelError when out of range or below ``least``."""
    if not -rank <= axis < rank:
        raise site.fail(f"Axis {axis} is not one of the {rank} axes.", "Correct the axis.")
    if axis % rank < least:
        raise site.fail(f"It works along axis {axis}, the batch.", KEEP)
    return axis % rank


def source_shape(site: Site, x: str) -> tuple[Size, ...]:
    """The shape of x in the source: with the batch in front if its axis 0 is the batch."""
    sizes = site.type_of(x).sample_shape
    return (BATCH_SIZE, *sizes) if site.draft.batched else sizes


def place(site: Site, axis: int, rank: int) -> int:
    """The axis here that is ``axis`` of ``rank`` axes in the source, where -1 is the last."""
    if not -rank <= axis < rank:
        raise site.fail(f"Axis {axis} is not one of the {rank} axes.", "Correct the axis.")
    return axis % rank + (not site.draft.batched)


def places(site: Site, axes: Sequence[int], rank: int) -> Ints:
    """``place`` of each axis; ImportModelError when two are the same."""
    found = tuple(place(site, axis, rank) for axis in axes)
    if len(set(found)) < len(found):
        raise site.fail(f"Its axes {tuple(axes)} name one axis twice.", "Export the model again.")
    return found


def reshape(site: Site, x: str, shape: Ints) -> str:
    """x with sample shape ``shape``; a reshape of a reshape is one, and of nothing is none."""
    node = site.producer(x)
    if node is not None and isinstance(node.op, Reshape):
        x = node.inputs[0]
    if site.type_of(x).sample_shape == shape:
        return x
    return site.emit(Reshape(shape), x)


def resolve(site: Site, x: str, target: Sequence[Size]) -> Ints:
    """The sample shape that a whole target shape means for x; ``-1`` stands for what is left.

    The first entry must be the batch: as BATCH_SIZE, as the number the source writes for it, or as
    a -1 that leaves exactly the batch. In a source without a batch all entries are sizes.
    """
    elements = site.type_of(x).elements
    if not site.draft.batched:
        target = [BATCH_SIZE, *target]
    head, rest = (target[0], list(target[1:])) if target else (None, [])
    sizes = [size for size in rest if not isinstance(size, BatchSize)]
    known = prod(size for size in sizes if size != -1)
    open_ended = sizes.count(-1)
    if head != -1 and open_ended == 1 and known > 0 and elements % known == 0:
        sizes = [elements // known if size == -1 else size for size in sizes]
    leads = isinstance(head, BatchSize) or head == -1 or (head and head == site.draft.batch)
    if not leads or len(sizes) < len(rest) or min(sizes, default=1) < 1 or prod(sizes) != elements:
        wanted = ", ".join(map(str, target))
        raise site.fail(f"It reshapes {site.type_of(x)} to ({wanted}).", KEEP)
    return tuple(sizes)


def squeeze(site: Site, x: str, axes: Sequence[int]) -> str:
    """x without ``axes``, which must be of size 1."""
    shape = site.type_of(x).sample_shape
    dropped = {axis_of(site, axis, len(shape) + 1) for axis in axes}
    wide = [axis for axis in sorted(dropped) if shape[axis - 1] != 1]
    if wide:
        raise site.fail(
            f"It squeezes axis {wide[0]} of {site.type_of(x)}.",
            "Only axes of size 1 can be dropped.",
        )
    return reshape(site, x, tuple(s for axis, s in enumerate(shape, 1) if axis not in dropped))


def unsqueeze(site: Site, x: str, axes: Sequence[int]) -> str:
    """x with axes of size 1 inserted; ``axes`` count in the result."""
    sizes = list(site.type_of(x).sample_shape)
    rank = len(sizes) + 1 + len(axes)
    added = sorted({axis_of(site, axis, rank) for axis in axes})
    if len(added) < len(axes):
        raise site.fail(f"Axes {tuple(axes)} name one axis twice.", "Name each new axis once.")
    for axis in added:
        sizes.insert(axis - 1, 1)
    return reshape(site, x, tuple(sizes))


def transpose(site: Site, x: str, axes: Sequence[int]) -> str:
    """x with its axes, batch included, in the order ``axes``; transposes of transposes are one."""
    rank = len(site.type_of(x).shape)
    order = tuple(axis_of(site, axis, rank, least=0) for axis in axes)
    if sorted(order) != list(range(rank)):
        raise site.fail(f"{tuple(axes)} is not an order of {rank} axes.", "Name each axis once.")
    if order[0] != 0:
        raise site.fail(f"It transposes {site.type_of(x)} to the order {order}.", KEEP)
    node = site.producer(x)
    if node is not None and isinstance(node.op, Transpose):
        x, order = node.inputs[0], tuple(node.op.axes[axis] for axis in order)
    return x if order == tuple(range(rank)) else site.emit(Transpose(order), x)


def swap(site: Site, x: str, axis: int) -> str:
    """x with axis 1 and ``axis`` exchanged."""
    order = list(range(len(site.type_of(x).shape)))
    order[1], order[axis] = order[axis], order[1]
    return transpose(site, x, order)


Part = tuple[Size | None, Size | None, int]  # start, stop, step


def cut(site: Site, x: str, parts: Mapping[int, Part]) -> str:
    """``x[start:stop:step]`` along axes counted from the batch; a slice of a slice is one.

    Bounds follow Python: negative ones count from the end, and all are clamped.
    """
    shape = site.type_of(x).sample_shape
    kept = [range(size) for size in shape]
    for axis, (start, stop, step) in parts.items():
        if step < 1:
            raise site.fail(f"It slices with step {step}.", "Only positive steps are supported.")
        place = axis_of(site, axis, len(shape) + 1, least=0)
        if place == 0:
            _check_whole_batch(site, start, stop, step)
        elif isinstance(start, BatchSize) or isinstance(stop, BatchSize):
            raise site.fail(
                f"Its slice {_shown(start, stop, step)} has n, the batch size, for a bound.",
                "Give numbers instead.",
            )
        else:
            kept[place - 1] = kept[place - 1][start:stop:step]
            if not kept[place - 1]:
                taken = f"{_shown(start, stop, step)} of axis {place} of {site.type_of(x)}"
                raise site.fail(f"Its slice {taken} is empty.", "Correct the bounds.")
    return _emit_slice(site, x, kept)


def _shown(start: Size | None, stop: Size | None, step: int) -> str:
    """A slice as Python writes it."""
    bounds = ("" if bound is None else bound for bound in (start, stop))
    return ":".join(map(str, (*bounds, step)))


def _check_whole_batch(site: Site, start: Size | None, stop: Size | None, step: int) -> None:
    whole = stop is None or isinstance(stop, BatchSize) or stop >= (site.draft.batch or 2**31 - 1)
    if start not in (0, None) or not whole or step != 1:
        raise site.fail(f"It slices the batch: {_shown(start, stop, step)}.", KEEP)


def _emit_slice(site: Site, x: str, kept: list[range]) -> str:
    node = site.producer(x)
    if node is not None and isinstance(node.op, Slice):
        x = node.inputs[0]
        sizes = map(range, site.type_of(x).sample_shape)
        whole = [size[part] for size, part in zip(sizes, node.op.parts, strict=True)]
        kept = [
            old[part.start : part.stop : part.step] for old, part in zip(whole, kept, strict=True)
        ]
    if [len(part) for part in kept] == list(site.type_of(x).sample_shape):
        return x
    starts = tuple(part[0] for part in kept)
    stops = tuple(part[-1] + 1 for part in kept)
    return site.emit(Slice(starts, stops, tuple(part.step for part in kept)), x)


def split(sites: Sequence[Site], x: str, axis: int, sizes: Sequence[int]) -> tuple[Operand, ...]:
    """x in pieces of ``sizes`` along ``axis``, one site per piece."""
    site = sites[0]
    place = axis_of(site, axis, len(site.type_of(x).shape))
    total = site.type_of(x).sample_shape[place - 1]
    if len(sizes) != len(sites) or sum(sizes) != total or min(sizes) < 1:
        raise site.fail(
            f"It splits {total} elements into {len(sites)} parts of sizes {tuple(sizes)}.",
            "The sizes must be positive, one per output, and add up.",
        )
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return tuple(
        cut(each, x, {place: (start, start + size, 1)})
        for each, start, size in zip(sites, starts, sizes, strict=True)
    )


def pad(site: Site, x: str, before: Sequence[int], after: Sequence[int], value: float) -> str:
    """A border of ``value``, sizes per axis from the batch on; a negative size crops."""
    rank = len(site.type_of(x).shape)
    if len(before) != rank or len(after) != rank:
        raise site.fail(
            f"It pads {site.type_of(x)} by {tuple(before)} and {tuple(after)}.",
            "Give one size before and one after per axis.",
        )
    if before[0] or after[0]:
        raise site.fail(f"It pads the batch by {before[0]} and {after[0]}.", KEEP)
    if min(*before, *after) < 0:
        bounds = {
            axis: (max(-before[axis], 0), min(after[axis], 0) or None, 1) for axis in range(1, rank)
        }
        x = cut(site.step("crop"), x, bounds)
    grown = [tuple(max(size, 0) for size in sizes[1:]) for sizes in (before, after)]
    if not any(grown[0] + grown[1]):
        return x
    if not abs(value) < float("inf"):
        raise site.fail(f"It pads with {value}.", "Pad with a finite number.")
    return site.emit(Pad(grown[0], grown[1], value), x)


def concat(site: Site, operands: Sequence[Operand], axis: int) -> str:
    """Activations one after the other along ``axis``."""
    names = [operand for operand in operands if isinstance(operand, str)]
    if len(names) < len(operands) or not names:
        raise site.fail(
            "It concatenates constants with activations.",
            "Every operand must be an activation; a constant border can be written as Pad.",
        )
    place = axis_of(site, axis, len(site.type_of(names[0]).shape))
    return names[0] if len(names) == 1 else site.emit(Concat(place), *names)
