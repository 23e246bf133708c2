"""Emitting the quantizers of a Brevitas module."""

from __future__ import annotations

from ..emit.quant import coded, quantize
from ..emit.site import Constant, Operand, Site
from ..emit.trunc import truncate
from .points import Point


def at_point(site: Site, x: Operand, point: Point) -> Operand:
    """What a quantizer makes of x: codes for a parameter, else a quantize point."""
    if isinstance(x, Constant):
        parameter = Constant(point.path.removesuffix("_quant"), x.array)
        codes = point.grid.codes(x.array) if point.codes is None else point.codes
        return coded(site, parameter, codes, point.grid)
    if point.wide is not None and point.shift is not None:
        return truncate(site, x, point.wide, point.grid, point.shift)
    return quantize(site, x, point.grid, point.step)
