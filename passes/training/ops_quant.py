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
        return _estimators()["bipolar"](steps.clamp(-1, 1))  # no gradient further out
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

    def through(rounded: Round) -> Round:
        """The integers of ``rounded`` with the gradient of Brevitas' floor."""
        return lambda x: ste.floor_ste(x) + rounded(x.detach()) - x.detach().floor()

    return {
        "half_even": ste.round_ste,
        "floor": ste.floor_ste,
        "ceil": ste.ceil_ste,
        "toward_zero": ste.round_to_zero_ste,
        "half_dpu": through(lambda x: torch.where(x < 0, _half_up(x), x.round())),
        "half_up": through(_half_up),
        "half_away": through(lambda x: torch.copysign(_half_up(x.abs()), x)),
        "half_toward_zero": through(lambda x: torch.copysign(_half_down(x.abs()), x)),
        "away_from_zero": through(lambda x: torch.copysign(x.abs().ceil(), x)),
        "bipolar": ste.binary_sign_ste,
    }


def _half_up(x: Tensor) -> Tensor:
    return x.floor() + (x - x.floor() >= 0.5)


def _half_down(x: Tensor) -> Tensor:
    return x.floor() + (x - x.floor() > 0.5)


FUNCTIONS: Mapping[type[Op], Function] = {Quantize: _quantize, Dequantize: _dequantize}
