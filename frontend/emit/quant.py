"""Emitting quantize points, and weights that are codes, for QONNX and Brevitas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...ir.numeric import BIPOLAR, TERNARY, Array, NumericType, Rounding, int_type, round_real
from ...ir.ops_quant import Dequantize, Quantize
from ...ir.tensor import Tensor, real
from .site import Coded, Constant, Site

MAX_BITS = 32


@dataclass(frozen=True, slots=True)
class Grid:
    """Where reals are rounded to: ``clip(round(x / scale + zero_point), lo, hi)``.

    ``scale`` (float32) and ``zero_point`` (integral) broadcast against the tensor. One signed bit
    is bipolar: +1 where ``x / scale + zero_point >= 0``, else -1. ``narrow`` leaves out the least
    code of a signed type and the greatest of an unsigned one.
    """

    bits: int
    scale: Array
    zero_point: Array
    signed: bool = True
    narrow: bool = False
    rounding: Rounding = "half_even"

    @property
    def dtype(self) -> NumericType:
        """The type of the codes; -1, 0, +1 are ternary."""
        if self.signed and self.bits == 1:
            return BIPOLAR
        if self.signed and self.narrow and self.bits == 2:
            return TERNARY
        return int_type(self.bits, signed=self.signed)

    @property
    def narrowed(self) -> bool:
        """Whether the type has a code that is left out."""
        return self.narrow and self.dtype not in (BIPOLAR, TERNARY)

    @property
    def lo(self) -> int:
        """The least code."""
        return self.dtype.lo + (self.narrowed and self.signed)

    @property
    def hi(self) -> int:
        """The greatest code."""
        return self.dtype.hi - (self.narrowed and not self.signed)

    def codes(self, values: Array) -> Array:
        """The codes as the executors of QONNX and Brevitas compute them: in float32, int64."""
        steps = values.astype(np.float32) / self.scale + self.zero_point.astype(np.float32)
        if self.dtype == BIPOLAR:
            return np.where(steps >= 0, 1, -1)
        return np.clip(round_real(steps, self.rounding), self.lo, self.hi).astype(np.int64)

    def reals(self, codes: Array) -> Array:
        """What codes stand for, float32."""
        steps = codes.astype(np.float32) - self.zero_point.astype(np.float32)
        return np.asarray(steps * self.scale, dtype=np.float32)


def grid(
    site: Site,
    bits: float,
    scale: Array,
    zero_point: Array,
    *,
    signed: bool = True,
    narrow: bool = False,
    rounding: Rounding = "half_even",
) -> Grid:
    """A Grid of checked numbers; raises ImportModelError."""
    if not np.isfinite(bits) or bits != round(bits) or not 1 <= bits <= MAX_BITS:
        raise site.fail(f"It quantizes to {bits:g} bits.", f"Supported are 1 to {MAX_BITS} bits.")
    steps = np.asarray(scale, dtype=np.float32)
    if steps.size == 0 or not np.isfinite(steps).all() or (steps <= 0).any():
        raise site.fail(
            f"Its scale holds {float(steps.min()) if steps.size else 'nothing'}.",
            "Scales must be positive and finite.",
        )
    zero = np.asarray(zero_point, dtype=np.float64)
    if not np.isfinite(zero).all() or (zero != np.rint(zero)).any():
        raise site.fail(
            f"Its zero point {zero.reshape(-1)[0]:g} is not an integer.",
            "Use a symmetric quantizer, or one whose zero point is rounded.",
        )
    made = Grid(int(bits), steps, zero.astype(np.int64), signed, narrow, rounding)
    if made.dtype == BIPOLAR and zero.any():
        raise site.fail(
            f"It quantizes to one signed bit with the zero point {zero.reshape(-1)[0]:g}.",
            "Bipolar codes -1 and +1 have no zero point: use zero point 0.",
        )
    if made.lo == made.hi:
        raise site.fail("It has only one code.", "Use more bits, or narrow = 0.")
    return made


def quantize(site: Site, x: str, to: Grid, worth: Array | None = None) -> str:
    """The real values of x on the grid: a quantize point and its dequantization.

    ``worth`` is what a code stands for, if not the scale of the grid.
    """
    scale, zero_point, axis = parameters(site, to, site.type_of(x).shape)
    op = Quantize(to.dtype, axis, to.rounding, zero_first=1, narrow=int(to.narrowed))
    inner = site.step("codes")
    codes = inner.emit(op, x, *constants(inner, scale, zero_point))
    if worth is not None:
        scale, zero_point, axis = parameters(site, replace(to, scale=worth), site.type_of(x).shape)
    return dequantize(site, codes, scale, zero_point, axis)


def dequantize(site: Site, codes: str, scale: Array, zero_point: Array, axis: int) -> str:
    """``scale * (codes - zero_point)`` with parameters ``()`` or ``(channels,)``."""
    return site.emit(Dequantize(axis), codes, *constants(site, scale, zero_point))


def constants(site: Site, scale: Array, zero_point: Array) -> tuple[str, str]:
    """The names of both as constants of the graph."""
    builder = site.draft.builder
    return (
        builder.constant(f"{site.name}.scale", real(scale)),
        builder.constant(f"{site.name}.zero_point", Tensor(zero_point, int_type(32))),
    )


def coded(site: Site, constant: Constant, codes: Array, on: Grid) -> Constant:
    """The constant as these codes of the grid, int64 of the constant's shape."""
    scale, zero_point, axis = parameters(site, on, codes.shape)
    held = Coded(codes, on.dtype, scale, zero_point, axis)
    return Constant(constant.name, on.reals(codes), held)


def parameters(site: Site, on: Grid, shape: tuple[object, ...]) -> tuple[Array, Array, int]:
    """Scale and zero point as ``()`` or ``(size,)``, and the one axis of ``shape`` they run along.

    Raises ImportModelError when they vary along several axes, or along the batch.
    """
    rank = len(shape)
    given = [np.asarray(each) for each in (on.scale, on.zero_point)]
    axes: set[int] = set()
    fits = all(each.ndim <= rank for each in given)
    spread = (
        [each.reshape((1,) * (rank - each.ndim) + each.shape) for each in given] if fits else []
    )
    for each in spread:
        fits = fits and all(
            size in (1, limit) for size, limit in zip(each.shape, shape, strict=True)
        )
        axes |= {a for a in range(rank) if np.any(each != each.take([0], axis=a))}
    if not fits or len(axes) > 1 or (0 in axes and shape[0] == "n"):
        raise site.fail(
            f"Its scale and zero point have the shapes {given[0].shape} and {given[1].shape} for a "
            f"tensor of shape {tuple(shape)}.",
            "Supported are one scale per tensor, or one per channel: along one axis.",
        )
    if not axes:
        scale, zero = (each.reshape(-1)[0].reshape(()) for each in spread)
        return scale, zero, 1 if rank > 1 else 0
    (axis,) = axes
    whole = np.broadcast_shapes(*(each.shape for each in spread))
    scale, zero = (
        np.moveaxis(np.broadcast_to(each, whole), axis, 0).reshape(whole[axis], -1)[:, 0]
        for each in spread
    )
    return scale, zero, axis
