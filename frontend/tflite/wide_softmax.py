"""The exponentials of TFLite's softmax of 16 bits: a table of 513 entries, interpolated.

Sources: tflite/kernels/activations.cc (SoftmaxPrepare), internal/common.h (LUTPopulateInt16) and
reference/softmax.h (SoftMaxCalculateExp).
"""

from __future__ import annotations

import numpy as np

from ...ir.numeric import Array
from ...ir.reciprocal_table import interpolated
from .arithmetic import Multiplier, round_away
from .model import Tensor

_LEAST, _MOST, _STEPS = -(1 << 15), (1 << 15) - 1, 512
_RANGE = float(_MOST - _LEAST)


def _exponentials() -> Array:
    """exp from -10 to 0 as Q0.15, int64 ``(513,)``, in float64 as the source computes it."""
    step_in, step_out = 10.0 / _RANGE, 2.0 / _RANGE
    first, last = step_in * (_LEAST - _MOST), step_in * 0
    step = (last - first) / _STEPS
    scale = (_RANGE + 1) / (step_out * _MOST - step_out * _LEAST)
    place = np.arange(_STEPS)
    here, middle, after = (
        np.exp(each) * scale
        for each in (
            first + place * step,
            first + place * step + step / 2,
            first + (place + 1) * step,
        )
    )
    sample = round_away(here)
    error = round_away((after + sample) / 2) - round_away(middle)
    table = np.append(sample - round_away(error / 2), round_away(np.exp(np.array([last])) * scale))
    return np.clip(table, _LEAST, _MOST).astype(np.int64)


def wide_exponentials(x: Tensor, beta: float) -> Array:
    """exp(-beta scale d) as Q0.15 for differences d of int16 codes, until it stays the same."""
    factor = Multiplier.of(float(x.scale * np.float32(beta)) / (10.0 / _RANGE))
    below = factor.times(-np.arange(1 << 16, dtype=np.int64))
    table = interpolated(_exponentials(), np.clip(below + _MOST, _LEAST, _MOST))
    changes = np.flatnonzero(np.diff(table))
    return table[: int(changes.max(initial=-1)) + 2]
