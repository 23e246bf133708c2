"""What the quantizers of a Brevitas module do, read from the quantizers themselves.

A run on the example shows what each gives; then each is probed over its whole range, ties included,
so that no quantizer is taken for one that it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import ImportModelError
from ...ir.numeric import Array, Rounding
from ..emit.quant import Grid
from ..torch.tensors import as_array

ROUNDING: dict[str, Rounding] = {
    "RoundSte": "half_even",
    "FloorSte": "floor",
    "CeilSte": "ceil",
    "RoundToZeroSte": "toward_zero",
    "DPURoundSte": "half_dpu",
}
"""By the class of ``float_to_int_impl``."""
PROBES = 4096


@dataclass(frozen=True, slots=True)
class Point:
    """One quantizer: activations go to ``grid``, parameters have ``codes`` on it.

    ``step`` is what a code is worth, where that is not the grid's scale. ``wide`` is the grid of
    the sums that a truncation divides by ``2^shift``.
    """

    path: str
    grid: Grid
    codes: Array | None = None
    step: Array | None = None
    wide: Grid | None = None
    shift: Array | None = None


def is_brevitas(module: Any) -> bool:
    """Whether a module holds a Brevitas layer; imports nothing."""
    return any(type(each).__module__.startswith("brevitas.nn") for each in module.modules())


def points_of(path: str, proxy: Any, given: Any, result: Any) -> Point | None:
    """What a proxy did to ``given``; None when it quantizes nothing. Raises ImportModelError."""
    if not proxy.is_quant_enabled:
        return None
    kind = type(proxy).__name__
    if type(result).__name__ != "IntQuantTensor" or proxy.is_groupwise:
        raise refuse(path, f"quantizes by {kind} to {type(result).__name__}")
    if kind.startswith("Dynamic"):
        raise refuse(path, "takes its scale from each input")
    if kind == "TruncQuantProxyFromInjector":
        return _truncation(path, proxy, given, result)
    if hasattr(proxy, "fused_activation_quant_proxy"):
        return _activation(path, proxy, result)
    return _parameter(path, proxy, result)


def refuse(path: str, why: str) -> ImportModelError:
    """The error about a quantizer."""
    return ImportModelError(
        f"It {why}.",
        where=f"Module '{path}'",
        fix="Supported are integer, binary and ternary quantizers with constant scales, one per "
        "tensor or per channel.",
    )


def _grid(path: str, proxy: Any, result: Any, rounding: Rounding = "half_even") -> Grid:
    scale, zero = (np.asarray(as_array(each)) for each in (result.scale, result.zero_point))
    bits = float(as_array(result.bit_width).max())
    if bits != round(bits) or not 1 <= bits <= 32:
        raise refuse(path, f"quantizes to {bits:g} bits")
    if not np.isfinite(scale).all() or (scale <= 0).any() or (zero != np.rint(zero)).any():
        raise refuse(path, f"has the scale {scale.min():g} and the zero point {zero.max():g}")
    narrow = bool(proxy.is_narrow_range)
    signed = bool(result.signed)
    return Grid(int(bits), scale, zero.astype(np.int64), signed, narrow, rounding)


def _parameter(path: str, proxy: Any, result: Any) -> Point:
    """A weight or bias: its codes are those that reproduce its values exactly."""
    grid = _grid(path, proxy, result)
    values = as_array(result.value)
    codes = np.rint(values / grid.scale + grid.zero_point.astype(np.float32)).astype(np.int64)
    inside = (codes >= grid.lo).all() and (codes <= grid.hi).all()
    if not inside or not np.array_equal(grid.reals(codes), values):
        raise refuse(path, "gives values that are not codes times a scale")
    return Point(path, grid, codes)


def _activation(path: str, proxy: Any, result: Any) -> Point:
    quantizer = proxy.fused_activation_quant_proxy.tensor_quant
    grid = _grid(path, proxy, result, _rounding(path, quantizer))
    point = Point(path, grid)
    if _name(quantizer) == "TernaryQuant":
        threshold = np.float32(quantizer.threshold) * grid.scale
        around = replace(grid, scale=2 * threshold, narrow=True, rounding="half_toward_zero")
        point = Point(path, around, step=grid.scale)
    _probe(point, quantizer)
    return point


def _truncation(path: str, proxy: Any, given: Any, result: Any) -> Point:
    quantizer = proxy.tensor_quant
    grid = _grid(path, proxy, result, _rounding(path, quantizer))
    wide = Grid(32, as_array(given.scale), as_array(given.zero_point).astype(np.int64))
    shift = np.log2(
        as_array(
            quantizer.trunc_scaling_impl(
                given.value, given.bit_width, result.bit_width, given.signed
            )
        )
    )
    return Point(path, grid, wide=wide, shift=shift)


def _name(module: Any) -> str:
    """The class of a module, also of a scripted one."""
    return str(getattr(module, "original_name", type(module).__name__))


def _rounding(path: str, quantizer: Any) -> Rounding:
    inner = getattr(quantizer, "int_quant", quantizer)
    rounder = getattr(inner, "float_to_int_impl", None)
    if rounder is None:
        return "half_even"  # binary and ternary quantizers only compare
    found = ROUNDING.get(_name(rounder))
    if found is None:
        raise refuse(path, f"rounds by {_name(rounder)}")
    return found


def _probe(point: Point, quantizer: Any) -> None:
    """Compare the quantizer with the point at every quarter of a code, beyond both ends."""
    import torch

    grid = point.grid
    quarters = np.arange(4 * (grid.lo - 2), 4 * (grid.hi + 2) + 1, dtype=np.float32)
    if len(quarters) > PROBES:
        quarters = quarters[np.linspace(0, len(quarters) - 1, PROBES).astype(np.int64)]
    rank = max(grid.scale.ndim, 1)
    steps = quarters.reshape(-1, *(1,) * (rank - 1)) / 4 - grid.zero_point.astype(np.float32)
    reals = np.asarray(steps * grid.scale, dtype=np.float32)
    result, scale = quantizer(torch.from_numpy(reals))[:2]
    worth = grid.scale if point.step is None else point.step
    expected = replace(grid, scale=worth).reals(grid.codes(reals))
    if not np.array_equal(as_array(scale), worth):
        raise refuse(point.path, "takes its scale from each input")
    if not np.array_equal(np.broadcast_to(as_array(result), expected.shape), expected):
        raise refuse(point.path, f"rounds otherwise than {_name(quantizer)} does by its settings")


Observer = Callable[[Any, Any, Any], None]
