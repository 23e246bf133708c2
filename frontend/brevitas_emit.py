"""Emitting the quantizers of a Brevitas module."""

from __future__ import annotations

from .brevitas_points import Point
from .emit import Constant, Operand, Site
from .emit_quant import coded, quantize
from .emit_trunc import truncate


def at_point(site: Site, x: Operand, point: Point) -> Operand:
    """What a quantizer makes of x: codes for a parameter, else a quantize point."""
    if point.codes is not None:
        return coded(site, site.need_constant(x), point.codes, point.grid)
    if isinstance(x, Constant):
        return coded(site, x, point.grid.codes(x.array), point.grid)
    if point.wide is not None and point.shift is not None:
        return truncate(site, x, point.wide, point.grid, point.shift)
    return quantize(site, x, point.grid, point.step)
