"""Drawing a layer of a kind over a value of some shape: options and shapes, no numbers yet."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from .spec import Dialect, Shape

Rng = np.random.Generator
Drawn = tuple[Shape, dict[str, Any]]
"""The shape of a sample of the result, and options."""
MOST_CHANNELS = 8
MOST_ELEMENTS = 700


def pick(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def chance(rng: Rng, probability: float) -> bool:
    return bool(rng.random() < probability)


def _same(size: int, span: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def _pads(
    rng: Rng, dialect: Dialect, sizes: Shape, spans: Shape, strides: Shape, limits: Shape
) -> tuple[tuple[int, ...], str]:
    """Pads (top, left, bottom, right), each at most its limit, and what TFLite calls them."""
    way = pick(rng, *dialect.padding)
    if way == "VALID":
        return (0, 0, 0, 0), "VALID"
    if way == "SAME":
        pairs = [_same(*each) for each in zip(sizes, spans, strides, strict=True)]
        return tuple(p[end] for end in (0, 1) for p in pairs), "SAME"
    if way == "EVEN":
        return (1, 1, 1, 1), "EVEN"
    return tuple(int(rng.integers(limits[i % 2] + 1)) for i in range(4)), "ANY"


def _window(
    rng: Rng, dialect: Dialect, x: Shape, kernel: Shape, dilate: float, *, most: Shape
) -> tuple[Shape, dict[str, Any]] | None:
    """The spatial sizes of the result and the options of a window; None where it does not fit."""
    strides = (1, 1) if chance(rng, 0.65) else (pick(rng, 1, 2), pick(rng, 2, 1, 3))
    dilations = (pick(rng, 1, 2), 2) if chance(rng, dilate) else (1, 1)
    if "ANY" not in dialect.padding and dilations != (1, 1):
        strides = (1, 1)
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    pads, padding = _pads(rng, dialect, x[1:], spans, strides, most)
    sizes = tuple(
        (size + pads[axis] + pads[axis + 2] - spans[axis]) // strides[axis] + 1
        for axis, size in enumerate(x[1:])
    )
    fits = all(s + pads[a] + pads[a + 2] >= spans[a] for a, s in enumerate(x[1:]))
    if not fits or min(sizes) < 1:
        return None
    options = {"kernel": kernel, "strides": strides, "pads": pads, "padding": padding}
    return sizes, options | {"dilations": dilations}


def _groups(rng: Rng, dialect: Dialect, channels: int) -> int:
    way = rng.random()
    if way < 0.55:
        return 1
    if way < 0.8 or not dialect.groups:
        return channels
    return int(pick(rng, *(g for g in range(1, channels + 1) if channels % g == 0)))


def _conv(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    kernel = pick(rng, (1, 1), (3, 3), (3, 3), (2, 3), (1, 3), (5, 5), (2, 2))
    groups = _groups(rng, dialect, x[0])
    each = int(rng.integers(1, max(1, MOST_CHANNELS // groups) + 1))
    found = _window(rng, dialect, x, kernel, 0.2, most=kernel)
    if found is None:
        return None
    sizes, options = found
    weight = (groups * each, x[0] // groups, *kernel)
    return (groups * each, *sizes), options | {"groups": groups, "weight": weight}


def _conv_transpose(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    kernel, strides = pick(rng, (2, 2), (3, 3), (2, 3)), pick(rng, (2, 2), (1, 1), (1, 2), (2, 3))
    groups = _groups(rng, dialect, x[0]) if dialect.groups else 1
    each = int(rng.integers(1, max(1, 4 // groups) + 1))
    free = "ANY" in dialect.padding
    extra = tuple(int(rng.integers(s)) if free else 0 for s in strides)
    pads, padding = (0, 0, 0, 0), "VALID"
    if free and chance(rng, 0.5):
        pads, padding = tuple(int(rng.integers(2)) for _ in range(4)), "ANY"
    sizes = tuple(
        s * (size - 1) + k - pads[a] - pads[a + 2] + extra[a]
        for a, (size, s, k) in enumerate(zip(x[1:], strides, kernel, strict=True))
    )
    if min(sizes) < 1 or prod(sizes) > 200:
        return None
    options = {"kernel": kernel, "strides": strides, "pads": pads, "padding": padding}
    weight = (x[0], each, *kernel)
    return (groups * each, *sizes), options | {
        "dilations": (1, 1),
        "extra": extra,
        "groups": groups,
        "weight": weight,
    }


def _dense(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    if len(x) != 1:
        return None
    units = int(rng.integers(1, 13))
    return (units,), {"weight": (units, x[0])}


def _pool(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    kernel = pick(rng, (2, 2), (3, 3), (2, 1), (1, 3))
    found = _window(rng, dialect, x, kernel, 0.0, most=tuple(k - 1 for k in kernel))
    if found is None or (any(found[1]["pads"]) and not dialect.bordered_pools):
        return None
    return (x[0], *found[0]), found[1]


def _global(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    return (x[0], 1, 1), {}


def _resize(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    factors = pick(rng, (2, 2), (1, 2), (3, 1), (2, 3))
    return (x[0], x[1] * factors[0], x[2] * factors[1]), {"factors": factors}


def _pad(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    most = (2, 3, 3) if len(x) == 3 else (4,)
    before, after = (tuple(int(rng.integers(m)) for m in most) for _ in range(2))
    shape = tuple(b + s + a for b, s, a in zip(before, x, after, strict=True))
    return shape, {"before": before, "after": after}


def _reshape(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    if len(x) == 3:
        c, h, w = x
        choices = [(h, c, w), (w, h, c), (c, w, h), (c, h * w, 1), (c, 1, h * w), (1, c * h, w)]
        return pick(rng, *choices), {}
    factors = [f for f in range(1, x[0] + 1) if x[0] % f == 0]
    first = pick(rng, *factors)
    second = pick(rng, *(f for f in factors if (x[0] // first) % f == 0))
    return (first, second, x[0] // first // second), {}


def _flatten(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    return ((prod(x),), {}) if len(x) == 3 else None


def _transpose(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    if len(x) != 3:
        return None
    order = pick(rng, (1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0), (2, 0, 1))
    return tuple(x[axis] for axis in order), {"order": order}


def _slice(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    starts = tuple(int(rng.integers(min(3, s))) for s in x)
    stops = tuple(
        int(rng.integers(max(a + 1, s - 2), s + 1)) for a, s in zip(starts, x, strict=True)
    )
    steps = tuple(int(pick(rng, 1, 1, 1, 2)) for _ in x)
    shape = tuple(len(range(*each)) for each in zip(starts, stops, steps, strict=True))
    return shape, {"starts": starts, "stops": stops, "steps": steps}


def _same_shape(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    return x, {}


def _affine(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    factor = rng.uniform(-1.5, 2.0, x[0]).astype(np.float32)
    return x, {"factor": factor, "shift": rng.normal(0, 1, x[0]).astype(np.float32)}


def _leaky(rng: Rng, dialect: Dialect, x: Shape) -> Drawn | None:
    return x, {"alpha": float(np.float32(pick(rng, 0.01, 0.1, 0.25, rng.uniform(0.01, 0.9))))}


IMAGES = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": _pool,
    "average_pool": _pool,
    "global_average": _global,
    "global_max": _global,
    "resize": _resize,
}
"""Kinds of one operand that need an image."""
ANY: dict[str, Callable[[Rng, Dialect, Shape], Drawn | None]] = {
    "dense": _dense,
    "pad": _pad,
    "reshape": _reshape,
    "flatten": _flatten,
    "transpose": _transpose,
    "slice": _slice,
    "affine": _affine,
    "leaky_relu": _leaky,
    **dict.fromkeys(
        ("relu", "clip", "sigmoid", "tanh", "hard_swish", "hard_sigmoid", "elu", "softmax"),
        _same_shape,
    ),
}


def draw(rng: Rng, dialect: Dialect, kind: str, x: Shape) -> Drawn | None:
    """A layer of one operand; None where the kind does not fit the shape or grows too large."""
    if kind in IMAGES and len(x) != 3:
        return None
    found = (IMAGES | ANY)[kind](rng, dialect, x)
    if found is None or prod(found[0]) > MOST_ELEMENTS or found[0][0] > 48:
        return None
    return found
