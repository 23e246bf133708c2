"""ATen operators that move elements, and those that only pass them on."""

from __future__ import annotations

from dataclasses import replace

from ..emit import layout
from ..emit.pick import Mode, border
from ..emit.site import Operand
from .call import AtenCall, AtenTranslator


def _view(call: AtenCall) -> str:
    x = call.activation()
    return layout.reshape(call.site, x, layout.resolve(call.site, x, call["size"]))


def _permute(call: AtenCall) -> str:
    return layout.transpose(call.site, call.activation(), call.ints("dims"))


def _transpose(call: AtenCall) -> str:
    x = call.activation()
    rank = len(call.site.type_of(x).shape)
    order = list(range(rank))
    one, two = (layout.axis_of(call.site, call[name], rank, least=0) for name in ("dim0", "dim1"))
    order[one], order[two] = order[two], order[one]
    return layout.transpose(call.site, x, order)


def _squeeze(call: AtenCall) -> str:
    """Squeeze drops named axes where they are 1; without names every axis of size 1."""
    x = call.activation()
    shape = call.site.type_of(x).sample_shape
    axes = call.ints("dim") if "dim" in call.arguments else range(1, len(shape) + 1)
    places = [layout.axis_of(call.site, axis, len(shape) + 1) for axis in axes]
    return layout.squeeze(call.site, x, [place for place in places if shape[place - 1] == 1])


def _unsqueeze(call: AtenCall) -> str:
    return layout.unsqueeze(call.site, call.activation(), call.ints("dim"))


def _cat(call: AtenCall) -> str:
    return layout.concat(call.site, call["tensors"], call["dim"])


def _slice(call: AtenCall) -> str:
    part = (call["start"], call["end"], call["step"])
    return layout.cut(call.site, call.activation(), {call["dim"]: part})


def _select(call: AtenCall) -> str:
    x, index = call.activation(), call.integer("index")
    axis = layout.axis_of(call.site, call["dim"], len(call.site.type_of(x).shape))
    part = (index, index + 1 or None, 1)
    return layout.squeeze(call.site, layout.cut(call.site.step("slice"), x, {axis: part}), [axis])


def _split(call: AtenCall, sizes: list[int]) -> tuple[Operand, ...]:
    name = call.site.name
    sites = [replace(call.site, name=f"{name}.{index}") for index in range(len(sizes))]
    return layout.split(sites, call.activation(), call["dim"], sizes)


def _split_equal(call: AtenCall) -> tuple[Operand, ...]:
    x, size = call.activation(), call.integer("split_size")
    place = layout.axis_of(call.site, call["dim"], len(call.site.type_of(x).shape))
    total = call.site.type_of(x).sample_shape[place - 1]
    return _split(call, [min(size, total - start) for start in range(0, total, size)])


def _split_sizes(call: AtenCall) -> tuple[Operand, ...]:
    return _split(call, list(call.ints("split_sizes")))


def _pad(call: AtenCall) -> str:
    """Torch lists pads from the last axis on: before, after, before, after."""
    x = call.activation()
    rank = len(call.site.type_of(x).shape)
    given = call.ints("pad")
    missing = (0,) * (rank - len(given) // 2)
    before, after = (*missing, *given[-2::-2]), (*missing, *given[::-2])
    mode = call.arguments.get("mode", "constant")
    if mode != "constant":
        return border(call.site, x, before, after, _MODES[mode])
    return layout.pad(call.site, x, before, after, call.optional_real("value") or 0.0)


_MODES: dict[str, Mode] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _converted(call: AtenCall) -> Operand:
    dtype = call["dtype"]
    if dtype is not None and not dtype.is_floating_point:
        raise call.site.fail(
            f"It converts to {dtype}.", "Only conversions to floats are supported."
        )
    return call.activation()


_PLACES = ("layout", "device", "pin_memory", "non_blocking", "memory_format")
_VIEW = AtenTranslator(("self", "size"), _view)
_ALIAS = AtenTranslator(("self",), lambda call: call.activation(), ignored=_PLACES)

# What torch.export's functional form leaves of reshape, flatten, contiguous, chunk, to and dropout
# are view, clone, split and _to_copy.
TRANSLATORS: dict[str, AtenTranslator] = {
    "view": _VIEW,
    "_unsafe_view": _VIEW,
    "permute": AtenTranslator(("self", "dims"), _permute),
    "transpose": AtenTranslator(("self", "dim0", "dim1"), _transpose),
    "squeeze": AtenTranslator(("self", "dim"), _squeeze),
    "unsqueeze": AtenTranslator(("self", "dim"), _unsqueeze),
    "cat": AtenTranslator(("tensors", "dim"), _cat),
    "slice": AtenTranslator(("self", "dim", "start", "end", "step"), _slice),
    "select": AtenTranslator(("self", "dim", "index"), _select),
    "split": AtenTranslator(("self", "split_size", "dim"), _split_equal),
    "split_with_sizes": AtenTranslator(("self", "split_sizes", "dim"), _split_sizes),
    "pad": AtenTranslator(("self", "pad", "mode", "value"), _pad),
    "constant_pad_nd": AtenTranslator(("self", "pad", "value"), _pad),
    "native_dropout": AtenTranslator(
        ("input",),
        lambda call: (call.activation("input"),),
        ignored=("p",),
        only=(("train", False),),
    ),
    "clone": _ALIAS,
    "detach": _ALIAS,
    "alias": _ALIAS,
    "_to_copy": AtenTranslator(("self", "dtype"), _converted, ignored=_PLACES),
}
