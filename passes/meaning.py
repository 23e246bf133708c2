"""What a real value of a quantised graph means in integers, while lowering walks over it.

Codes         scale * (code - zero_point): it is a tensor of codes
Image         scale[c] * acc + offset[c], then clipped: an accumulator not yet rescaled
Sum           scale_x * x + scale_y * y + offset, then clipped: two tensors of codes to be added
Function      f(code): an arbitrary function of one tensor of codes
Curve         f(scale[c] * acc + offset[c]) for a function that rises
Joined        several tensors one after the other, each codes or on their way to them
Moved         one of these, its elements moved by ops that wait until it is codes
Raw           scale[c] * input + offset[c]: of an input of the network that is real still
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from ..ir.graph import Node
from ..ir.numeric import Array

UNBOUNDED = (Fraction(-(10**30)), Fraction(10**30))
Bounds = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Codes:
    """``scale * (name - zero_point)``."""

    name: str
    scale: Fraction
    zero_point: int


@dataclass(frozen=True, slots=True)
class Image:
    """``clip(scale[c] * name + offset[c], bounds)``."""

    name: str
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    bounds: Bounds = UNBOUNDED

    def affine(self, factor: tuple[Fraction, ...], shift: tuple[Fraction, ...]) -> Image:
        """``factor[c] * self + shift[c]`` of an image without bounds."""
        count = len(factor)
        scale, offset = (own * (count // len(own)) for own in (self.scale, self.offset))
        return Image(
            self.name,
            tuple(f * s for f, s in zip(factor, scale, strict=True)),
            tuple(f * o + b for f, o, b in zip(factor, offset, shift, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Sum:
    """``clip(factors[0] * x + factors[1] * y, bounds)`` of two tensors of codes."""

    x: Codes
    y: Codes
    factors: tuple[int, int]
    bounds: Bounds = UNBOUNDED

    @property
    def scales(self) -> tuple[Fraction, Fraction]:
        return self.x.scale * self.factors[0], self.y.scale * self.factors[1]

    @property
    def offset(self) -> Fraction:
        left, right = self.scales
        return -(left * self.x.zero_point + right * self.y.zero_point)


@dataclass(frozen=True, slots=True)
class Function:
    """``apply(real value of codes)``, float64 arrays."""

    codes: Codes
    apply: Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Curve:
    """``apply(image)``: a rising function, float64, of a rising image without bounds."""

    image: Image
    apply: Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Joined:
    """Tensors along ``axis``, each with a meaning of its own."""

    parts: tuple[Meaning, ...]
    axis: int


@dataclass(frozen=True, slots=True)
class Moved:
    """What ``before`` means, then ``moves``: ops that choose among values, to be done on codes."""

    before: Image | Sum | Function | Curve | Joined
    moves: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """An op that moves elements of ``scale * input + offset``; ``plain`` if it was not clipped."""

    node: Node
    scale: Fraction
    offset: Fraction
    plain: bool


@dataclass(frozen=True, slots=True)
class Raw:
    """``clip(scale[c] * input + offset[c], bounds)``, moved by ``moves``: not codes yet."""

    name: str
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    moves: tuple[Move, ...] = ()
    bounds: Bounds = UNBOUNDED

    def affine(self, factor: tuple[Fraction, ...], shift: tuple[Fraction, ...]) -> Raw:
        """``factor[c] * self + shift[c]``."""
        image = Image(self.name, self.scale, self.offset).affine(factor, shift)
        return replace(self, scale=_one(image.scale), offset=_one(image.offset))


def _one(parameter: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return parameter[:1] if len(set(parameter)) == 1 else parameter


Meaning = Codes | Image | Sum | Function | Curve | Joined | Moved | Raw
