"""Quantize and dequantize as torch functions, with Brevitas' straight-through estimators.

The gradient of a scale is that of ``scale * (clip(round(x / scale) + z) - z)`` with rounding taken
as the identity: Esser et al., "Learned Step Size Quantization", ICLR 2020, equations 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

from ...errors import UsageError
from ...ir.numeric import Rounding
from ...ir.op import Op
from ...ir.ops_quant import Dequantize, Quantize
from .function import Function, along_channels, at_least_single

Round = Callable[[Tensor], Tensor]


def _quantize(op: Quantize, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Codes as reals: ``clip(round(x / scale) + zero_point)`` (2)."""
    steps = at_least_single(x) / along_channels(scale, x.ndim, op.axis)
    if op.dtype.kind == "bipolar":
        return _estimators()["bipolar"](steps.clamp(-1, 1))
    zero = along_channels(zero_point, x.ndim, op.axis)
    rounds = _estimators()[op.rounding]
    codes = rounds(steps + zero) if op.zero_first else rounds(steps) + zero
    return codes.clamp(op.lo, op.hi)


def _dequantize(op: Dequantize, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    steps = x - along_channels(zero_point, x.ndim, op.axis)
    return steps * along_channels(scale, x.ndim, op.axis)


@cache
def _estimators() -> Mapping[Rounding | str, Round]:
    """A function for each rounding whose gradient is 1; Brevitas takes seconds to import."""
    try:
        from brevitas.function import ops_ste as ste
    except ModuleNotFoundError as error:
        raise UsageError(
            "Brevitas is not installed, and training with quantization needs it.",
            fix="Install it with: pip install intaglio[train]",
        ) from error
    floor: Round = ste.floor_ste

    def half(tie_goes_up: Round) -> Round:
        """The nearest integer; ``tie_goes_up`` says of floors which of two as near it is."""

        def nearest(x: Tensor) -> Tensor:
            low = floor(x)
            over = (x - low).detach()
            return low + ((over > 0.5) | ((over == 0.5) & tie_goes_up(low.detach()))).to(x.dtype)

        return nearest

    return {
        "half_even": ste.round_ste,
        "half_up": half(lambda low: torch.ones_like(low, dtype=torch.bool)),
        "half_away": half(lambda low: low >= 0),
        "half_toward_zero": half(lambda low: low < 0),
        "half_dpu": half(lambda low: (low < 0) | (low % 2 != 0)),
        "floor": floor,
        "ceil": ste.ceil_ste,
        "toward_zero": ste.round_to_zero_ste,
        "away_from_zero": lambda x: torch.where(x < 0, floor(x), ste.ceil_ste(x)),
        "bipolar": ste.binary_sign_ste,
    }


FUNCTIONS: Mapping[type[Op], Function] = {Quantize: _quantize, Dequantize: _dequantize}
