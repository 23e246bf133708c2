"""ATen operators that resize, repeat, normalize or compare along axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from ..emit.arithmetic import number
from ..emit.batch_size import BatchSize
from ..emit.layout import KEEP, axis_of, reshape
from ..emit.linear import affine
from ..emit.norm import arg_max, arg_min, layer_norm, prelu
from ..emit.pick import broadcast, pick, repeat
from ..emit.pool import total
from ..emit.resize import resize
from ..emit.resize_rule import Axis, Rule
from ..emit.site import Constant, rearrange
from .call import AtenCall, AtenTranslator


def _upsample(
    mode: str,
    coordinates: str = "half_pixel",
    nearest: str = "round_prefer_ceil",
    *,
    antialias: bool = False,
) -> AtenTranslator:
    """Antialiasing leaves out neighbors beyond the border, where ONNX repeats the outermost."""

    def emit(call: AtenCall) -> str:
        x = call.activation("input")
        corners = bool(call.arguments.get("align_corners"))
        rule = Rule(
            mode,
            "align_corners" if corners else coordinates,
            nearest,
            cubic=-0.5 if antialias else -0.75,
            exclude_outside=antialias,
            antialias=antialias,
        )
        axes = _axes(call, call.site.type_of(x).sample_shape[1:], corners)
        return resize(call.site, x, dict(enumerate(axes, 2)), rule)

    arguments = ("input", "output_size", "align_corners", "scale_factors")
    return AtenTranslator(arguments, emit)


def _axes(call: AtenCall, sizes: Sequence[int], corners: bool) -> list[Axis]:
    """The spatial axes by their new sizes, or by factors; corners only know sizes."""
    if call["output_size"] is not None:
        results = call.ints("output_size")
        factors = [Fraction(new, old) for old, new in zip(sizes, results, strict=True)]
    else:
        factors = [Fraction(float(factor)) for factor in call["scale_factors"]]
        results = tuple(int(old * f) for old, f in zip(sizes, factors, strict=True))
    if corners:
        factors = [Fraction(new, old) for old, new in zip(sizes, results, strict=True)]
    rows = zip(sizes, results, factors, strict=True)
    return [Axis(old, new, factor) for old, new, factor in rows]


def _layer_norm(call: AtenCall) -> str:
    x = call.activation("input")
    rank = len(call.site.type_of(x).shape)
    axes = tuple(range(rank - len(call.ints("normalized_shape")), rank))
    scale, shift = call.optional("weight"), call.optional("bias")
    return layer_norm(call.site, x, axes, scale, shift, call.real("eps"))


def _group_norm(call: AtenCall) -> str:
    """Each group of channels is one axis to normalize."""
    x = call.activation("input")
    sizes, groups = call.site.type_of(x).sample_shape, call.integer("num_groups")
    flat = reshape(call.site.step("groups"), x, (groups, call.site.type_of(x).elements // groups))
    normal = layer_norm(call.site.step("normal"), flat, (2,), None, None, call.real("eps"))
    back = reshape(call.site.step("channels"), normal, sizes)
    scale, shift = call.optional("weight"), call.optional("bias")
    if scale is None and shift is None:
        return back
    return affine(call.site, back, scale or number(1.0), shift or number(0.0))


def _arg(emit: Callable[..., str]) -> AtenTranslator:
    def translate(call: AtenCall) -> str:
        x = call.activation()
        if call["dim"] is None:
            raise call.site.fail("It looks for one element of the whole batch.", "Name the axis.")
        axis = axis_of(call.site, call.integer("dim"), len(call.site.type_of(x).shape))
        return emit(call.site, x, axis, keepdims=bool(call["keepdim"]))

    return AtenTranslator(("self", "dim", "keepdim"), translate)


def _sum(call: AtenCall) -> str:
    x = call.activation()
    rank = len(call.site.type_of(x).shape)
    given = call.ints("dim") if call.arguments.get("dim") is not None else range(rank)
    axes = [axis_of(call.site, axis, rank) for axis in given]
    return total(call.site, x, axes, keepdims=bool(call.arguments.get("keepdim")))


def _prelu(call: AtenCall) -> str:
    x, slope = call.activation(), call.constant("weight")
    behind = (1,) * (len(call.site.type_of(x).shape) - 2)
    shaped: Constant = rearrange(
        call.site, slope, "channels", lambda array: array.reshape(-1, *behind)
    )
    return prelu(call.site, x, shaped)


def _expand(call: AtenCall) -> str:
    x, wanted = call.activation(), list(call["size"])
    own = call.site.type_of(x).sample_shape
    head = wanted[0] if wanted else None
    leads = isinstance(head, BatchSize) or head == -1 or head == call.site.draft.batch
    if not leads or len(wanted) != len(own) + 1:
        raise call.site.fail(f"It expands {call.site.type_of(x)} to {tuple(wanted)}.", KEEP)
    sizes = [old if new == -1 else int(new) for old, new in zip(own, wanted[1:], strict=True)]
    return broadcast(call.site, x, sizes)


def _repeat(call: AtenCall) -> str:
    x, counts = call.activation(), call.ints("repeats")
    if len(counts) != len(call.site.type_of(x).shape) or counts[0] != 1 or min(counts) < 1:
        raise call.site.fail(f"It repeats {call.site.type_of(x)} {counts} times.", KEEP)
    for axis, count in enumerate(counts[1:], 1):
        x = repeat(call.site.step(f"axis{axis}"), x, axis, count)
    return x


def _flip(call: AtenCall) -> str:
    x = call.activation()
    for axis in call.ints("dims"):
        place = axis_of(call.site, axis, len(call.site.type_of(x).shape))
        size = call.site.type_of(x).sample_shape[place - 1]
        x = pick(call.site.step(f"axis{place}"), x, place, range(size)[::-1])
    return x


_NORM = ("weight", "bias", "eps")

TRANSLATORS: dict[str, AtenTranslator] = {
    **{f"upsample_nearest{n}d": _upsample("nearest", "asymmetric", "floor") for n in (1, 2)},
    **{f"_upsample_nearest_exact{n}d": _upsample("nearest") for n in (1, 2)},
    "upsample_linear1d": _upsample("linear"),
    "upsample_bilinear2d": _upsample("linear"),
    "upsample_bicubic2d": _upsample("cubic"),
    "_upsample_bilinear2d_aa": _upsample("linear", antialias=True),
    "_upsample_bicubic2d_aa": _upsample("cubic", antialias=True),
    "layer_norm": AtenTranslator(
        ("input", "normalized_shape", *_NORM), _layer_norm, ignored=("cudnn_enable",)
    ),
    "native_layer_norm": AtenTranslator(
        ("input", "normalized_shape", *_NORM), lambda call: (_layer_norm(call),)
    ),
    "group_norm": AtenTranslator(
        ("input", "num_groups", *_NORM), _group_norm, ignored=("cudnn_enabled",)
    ),
    "argmax": _arg(arg_max),
    "argmin": _arg(arg_min),
    "sum": AtenTranslator(("self", "dim", "keepdim"), _sum),
    "prelu": AtenTranslator(("self", "weight"), _prelu),
    "_prelu_kernel": AtenTranslator(("self", "weight"), _prelu),
    "expand": AtenTranslator(("self", "size"), _expand, ignored=("implicit",)),
    "repeat": AtenTranslator(("self", "repeats"), _repeat),
    "flip": AtenTranslator(("self", "dims"), _flip),
}
